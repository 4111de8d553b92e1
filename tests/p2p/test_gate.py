"""The gate over links in memory: who gets how far, and that nothing ends it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import msgpack
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.budget import Allowance
from p2p.errors import BadMessage, RefusedByPeer, TimedOut, Unreachable
from p2p.gate import GateOptions
from p2p.peers import Trust
from p2p.wire import CODES, Done, Piece, Refused, Welcome, encode
from tests.fakes import run_virtually
from tests.p2p.nodes import ME, TestNode, hello, network, offer
from tests.p2p.strategies import messages


@pytest.fixture(autouse=True)
def _quiet():
    """Defects that the tests make on purpose are not shown."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


def virtually(test):
    """Run an async test on a virtual clock."""

    def run() -> None:
        run_virtually(test())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


async def pair_of(**options: object) -> tuple[TestNode, TestNode]:
    """Two nodes that trust each other, linked, without a hello yet."""
    net = network()
    a, b = await TestNode(net, 0).start(), await TestNode(net, 1, **options).start()
    a.trusts(b)
    b.trusts(a)
    await a.linked(b)
    return a, b


def code(answer: object) -> str:
    assert isinstance(answer, Refused), answer
    return answer.code


@virtually
async def test_friends_say_hello_and_exchange():
    a, b = await pair_of()
    await a.gate.dial(b.peer)
    assert a.gate.connected() == (b.peer,)
    assert b.gate.connected() == (a.peer,)
    assert b.book.get(a.peer).name == "somebody"
    assert await a.gate.ask(b.peer, offer(), 5) == Done(update=offer().update)
    assert b.asked == [(a.peer, offer())]
    assert b.gate.tally.answered == {("hello", "welcome"): 1, ("offer", "done"): 1}
    assert a.gate.tally.asked == {("hello", "welcome"): 1, ("offer", "done"): 1}
    assert a.gate.tally.bytes_out == b.gate.tally.bytes_in > 0
    assert b.book.get(a.peer).bytes_in == b.gate.tally.bytes_in
    await b.gate.close()
    assert b.saved[a.peer].bytes_in == b.gate.tally.bytes_in
    assert a.gate.connected() == ()


@virtually
async def test_an_unknown_peer_is_noted_held_at_the_door_and_never_reaches_the_household():
    net = network()
    a, b = await TestNode(net, 0).start(), await TestNode(net, 1).start()
    a.trusts(b)
    with pytest.raises(RefusedByPeer) as caught:
        await a.gate.dial(b.peer)
    assert caught.value.code == "not-trusted"
    assert b.book.get(a.peer).trust is Trust.WAITING
    assert b.book.get(a.peer).name == "somebody"
    for request in (offer(), Piece(update=bytes(32), offset=0, data=b"x")):
        with pytest.raises(RefusedByPeer, match="not-trusted"):
            await a.gate.ask(b.peer, request, 5)
    assert b.asked == []
    assert b.gate.connected() == ()
    assert b.book.strikes(a.peer) == 0  # not to be known is no fault


@virtually
async def test_an_open_node_exchanges_with_whoever_comes_and_the_blocked_stay_out():
    net = network()
    a, b = await TestNode(net, 0).start(), await TestNode(net, 1, open=True).start()
    a.trusts(b)
    await a.gate.dial(b.peer)
    assert isinstance(await a.gate.ask(b.peer, offer(), 5), Done)
    assert b.gate.connected() == (a.peer,)
    b.book.set_trust(a.peer, Trust.BLOCKED)
    assert b.gate.connected() == ()
    assert code(await a.raw(b, hello())) == "blocked"


@virtually
async def test_who_stands_on_other_ground_is_told_so_by_either_side():
    for other in (replace(ME, layout="voice-2"), replace(ME, genesis=b"\2" * 32)):
        a, b = await pair_of(about=other)
        with pytest.raises(RefusedByPeer) as caught:
            await a.gate.dial(b.peer)
        assert caught.value.code == "other-ground"
        assert 450 <= a.book.get(b.peer).next_dial_at - a.book.get(b.peer).added_at <= 900
        assert a.gate.connected() == b.gate.connected() == ()
        assert a.book.strikes(b.peer) == b.book.strikes(a.peer) == 0  # to stand on another model is no fault
        assert a.gate.troubles() == {b.peer: "another model (other-ground)"}
        with pytest.raises(RefusedByPeer):
            await b.gate.dial(a.peer)
        assert a.gate.troubles() == {b.peer: f"another model: {other.layout}"}, "its hello said which"
        with pytest.raises(RefusedByPeer):
            await a.gate.dial(b.peer)
        assert a.gate.troubles() == {b.peer: f"another model: {other.layout}"}, "a refusal tells less"
        assert b.gate.troubles() == {a.peer: f"another model: {ME.layout}"}


@virtually
async def test_a_welcome_from_other_ground_is_not_believed():
    a, b = await pair_of()

    async def liar(peer: str, body: bytes) -> bytes:
        return encode(Welcome(agent="x", name="x", layout="voice-1", genesis=b"\3" * 32))

    b.transport._handler = liar
    with pytest.raises(RefusedByPeer, match="other-ground"):
        await a.gate.dial(b.peer)
    assert a.gate.connected() == ()


@given(st.lists(st.binary(max_size=200) | messages.map(encode), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_whatever_a_peer_sends_it_gets_an_answer_and_the_node_lives(bodies):
    async def run() -> None:
        a, b = await pair_of()

        async def household(peer, request):
            raise ZeroDivisionError("a defect")

        b.household = household
        for body in bodies:
            if body:
                answer = await a.raw(b, body)
                assert not isinstance(answer, Refused) or answer.code in CODES
        b.book.set_trust(a.peer, Trust.TRUSTED)
        b.household = b.done
        assert await a.gate.ask(b.peer, offer(), 5) == Done(update=offer().update)

    run_virtually(run())


@virtually
async def test_bytes_that_are_no_message_are_strikes_and_ten_of_them_a_ban():
    a, b = await pair_of()
    for _ in range(10):
        assert code(await a.raw(b, b"\xc1")) == "bad-message"
    banned = await a.raw(b, hello())
    assert code(banned) == "blocked"
    assert 3500 < banned.retry_after < 3700
    assert b.gate.tally.strikes == {"bad-message": 10}
    assert b.gate.tally.answered == {("unreadable", "bad-message"): 10, ("unreadable", "blocked"): 1}
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(b.gate.keep_in_touch())
        await asyncio.sleep(2)
        assert not b.link(a).connected  # cut
        with pytest.raises(Unreachable):
            await a.linked(b)  # and not let in again
        await asyncio.sleep(3700)
        await a.linked(b)
        keeping.cancel()


@virtually
async def test_a_later_version_is_refused_without_a_strike():
    a, b = await pair_of()
    body = msgpack.packb({"t": "hello", "v": 2, "all": ["is", "new"]})
    assert code(await a.raw(b, body)) == "version"
    assert b.book.strikes(a.peer) == 0


@virtually
async def test_an_answer_for_a_request_is_a_bad_message():
    a, b = await pair_of()
    assert code(await a.raw(b, encode(Done(update=bytes(32))))) == "bad-message"


@virtually
async def test_a_budget_is_kept_and_who_waits_as_told_is_served():
    a, b = await pair_of(allowance=Allowance(requests_per_minute=4))
    assert isinstance(await a.raw(b, hello()), Welcome)
    assert isinstance(await a.raw(b, hello()), Welcome)
    with pytest.raises(RefusedByPeer) as caught:
        await a.gate.ask(b.peer, offer(), 5)
    assert caught.value.code == "budget"
    assert 0 < caught.value.retry_after <= 30.1
    await asyncio.sleep(caught.value.retry_after)
    assert isinstance(await a.gate.ask(b.peer, offer(), 5), Done)
    assert b.book.strikes(a.peer) == pytest.approx(0.1, rel=0.01)


@virtually
async def test_many_strangers_have_one_budget_and_take_nothing_from_friends():
    net = network()
    b = await TestNode(net, 0, allowance=Allowance(requests_per_minute=4)).start()
    friend = await TestNode(net, 1).start()
    b.trusts(friend)
    strangers = [await TestNode(net, number).start() for number in (2, 3, 4)]
    codes = []
    for stranger in strangers:
        await stranger.linked(b)
        codes.append(code(await stranger.raw(b, hello())))
    assert codes == ["not-trusted", "not-trusted", "budget"]
    await friend.linked(b)
    assert isinstance(await friend.raw(b, hello()), Welcome)


@virtually
async def test_with_an_open_door_many_ids_have_one_budget_too_and_friends_have_their_own():
    net = network()
    b = await TestNode(net, 0, open=True, allowance=Allowance(requests_per_minute=4)).start()
    friend = await TestNode(net, 1).start()
    b.trusts(friend)
    strangers = [await TestNode(net, number).start() for number in (2, 3, 4)]
    answers = []
    for stranger in strangers:
        await stranger.linked(b)
        answers.append(await stranger.raw(b, hello()))
    assert [type(answer) for answer in answers] == [Welcome, Welcome, Refused]
    assert code(answers[2]) == "budget"
    assert b.book.strikes(strangers[2].peer) == 0, "others have used it up"
    await friend.linked(b)
    assert isinstance(await friend.raw(b, hello()), Welcome)


@virtually
async def test_a_household_that_fails_answers_badly_or_hangs_is_busy_and_the_gate_lives():
    a, b = await pair_of(options=GateOptions(answer_wait=3.0))

    async def fails(peer, request):
        raise ZeroDivisionError("a defect")

    async def nonsense(peer, request):
        return None

    async def breaks_bounds(peer, request):
        return Done(update=b"short")

    async def hangs(peer, request):
        await asyncio.sleep(1000)

    for number, household in enumerate((fails, nonsense, breaks_bounds), 1):
        b.household = household
        answer = await a.raw(b, encode(offer()))
        assert (code(answer), answer.retry_after) == ("busy", 5.0)
        assert b.gate.tally.faults == number
    b.household = hangs
    before = asyncio.get_running_loop().time()
    assert code(await a.raw(b, encode(offer()))) == "busy"
    assert asyncio.get_running_loop().time() - before == pytest.approx(3)
    b.household = b.done
    assert isinstance(await a.raw(b, encode(offer())), Done)
    assert b.book.strikes(a.peer) == 0  # our faults are not the peer's


@virtually
async def test_what_is_answered_at_a_time_is_bounded():
    a, b = await pair_of(options=GateOptions(answers_per_peer=2))
    release = asyncio.Event()

    async def waits(peer, request):
        await release.wait()
        return Done(update=request.update)

    b.household = waits
    asking = [asyncio.ensure_future(a.raw(b, encode(offer()))) for _ in range(5)]
    await asyncio.sleep(1)
    assert sorted(code(task.result()) for task in asking if task.done()) == ["busy"] * 3
    release.set()
    answers = await asyncio.gather(*asking)
    assert sum(isinstance(answer, Done) for answer in answers) == 2


@virtually
async def test_what_the_household_finds_out_is_a_strike():
    a, b = await pair_of()

    async def refuses(peer, request):
        return Refused(code="bad-signature")

    b.household = refuses
    for _ in range(2):
        with pytest.raises(RefusedByPeer):
            await a.gate.ask(b.peer, offer(), 5)
    assert not b.book.admits(a.peer)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"\xc1", id="no msgpack"),
        pytest.param(encode(Done(update=b"\1" * 32)), id="of another update"),
        pytest.param(encode(Welcome(agent="", name="", layout="x", genesis=bytes(32))), id="of another kind"),
        pytest.param(encode(offer()), id="a request"),
    ],
)
def test_a_bad_answer_is_an_error_and_a_strike(answer):
    async def run() -> None:
        a, b = await pair_of()

        async def says(peer: str, body: bytes) -> bytes:
            return answer

        b.transport._handler = says
        with pytest.raises(BadMessage):
            await a.gate.ask(b.peer, offer(), 5)
        assert a.book.strikes(b.peer) == pytest.approx(1)
        assert a.gate.tally.asked == {("offer", "bad-message"): 1}

    run_virtually(run())


@virtually
async def test_a_refusal_is_told_clean_with_its_code_even_one_of_the_future():
    a, b = await pair_of()

    async def refuses(peer, request):
        return Refused(code="code-of-the-future", sentence="\x1b[2Jgo away\u202e", retry_after=7.0)

    b.household = refuses
    with pytest.raises(RefusedByPeer) as caught:
        await a.gate.ask(b.peer, offer(), 5)
    assert (caught.value.code, caught.value.retry_after) == ("code-of-the-future", 7.0)
    assert caught.value.sentence == "The peer refused (code-of-the-future): [2Jgo away"
    assert a.gate.tally.asked == {("offer", "other"): 1}


@virtually
async def test_silence_and_absence_are_told_apart():
    a, b = await pair_of()
    b.network.partition([a.peer], [b.peer])
    with pytest.raises(TimedOut):
        await a.gate.ask(b.peer, offer(), 5)
    b.network.heal()
    b.network.crash(b.peer)
    with pytest.raises(Unreachable):
        await a.gate.ask(b.peer, offer(), 5)
    assert a.gate.tally.asked == {("offer", "timed-out"): 1, ("offer", "unreachable"): 1}


@virtually
async def test_a_request_that_breaks_the_protocol_is_this_nodes_own_fault():
    a, b = await pair_of()
    with pytest.raises(ValueError, match="breaks the protocol"):
        await a.gate.ask(b.peer, Piece(update=b"", offset=0, data=b""), 5)


@virtually
async def test_peers_that_go_and_come_are_found_again_for_ever():
    net = network()
    a, b = await TestNode(net, 0).start(), TestNode(net, 1)
    a.trusts(b)
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(a.gate.keep_in_touch())
        for away in (10, 1000, 10_000):
            await asyncio.sleep(away)
            assert a.gate.connected() == ()
            b = await TestNode(net, 1).start()
            b.trusts(a)
            await asyncio.sleep(320)
            assert a.gate.connected() == (b.peer,)
            assert b.gate.connected() == (a.peer,)
            await b.gate.close()
        keeping.cancel()


@virtually
async def test_once_the_owner_says_yes_friends_meet_within_seconds_over_the_link_that_is_there():
    """A knocks at B, waits; B's owner trusts A, whose address B does not know: B says hello over A's link."""
    net = network()
    a, b = await TestNode(net, 0).start(), await TestNode(net, 1).start()
    a.trusts(b)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(node.gate.keep_in_touch()) for node in (a, b)]
        await asyncio.sleep(5)
        assert b.book.get(a.peer).trust is Trust.WAITING
        b.book.set_trust(a.peer, Trust.TRUSTED)
        await asyncio.sleep(3)
        assert a.gate.connected() == (b.peer,)
        assert b.gate.connected() == (a.peer,)
        for task in tasks:
            task.cancel()


@virtually
async def test_one_that_does_not_want_to_talk_is_not_pestered():
    net = network()
    a, b = await TestNode(net, 0).start(), await TestNode(net, 1).start()
    a.trusts(b)
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(a.gate.keep_in_touch())
        await asyncio.sleep(3600)
        keeping.cancel()
    assert 4 <= b.gate.tally.answered["hello", "not-trusted"] <= 9


@virtually
async def test_dials_at_a_time_are_bounded_and_one_dead_peer_holds_up_nobody():
    net = network()
    a, b = await TestNode(net, 0, options=GateOptions(dials=2)).start(), await TestNode(net, 1).start()
    b.trusts(a)
    dead = [TestNode(net, number) for number in (2, 3, 4, 5)]
    for node in dead:
        await node.start()
        a.trusts(node)
    net.partition([node.peer for node in dead])
    a.trusts(b)
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(a.gate.keep_in_touch())
        for _ in range(60):
            await asyncio.sleep(1)
            assert len(a.gate._dialling) <= 2
        assert a.gate.connected() == (b.peer,)
        keeping.cancel()


@virtually
async def test_a_defect_in_dialling_is_counted_and_does_not_end_the_rest():
    net = network()
    a, b = await TestNode(net, 0).start(), await TestNode(net, 1).start()
    a.trusts(b)
    real = a.transport.connect

    async def breaks(addresses, wait):
        raise ZeroDivisionError("a defect")

    a.transport.connect = breaks
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(a.gate.keep_in_touch())
        await asyncio.sleep(5)
        assert a.gate.tally.faults > 0
        a.transport.connect = real
        b.trusts(a)
        await asyncio.sleep(10)
        assert a.gate.connected() == (b.peer,)
        keeping.cancel()


@virtually
async def test_a_peer_without_an_address_is_not_dialled():
    net = network()
    a, b = await TestNode(net, 0).start(), await TestNode(net, 1).start()
    a.book.add(b.peer)
    for peer in (b.peer, "nobody"):
        with pytest.raises(Unreachable, match="No address"):
            await a.gate.dial(peer)


@virtually
async def test_both_may_dial_at_once():
    net = network(delay=(0.05, 0.2))
    a, b = await TestNode(net, 0).start(), await TestNode(net, 1).start()
    a.trusts(b)
    b.trusts(a)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(node.gate.keep_in_touch()) for node in (a, b)]
        await asyncio.sleep(10)
        assert a.gate.connected() == (b.peer,)
        assert b.gate.connected() == (a.peer,)
        for task in tasks:
            task.cancel()


@virtually
async def test_pairing_makes_both_trust_each_other_and_they_meet():
    net = network()
    a, b = await TestNode(net, 0).start(), await TestNode(net, 1).start()
    shown = a.gate.open_pairing()
    assert await b.gate.pair(shown.link) == a.peer
    assert a.book.trusts(b.peer)
    assert b.book.trusts(a.peer)
    await b.gate.dial(a.peer)
    assert a.gate.connected() == (b.peer,)
    assert isinstance(await b.gate.ask(a.peer, offer(), 5), Done)


@virtually
async def test_why_a_peer_is_not_connected_is_known_and_said_once():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    net = network()
    a, b = await TestNode(net, 0).start(), await TestNode(net, 1, about=replace(ME, layout="voice-2")).start()
    a.trusts(b)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(RefusedByPeer):
                await a.gate.dial(b.peer)
        assert a.gate.troubles() == {b.peer: "waits for their yes"}
        b.trusts(a)
        with pytest.raises(RefusedByPeer):
            await a.gate.dial(b.peer)
        assert a.gate.troubles() == {b.peer: "another model (other-ground)"}
        assert b.gate.troubles() == {a.peer: "another model: voice-1"}
        b.book.set_trust(a.peer, Trust.BLOCKED)
        await b.transport.disconnect(a.peer)
        with pytest.raises((Unreachable, RefusedByPeer)):
            await a.gate.dial(b.peer)
        assert a.gate.troubles() != {b.peer: "another model (other-ground)"}
        assert b.gate.troubles() == {}, "of a peer that is not trusted there is nothing to say"
    told = [line["why"] for line in lines if line["event"] == "not connected" and line["peer"] == b.peer]
    assert told[:2] == ["waits for their yes", "another model (other-ground)"]
    assert len(told) == 3


@virtually
async def test_a_hello_ends_the_trouble():
    a, b = await pair_of()
    await a.transport.disconnect(b.peer)
    await b.gate.close()
    with pytest.raises(Unreachable):
        await a.gate.dial(b.peer)
    assert set(a.gate.troubles()) == {b.peer}
    again = await TestNode(a.network, 1).start()
    again.trusts(a)
    await a.gate.dial(b.peer)
    assert a.gate.troubles() == {}


@virtually
async def test_a_connected_peer_is_seen_at_every_request_and_a_paired_one_at_once():
    a, b = await pair_of()
    await a.gate.dial(b.peer)
    begun = a.book.get(b.peer).seen_at
    await asyncio.sleep(1000)
    await a.gate.ask(b.peer, offer(), 5)
    assert a.book.get(b.peer).seen_at >= begun + 1000
    assert b.book.get(a.peer).seen_at >= begun + 1000
    assert a.saved[b.peer].seen_at == begun, "a write for each request would be too many"
    await a.gate.close()
    assert a.saved[b.peer].seen_at >= begun + 1000
    c, d = await TestNode(a.network, 2).start(), await TestNode(a.network, 3).start()
    await d.gate.pair(c.gate.open_pairing().link)
    assert c.book.get(d.peer).seen_at > 0
    assert d.book.get(c.peer).seen_at > 0


@virtually
async def test_a_disk_that_takes_nothing_cuts_nobody_off():
    net = network()
    a, b, c = [await TestNode(net, number).start() for number in range(3)]
    a.trusts(b)
    b.trusts(a)

    def full(what: object) -> None:
        raise OSError("the disk is full")

    real, b.book._save = b.book._save, full
    await a.gate.dial(b.peer)
    assert b.gate.connected() == (a.peer,)
    assert await a.gate.ask(b.peer, offer(), 5) == Done(update=offer().update)
    assert code(await a.raw(b, b"junk")) == "bad-message"
    assert b.book.strikes(a.peer) == 1
    await c.linked(b)
    assert code(await c.raw(b, hello())) == "not-trusted"
    assert b.book.get(c.peer).trust is Trust.WAITING
    await b.gate.dial(a.peer)
    assert await c.gate.pair(b.gate.open_pairing().link) == b.peer
    assert b.book.trusts(c.peer)
    assert b.gate.tally.faults == 0
    b.book._save = real
    await b.gate.close()
    assert b.saved[a.peer].strikes == 1
    assert b.saved[c.peer].trust is Trust.TRUSTED
