"""Attacks on one stream: what is negotiated on it, and what is sent instead of a request."""

from __future__ import annotations

import hashlib
import os
import struct

import trio
from libp2p.exceptions import BaseLibp2pError

from p2p.framing import pack
from p2p.transport import MAX_BODY
from tests.e2e.attacks.kit import CHOICE, HELLO, intruder, line

BEGINNINGS = {
    "text that is not UTF-8": line(b"\xff\xfe\xfd"),
    "a protocol that is not UTF-8": HELLO + line(b"/\xff\xfe\xfd"),
    "a length without an end": b"\xff" * 12,
    "a line of four gigabytes": HELLO + b"\xff\xff\xff\xff\x0f" + b"A" * 100_000,
    "a line of a megabyte": HELLO + line(b"/" + b"a" * 1_000_000),
    "a line that does not end": HELLO + b"\x05abcde",
    "a line of nothing": HELLO + b"\x00",
    "a list of protocols": HELLO + line(b"ls"),
    "many proposals": HELLO + line(b"/nobody/speaks/this/1.0.0") * 1_000,
    "identify": HELLO + line(b"/ipfs/id/1.0.0"),
    "identify push of rubbish": HELLO + line(b"/ipfs/id/push/1.0.0") + b"\x20" + os.urandom(32),
    "ping of seven bytes": HELLO + line(b"/ipfs/ping/1.0.0") + b"z" * 7,
    "a request of no bytes": CHOICE + struct.pack(">I", 0) + bytes(32),
    "a request of four gigabytes": CHOICE + struct.pack(">I", 2**32 - 1) + bytes(32) + b"A" * 200_000,
    "a request just too long": CHOICE + struct.pack(">I", MAX_BODY + 1) + bytes(32) + b"A" * 70_000,
    "a request with another hash": CHOICE + struct.pack(">I", 5) + hashlib.sha256(b"other").digest() + b"hello",
    "a request that breaks off": CHOICE + pack(b"x" * 50_000)[:20_000],
    "two requests on one stream": CHOICE + pack(b"one") + pack(b"two"),
    "rubbish": os.urandom(10_000),
}
"""What an attacker may say on a fresh stream."""


async def say(address: str, beginning: bytes) -> None:
    """Say it, and end the stream by closing, by resetting, by leaving it open, and by cutting the connection."""

    async def once(ending: str) -> None:
        async with intruder(address) as attacker:
            try:
                stream = await attacker.stream(beginning)
                await trio.sleep(0.02)
                if ending == "cut":
                    await attacker.cut()
                elif ending != "leave":
                    await getattr(stream, ending)()
            except BaseLibp2pError:  # the victim has cut the link, which is its right
                return

    async with trio.open_nursery() as nursery:
        for ending in ("close", "reset", "leave", "cut"):
            nursery.start_soon(once, ending)


async def open_and_reset(address: str) -> None:
    """Streams that are reset as soon as they are there, at every stage of a request."""
    async with intruder(address) as attacker:
        for count in range(60):
            stream = await attacker.stream((CHOICE + pack(b"x" * 1_000))[: count * 20])
            await stream.reset()


async def ask_and_leave(address: str) -> None:
    """Requests whose answers nobody reads."""
    async with intruder(address) as attacker:
        for _ in range(16):
            await attacker.stream(CHOICE + pack(b"x" * MAX_BODY))
        await trio.sleep(0.3)


async def begin_and_wait(address: str) -> None:
    """As many streams as there may be, on each of which nothing ever happens."""
    async with intruder(address) as attacker:
        for _ in range(100):
            await attacker.stream(HELLO[:3])
        await trio.sleep(0.3)


ATTACKS = {attack.__name__: attack for attack in (open_and_reset, ask_and_leave, begin_and_wait)}
