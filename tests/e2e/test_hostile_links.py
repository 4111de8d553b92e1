"""Whatever a peer sends, the victim still answers an honest one and its memory stays within bounds.

The victim is a real process; the attackers are libp2p as published, or bare TCP. One victim takes all the attacks of a
test file's run, one after the other, so that what leaks adds up.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio

from p2p.errors import TimedOut, Unreachable
from p2p.host.options import HostOptions
from p2p.host.transport import Libp2pTransport
from p2p.identity import Identity, with_peer
from p2p.transport import MAX_BODY
from p2p.wire import PROTOCOL
from tests.e2e.attacks import frames, strangers, streams
from tests.e2e.attacks.diallers import DIALLERS, dial
from tests.e2e.attacks.proxies import between
from tests.fakes import until

ROOT = Path(__file__).resolve().parents[2]
GROWTH = 32 * 1024 * 1024
"""Bytes that the victim's memory may grow by, at its highest, over all attacks together."""
WAIT = 10.0

Attack = Callable[[str], Awaitable[None]]


class Victim:
    """A process that echoes, and what it says of itself."""

    def __init__(self, **options: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.attacks.victim", json.dumps(options)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addresses: list[str] = json.loads(self.process.stdout.readline())
        self.peer = self.addresses[0].rpartition("/")[2]
        assert self.ask() == b"still there?"
        self.at_rest = self.highest()

    def highest(self) -> int:
        """Bytes of memory at its highest so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def ask(self, body: bytes = b"still there?") -> bytes:
        """What it answers an honest node."""

        async def honest() -> bytes:
            async with started() as transport:
                await transport.connect(self.addresses, WAIT)
                return await transport.request(self.peer, body, WAIT)

        return asyncio.run(honest())

    def trouble(self) -> str:
        """What is wrong with it, or nothing where it is alive, serving, and within its bounds."""
        if self.process.poll() is not None:
            return f"it has ended: {self.process.stderr.read()[-2_000:]}"
        body = os.urandom(MAX_BODY)
        if self.ask(body) != body:
            return "it does not give back what was sent"
        growth = self.highest() - self.at_rest
        return f"its memory grew by {growth} bytes" if growth >= GROWTH else ""

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        try:
            _, said = self.process.communicate("", timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        assert self.process.returncode == 0, said[-2_000:]
        assert "Traceback" not in said, said[-2_000:]


async def _echo(peer: str, body: bytes) -> bytes:
    return body


@asynccontextmanager
async def started(options: HostOptions | None = None) -> AsyncIterator[Libp2pTransport]:
    """An honest transport of a node of its own, closed at the end."""
    transport = Libp2pTransport(Identity.new(), options or HostOptions())
    await transport.start(_echo, lambda peer: True)
    try:
        yield transport
    finally:
        await transport.close()


@contextmanager
def victim_with(**options: object) -> Iterator[Victim]:
    victim = Victim(**options)
    try:
        yield victim
    finally:
        victim.end()


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    with victim_with(
        listen=["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"], connections=100, per_address=60, handshake_wait=2
    ) as one:
        yield one


@pytest.fixture
def mortal() -> Iterator[Victim]:
    """A victim for one test alone, that may be stopped and killed."""
    one = Victim()
    yield one
    one.process.kill()
    one.process.communicate()


def launch(attack: Attack, *arguments: object) -> None:
    """Run an attack to its end, or for fifteen seconds."""

    async def limited() -> None:
        with trio.fail_after(15):
            await attack(*arguments)  # type: ignore[arg-type]

    trio.run(limited)


@pytest.mark.parametrize("attack", strangers.ATTACKS.values(), ids=strangers.ATTACKS)
def test_strangers_do_no_harm(victim: Victim, attack: Attack) -> None:
    launch(attack, victim.addresses[0])
    assert not victim.trouble()


@pytest.mark.parametrize("beginning", streams.BEGINNINGS.values(), ids=streams.BEGINNINGS)
def test_a_stream_may_begin_with_anything(victim: Victim, beginning: bytes) -> None:
    launch(streams.say, victim.addresses[0], beginning)
    assert not victim.trouble()


@pytest.mark.parametrize("attack", streams.ATTACKS.values(), ids=streams.ATTACKS)
def test_streams_do_no_harm(victim: Victim, attack: Attack) -> None:
    launch(attack, victim.addresses[0])
    assert not victim.trouble()


@pytest.mark.parametrize("attack", frames.ATTACKS.values(), ids=frames.ATTACKS)
def test_frames_do_no_harm(victim: Victim, attack: Attack) -> None:
    launch(attack, victim.addresses[0])
    assert not victim.trouble()


@contextmanager
def stock_victim(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """libp2p as published, in a process: its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.attacks.stock_victim", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, json.loads(process.stdout.readline())[0]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def stock() -> Iterator[str]:
    """The address of a stock host that offers all that it has."""
    with stock_victim() as (_, address):
        yield address


def test_a_stock_host_dies_of_one_message() -> None:
    """What is no attack on a stock host would prove nothing about the victim."""
    with stock_victim("noise") as (process, address):
        launch(streams.say, address, streams.BEGINNINGS["text that is not UTF-8"])
        assert process.wait(10) != 0


def test_a_stock_host_takes_all_that_is_sent() -> None:
    with stock_victim("noise") as (process, address):
        launch(frames.ATTACKS["window_flood"], address)
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert int(status.split("VmHWM:")[1].split()[0]) * 1024 > 2 * GROWTH


def test_more_connections_over_a_lifetime_than_there_are_places(victim: Victim) -> None:
    """A stock host gives each inbound connection a slot and never takes it back: the 251st is refused for ever."""
    before = victim.descriptors()

    async def come_and_go() -> None:
        async with started() as transport:
            for _ in range(300):
                await transport.connect(victim.addresses, WAIT)
                await transport.disconnect(victim.peer)

    asyncio.run(come_and_go())
    assert not victim.trouble()
    assert victim.descriptors() <= before + 2


@pytest.mark.parametrize("security", DIALLERS)
def test_only_noise_is_spoken(victim: Victim, stock: str, security: str) -> None:
    """The same dialler is taken by a stock host, or, for Noise, by the victim: it would work if it were let."""
    assert trio.run(dial, stock, security) == b"hello"
    if security == "noise":
        assert trio.run(dial, victim.addresses[0], security) == b"hello"
    else:
        assert trio.run(dial, victim.addresses[0], security) is None
    assert not victim.trouble()


def test_a_dialler_that_expects_somebody_else_gets_nobody(victim: Victim) -> None:
    wrong = with_peer(victim.addresses[0].rpartition("/p2p/")[0], Identity.new().peer_id)
    assert trio.run(dial, wrong, "noise") is None
    assert trio.run(dial, victim.addresses[0], "noise") == b"hello"


async def test_whoever_listens_on_the_wire_reads_nothing(victim: Victim) -> None:
    seen = bytearray()
    secret = b"a body that nobody else may read " * 100
    async with between(victim.addresses[0], seen) as address, started() as transport:
        await transport.connect([address], WAIT)
        assert await transport.request(victim.peer, secret, WAIT) == secret
    assert len(seen) > 2 * len(secret)
    for word in (secret[:16], PROTOCOL.encode()[1:12], b"yamux", victim.peer.encode(), transport.peer_id.encode()):
        assert word not in seen
    assert b"/noise" in seen


async def test_the_listener_on_the_wire_would_read_plain_text(stock: str) -> None:
    seen = bytearray()
    async with between(stock, seen) as address:
        assert await asyncio.to_thread(trio.run, dial, address, "plaintext") == b"hello"
    assert PROTOCOL.encode() in seen
    assert b"hello" in seen


@pytest.mark.parametrize("crumb", [pytest.param(536, marks=pytest.mark.slow), 100])
async def test_a_link_of_small_segments_carries_large_bodies(victim: Victim, crumb: int) -> None:
    """A stock host closes a link on which a Noise message comes in more than 101 pieces."""
    async with between(victim.addresses[0], bytearray(), crumb, pause=0.0003) as address, started() as transport:
        await transport.connect([address], WAIT)
        body = os.urandom(MAX_BODY)
        assert await transport.request(victim.peer, body, 3 * WAIT) == body


async def test_a_frozen_peer_is_noticed_let_go_and_met_again(mortal: Victim) -> None:
    """A stock host takes a stopped process for connected as long as it likes, and hangs on whatever it asks of it."""
    options = HostOptions(ping_every=0.3, ping_timeout=0.7, write_timeout=1.0, handshake_wait=0.5)
    async with asyncio.timeout(60), started(options) as transport:
        await transport.connect(mortal.addresses, WAIT)
        os.kill(mortal.process.pid, signal.SIGSTOP)
        with pytest.raises(TimedOut):
            await transport.request(mortal.peer, b"hello", 0.2)
        asking = [transport.request(mortal.peer, bytes(MAX_BODY), WAIT) for _ in range(100)]
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Unreachable}
        assert not transport.links()[0].connected
        with pytest.raises(TimedOut):
            await transport.connect(mortal.addresses, 0.3)
        os.kill(mortal.process.pid, signal.SIGCONT)
        await transport.connect(mortal.addresses, WAIT)
        assert await transport.request(mortal.peer, b"hello", WAIT) == b"hello"
        os.kill(mortal.process.pid, signal.SIGSTOP)
        async with asyncio.timeout(2):
            await transport.close()


async def test_a_killed_peer_is_unreachable_and_never_half_an_answer(mortal: Victim) -> None:
    async with started() as transport:
        await transport.connect(mortal.addresses, WAIT)
        asking = [asyncio.ensure_future(transport.request(mortal.peer, bytes(MAX_BODY), WAIT)) for _ in range(64)]
        await asking[0]
        mortal.process.kill()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(outcome, Unreachable) or outcome == bytes(MAX_BODY) for outcome in outcomes)
        await until(lambda: not transport.links()[0].connected)  # all may be answered before the end is seen
        with pytest.raises(Unreachable):
            await transport.connect(mortal.addresses, WAIT)
