"""The desk at which pairings happen, between two gates over links in memory."""

from __future__ import annotations

import asyncio

import pytest

from p2p.errors import BadMessage, PairingFailed, RefusedByPeer, Unreachable
from p2p.invite import Standing
from p2p.pairing import PROOF_WAIT, Stage
from p2p.peers import Trust
from p2p.wire import Refused, Want, encode
from tests.fakes import run_virtually
from tests.p2p.nodes import TestNode, network


def places(node: TestNode) -> tuple[str, ...]:
    return node.gate.addresses()


async def two() -> tuple[TestNode, TestNode]:
    net = network()
    return await TestNode(net, 0).start(), await TestNode(net, 1).start()


def test_a_code_with_an_address_pairs_as_its_link_does():
    async def run() -> None:
        a, b = await two()
        shown = a.gate.open_pairing()
        assert shown.lifetime == 600
        assert shown.code.replace(" ", "") in shown.link
        assert await b.gate.pair(shown.code, places(a)) == a.peer
        assert b.book.get(a.peer).addresses == places(a)
        assert a.book.get(b.peer).trust is b.book.get(a.peer).trust is Trust.TRUSTED
        with pytest.raises(PairingFailed, match="used up"):
            await b.gate.pair(shown.code, places(a))

    run_virtually(run())


def test_a_code_alone_does_not_say_where():
    async def run() -> None:
        a, b = await two()
        with pytest.raises(PairingFailed, match="where the other node is"):
            await b.gate.pair(a.gate.open_pairing().code)

    run_virtually(run())


@pytest.mark.parametrize("ended", ["never opened", "closed", "opened anew"])
def test_a_code_that_is_not_shown_now_does_not_pair(ended):
    async def run() -> None:
        a, b = await two()
        code = "12345671" if ended == "never opened" else a.gate.open_pairing().code
        if ended == "closed":
            a.gate.close_pairing()
        if ended == "opened anew":
            while a.gate.open_pairing().code == code:
                pass
        with pytest.raises(PairingFailed):
            await b.gate.pair(code, places(a))
        assert not a.book.trusts(b.peer)
        assert b.book.get(a.peer) is None

    run_virtually(run())


def test_a_guess_fails_for_both_and_the_code_is_gone():
    async def run() -> None:
        a, b = await two()
        right = a.gate.open_pairing().code
        guess = "12345671" if right != "1234 5671" else "12345683"
        with pytest.raises(PairingFailed, match="not the one"):
            await b.gate.pair(guess, places(a))
        with pytest.raises(PairingFailed, match="used up"):
            await b.gate.pair(right, places(a))
        assert a.book.get(b.peer) is None

    run_virtually(run())


def test_a_blocked_peer_cannot_pair_its_way_in():
    async def run() -> None:
        a, b = await two()
        a.book.add(b.peer, trust=Trust.BLOCKED)
        with pytest.raises((Unreachable, RefusedByPeer)):
            await b.gate.pair(a.gate.open_pairing().link)
        assert a.book.get(b.peer).trust is Trust.BLOCKED

    run_virtually(run())


def test_pairing_overrules_a_peer_that_was_only_waiting_and_is_told_once():
    async def run() -> None:
        a, b = await two()
        a.book.knock(b.peer, "somebody")
        await b.gate.pair(a.gate.open_pairing().link)
        assert a.book.trusts(b.peer)
        a.book.set_trust(b.peer, Trust.WAITING)  # the owner thinks again
        with pytest.raises(PairingFailed):
            await b.gate.pair("12345671", places(a))
        assert not a.book.trusts(b.peer)

    run_virtually(run())


@pytest.mark.parametrize("answer", [Refused(code="busy"), Refused(code="wrong-code"), Want(update=bytes(32), offset=0)])
def test_a_node_that_does_not_pair_is_not_trusted(answer):
    async def run() -> None:
        a, b = await two()

        async def says(peer: str, body: bytes) -> bytes:
            return encode(answer)

        a.transport._handler = says
        with pytest.raises((PairingFailed, RefusedByPeer, BadMessage)):
            await b.gate.pair("12345671", places(a))
        assert b.book.get(a.peer) is None

    run_virtually(run())


def test_who_shows_a_code_can_see_what_becomes_of_it():
    async def run() -> None:
        a, b = await two()
        assert (a.gate.pairing().number, a.gate.pairing().stage) == (0, Stage.NONE)
        shown = a.gate.open_pairing()
        guess = "12345671" if shown.code != "1234 5671" else "12345683"
        with pytest.raises(PairingFailed, match="not the one"):
            await b.gate.pair(guess, places(a))
        await asyncio.sleep(PROOF_WAIT)
        assert (a.gate.pairing().number, a.gate.pairing().stage) == (1, Stage.SPENT)
        for number in (2, 3):  # a peer that is trusted already may pair again
            await b.gate.pair(a.gate.open_pairing().link)
            assert a.gate.pairing() == Standing(number, Stage.PAIRED, b.peer)
        a.gate.close_pairing()
        assert a.gate.pairing().stage is Stage.NONE

    run_virtually(run())
