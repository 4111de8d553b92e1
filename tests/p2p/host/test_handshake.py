"""Noise and yamux, nothing else, within a time, and with the peer that was meant."""

from __future__ import annotations

import importlib.metadata
import logging

import pytest
import trio

from p2p.errors import CannotListen, TimedOut, Unreachable
from p2p.host.handshake import TESTED, Handshake, check_version, quieten
from p2p.host.muxer import MuxLimits
from p2p.host.wire import line
from tests.fakes import fake_identity
from tests.p2p.host.links import DIALLED, DIALLER, limited, links, wires

LIMITS = MuxLimits()


def test_both_sides_learn_who_the_other_is() -> None:
    async def main() -> None:
        async with links(LIMITS) as (one, other):
            assert one.peer_id.to_base58() == DIALLED.peer_id
            assert other.peer_id.to_base58() == DIALLER.peer_id
            assert one.is_initiator
            assert not other.is_initiator

    limited(main)


def test_another_peer_than_the_one_that_was_meant_is_refused() -> None:
    meant = fake_identity(103).peer_id

    async def main() -> None:
        async with wires() as (one, other), trio.open_nursery() as nursery:

            async def dialled() -> None:
                with pytest.raises(Unreachable):
                    await Handshake(DIALLED, LIMITS, 5).inbound(other)

            nursery.start_soon(dialled)
            with pytest.raises(Unreachable, match=f"Another peer than {meant}"):
                await Handshake(DIALLER, LIMITS, 5).outbound(one, meant)
            one.cut()

    limited(main)


def test_a_side_that_says_nothing_is_given_up_in_time() -> None:
    """libp2p 0.8.1 waits for ever for a listener that never speaks."""

    async def main() -> None:
        async with wires() as (one, other):
            with pytest.raises(TimedOut):
                await Handshake(DIALLER, LIMITS, 0.1).outbound(one, DIALLED.peer_id)
            with pytest.raises(TimedOut):
                async with wires() as (_, silent):
                    await Handshake(DIALLED, LIMITS, 0.1).inbound(silent)
            del other

    limited(main)


@pytest.mark.parametrize("offer", [b"/plaintext/2.0.0", b"/tls/1.0.0", b"/secio/1.0.0", b"/insecure"])
def test_other_security_is_answered_with_no(offer: bytes) -> None:
    async def main() -> None:
        async with wires() as (one, other), trio.open_nursery() as nursery:

            async def dialled() -> None:
                with pytest.raises(Unreachable):
                    await Handshake(DIALLED, LIMITS, 5).inbound(other)
                other.cut()

            nursery.start_soon(dialled)
            await one.write(line(b"/multistream/1.0.0") + line(offer))
            expected = line(b"/multistream/1.0.0") + line(b"na")
            assert await one.read(len(expected)) == expected
            one.cut()

    limited(main)


def test_another_libp2p_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_version()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.9.0")
    with pytest.raises(CannotListen, match=r"0\.9\.0") as caught:
        check_version()
    assert TESTED in caught.value.remedy


def test_the_log_of_libp2p_stays_off_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    quieten()
    quieten()
    assert len([one for one in logging.getLogger("libp2p").handlers if isinstance(one, logging.NullHandler)]) == 1
    logging.getLogger("libp2p.security").error("a peer caused this")
    assert "a peer caused this" not in capfd.readouterr().err
