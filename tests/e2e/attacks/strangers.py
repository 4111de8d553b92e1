"""Attacks from before the handshake: TCP connections that prove nothing."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack

import trio

from tests.e2e.attacks.kit import HELLO, line, stranger

NOISE = HELLO + line(b"/noise")
OPENINGS = {
    "a browser": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "random bytes": os.urandom(4_096),
    "lengths without end": b"\xff" * 64,
    "zeros": bytes(64),
    "not UTF-8": HELLO + line(b"\xff\xfe\xfd"),
    "a Noise message of rubbish": NOISE + b"\xff\xff" + os.urandom(100),
    "a Noise key of rubbish": NOISE + b"\x00\x20" + os.urandom(32) + b"\x00\x10" + os.urandom(16),
    "a Noise key of zeros": NOISE + b"\x00\x20" + bytes(32),
    "a flood": b"\x80" * 1_000_000,
}
"""What a stranger may say first."""


async def rubbish(address: str) -> None:
    """Each opening, several times over."""
    for opening in OPENINGS.values():
        for _ in range(3):
            async with stranger(address) as stream:
                try:
                    await stream.send_all(opening)
                    with trio.move_on_after(0.03):
                        await stream.receive_some(100)
                except trio.BrokenResourceError:
                    continue


async def crowd(address: str) -> None:
    """300 connections at once that say nothing."""
    async with AsyncExitStack() as stack:
        for _ in range(300):
            await stack.enter_async_context(stranger(address))
        await trio.sleep(0.3)


async def crowd_that_leaves(address: str) -> None:
    """600 connections that come and go."""
    for _ in range(600):
        async with stranger(address) as stream:
            await stream.send_all(HELLO[:5])


ATTACKS = {attack.__name__: attack for attack in (rubbish, crowd, crowd_that_leaves)}
