"""The book of engines in memory: never above its budget, never without an engine that is used, none built twice."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ml.device import WORKING_ROOM, Gpu, Hardware, Placement
from ml.engines.residency import SHARE, Residency, Use

CPU, CUDA = Placement("cpu", "float32"), Placement("cuda", "float32")
PLENTY = Hardware(10**12, Gpu("cuda", "a card", 10**12, (8, 0)))
BUDGET = 1000


class Thing:
    """Something with close()."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def book(budget: int | None = BUDGET, machine: Hardware = PLENTY) -> Residency:
    return Residency(lambda: machine, budget, give_back=lambda: None)


def come(residency: Residency, name: str, size: int, place: Placement = CPU) -> tuple[Use, Thing] | None:
    use = residency.admit(name, place, size)
    if use is None:
        return None
    thing = Thing()
    residency.loaded(use, thing)
    return use, thing


def came(residency: Residency, name: str, size: int, place: Placement = CPU) -> tuple[Use, Thing]:
    found = come(residency, name, size, place)
    assert found is not None
    return found


def need(size: int) -> int:
    return math.ceil(size * WORKING_ROOM)


def test_the_one_used_longest_ago_leaves_first() -> None:
    residency = book()
    things = {}
    for name in "abc":
        use, things[name] = came(residency, name, 250)
        use.end()
    again = residency.enter("a")
    assert again is not None
    again.end()
    came(residency, "d", 250)
    assert {name: thing.closed for name, thing in things.items()} == {"a": 0, "b": 1, "c": 0}
    assert residency.names() == ("c", "a", "d")


def test_what_is_lent_stays_and_the_newcomer_goes_elsewhere() -> None:
    residency = book()
    use, thing = came(residency, "a", 600)
    use.keep()
    assert come(residency, "b", 600) is None
    assert come(residency, "b", 600, CUDA) is not None, "the accelerator has a budget of its own"
    assert not thing.closed
    use.end()
    assert come(residency, "c", 600) is not None
    assert thing.closed == 1


def test_a_newcomer_waits_for_a_call_to_end() -> None:
    residency = book()
    use, thing = came(residency, "a", 600)
    came_in = threading.Event()

    def newcomer() -> None:
        came(residency, "b", 600)
        came_in.set()

    thread = threading.Thread(target=newcomer)
    thread.start()
    assert not came_in.wait(0.05)
    use.end()
    thread.join(10)
    assert came_in.is_set()
    assert thing.closed == 1


def test_what_is_larger_than_the_budget_never_comes_and_moves_nobody() -> None:
    residency = book()
    _, thing = came(residency, "a", 100)
    assert come(residency, "b", BUDGET) is None
    assert not thing.closed


def test_without_a_budget_it_is_a_share_of_what_is_free() -> None:
    residency = book(None, Hardware(1000))
    assert residency.room().memory == int(SHARE * 1000)
    assert residency.room().gpu is None


@pytest.mark.parametrize(
    ("budget", "main", "card", "bound"),
    [
        (8, 6, 40, True),
        (8, 16, 4, True),
        (8, 16, None, True),
        (8, 6, None, False),
        (8, 6, 4, False),
        (None, 6, 40, False),
    ],
)
def test_what_the_owner_allows_bounds_where_more_is_free(
    budget: int | None, main: int, card: int | None, bound: bool
) -> None:
    machine = Hardware(main, None if card is None else Gpu("cuda", "a card", card, (8, 0)))
    room = Residency(lambda: machine, budget).room()
    assert room.bound == bound
    if budget is not None:
        assert room.most == min(budget, machine.most)


def test_what_other_programs_take_counts_too() -> None:
    others, things = [0], [Thing()]
    residency = Residency(lambda: Hardware(1000 - others[0] - 120 * (1 - things[0].closed)), 10_000)
    use, things[0] = came(residency, "a", 100)
    use.end()
    others[0] = 800
    assert come(residency, "b", 500) is None
    assert not things[0].closed
    assert come(residency, "c", 100) is not None
    assert things[0].closed == 1


def test_an_apple_gpu_shares_the_main_memory() -> None:
    residency = book(machine=Hardware(10**12, Gpu("mps", "Apple GPU", 10**12)))
    use, _ = came(residency, "a", 600)
    use.keep()
    assert come(residency, "b", 600, Placement("mps", "float16")) is None


def test_engines_without_a_size_are_never_let_go() -> None:
    residency = book()
    use, thing = came(residency, "a", 0)
    use.end()
    came(residency, "b", 800)
    residency.rest()
    residency.rest()
    assert not thing.closed


def test_those_not_used_for_a_while_rest() -> None:
    residency = book()
    for name in "ab":
        came(residency, name, 10)[0].end()
    assert residency.rest() == ()
    use = residency.enter("a")
    assert use is not None
    use.end()
    assert residency.rest() == ("b",)
    assert residency.rest() == ("a",)
    assert residency.enter("a") is None


def test_a_name_is_admitted_once() -> None:
    residency = book()
    came(residency, "a", 10)
    with pytest.raises(ValueError, match="already"):
        residency.admit("a", CPU, 10)


def test_a_sentence_is_told_once() -> None:
    heard: list[str] = []
    residency = Residency(lambda: PLENTY, BUDGET, heard.append)
    for sentence in ("one", "two", "one"):
        residency.tell(sentence)
    assert heard == ["one", "two"]


class Household(RuleBasedStateMachine):
    """Engines come, are used, lent, left and rest, in any order, on two memories."""

    names = st.sampled_from("abcdef")

    def __init__(self) -> None:
        super().__init__()
        self.residency = book()
        self.things: dict[str, Thing] = {}
        self.uses: list[tuple[Use, Thing]] = []
        self.all: list[Thing] = []

    @rule(name=names, size=st.integers(1, 700), place=st.sampled_from([CPU, CUDA]), lasting=st.booleans())
    def ask(self, name: str, size: int, place: Placement, lasting: bool) -> None:
        use = self.residency.enter(name)
        if use is None:
            busy = sum(
                u.stay.size for u in {id(u.stay): u for u, _ in self.uses}.values() if u.stay.pool == place.device
            )
            found = come(self.residency, name, size, place)
            assert (found is not None) == (need(size) <= BUDGET - busy), (
                "it comes whenever those not in use could leave"
            )
            if found is None:
                return
            use, self.things[name] = found
            self.all.append(self.things[name])
        use.keep()  # a lone thread must not wait for itself
        if lasting:
            self.uses.append((use, self.things[name]))
        else:
            use.end()

    @precondition(lambda self: self.uses)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        use, _ = self.uses.pop(data.draw(st.integers(0, len(self.uses) - 1)))
        use.end()
        use.end()

    @rule()
    def rest(self) -> None:
        self.residency.rest()

    @invariant()
    def within_the_budget(self) -> None:
        assert all(taken <= BUDGET for taken in self.residency.taken().values())

    @invariant()
    def what_is_used_is_open(self) -> None:
        assert not any(thing.closed for _, thing in self.uses)

    @invariant()
    def what_is_not_in_the_book_is_closed_once(self) -> None:
        there = {id(self.things[name]) for name in self.residency.names()}
        assert all(thing.closed == (id(thing) not in there) for thing in self.all)


Household.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)
TestHousehold = Household.TestCase


def turns(seed: int, count: int) -> Iterator[int]:
    """Numbers that look like chance."""
    for _ in range(count):
        seed = (1103515245 * seed + 12345) % 2**31
        yield seed >> 8


def test_threads_keep_the_budget_and_end() -> None:
    residency, building, wrong = book(), dict.fromkeys("abcd", 0), []
    locks = {name: threading.Lock() for name in "abcd"}

    def work(seed: int) -> None:
        for turn in turns(seed, 60):
            name = "abcd"[turn % 4]
            with locks[name]:
                use = residency.enter(name)
                if use is None:
                    use = residency.admit(name, CPU, 300)
                    if use is None:
                        wrong.append("calls end: there is room for each in time")
                        return
                    building[name] += 1
                    residency.loaded(use, Thing())
            if sum(residency.taken().values()) > BUDGET:
                wrong.append("above the budget")
            if use.stay.engine is None or use.stay.engine.closed:
                wrong.append("closed while it was used")
            use.end()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong
    assert max(building.values()) > 1, "they had to make room for each other"


def test_what_is_half_loaded_is_waited_for_and_not_counted_twice() -> None:
    """Of 1000 bytes one takes 600, of which 500 are taken already while it is loaded: another one of 600 has room,
    once the first may leave."""
    free = [1000]
    residency = Residency(lambda: Hardware(free[0]), 10_000)
    first = residency.admit("a", CPU, 500)
    assert first is not None
    free[0] = 500
    got: list[Use | None] = []
    thread = threading.Thread(target=lambda: got.append(residency.admit("b", CPU, 500)))
    thread.start()
    thread.join(0.05)
    assert not got, "it is not known yet whether there is room"
    free[0] = 400

    class Last(Thing):
        def close(self) -> None:
            super().close()
            free[0] = 1000

    residency.loaded(first, Last())
    first.end()
    thread.join(10)
    assert got[0] is not None
    assert residency.names() == ("b",)


def test_those_that_are_too_large_wait_for_nobody() -> None:
    residency = book()
    assert residency.admit("a", CPU, 500) is not None
    assert residency.admit("b", CPU, 900) is None


@pytest.mark.parametrize("what", ["close", "give_back"])
def test_one_that_does_not_leave_in_peace_holds_nobody_up(what: str) -> None:
    def broken() -> None:
        raise RuntimeError("the card is gone")

    residency = Residency(lambda: PLENTY, BUDGET, give_back=broken if what == "give_back" else lambda: None)
    for name in "ab":
        use, thing = came(residency, name, 100)
        if what == "close":
            thing.close = broken  # type: ignore[method-assign]
        use.end()
    residency.rest()
    with pytest.raises(RuntimeError, match="the card is gone"):
        residency.rest()
    assert residency.names() == ()
    assert [residency.enter(name) for name in "ab"] == [None, None]


def test_an_accelerator_that_cannot_be_used_is_told_once() -> None:
    heard: list[str] = []
    residency = Residency(lambda: Hardware(1000, compiling="on", trouble="the card is full"), tell=heard.append)
    assert (residency.room().compiling, residency.room().trouble) == ("on", "the card is full")
    assert heard == ["Engines run on the CPU: the card is full."]


def test_who_listens_hears_what_was_said_since_and_again_what_is_said_again() -> None:
    aloud: list[str] = []
    residency = Residency(lambda: Hardware(0), tell=aloud.append)
    residency.tell("before")
    news, other = residency.listen(), residency.listen()
    residency.tell("a")
    residency.tell("a")
    residency.tell("before")
    assert sorted(news()) == ["a", "before"]
    assert news() == ()
    residency.tell("a")
    assert news() == ("a",)
    assert sorted(other()) == ["a", "before"]
    assert aloud == ["before", "a"], "aloud each is said once"
