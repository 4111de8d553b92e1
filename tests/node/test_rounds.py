from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.rounds import Commit, Merge, OutOfOrder, Phase, Rest, Rounds, Tell, Train, Wait


def test_a_round_goes_through_all_its_steps_and_speaks_last() -> None:
    rounds = Rounds(interval=60, number=7)
    assert rounds.next(0, ready=True) == Train(7)
    assert rounds.trained() == Merge(7)
    assert rounds.merged() == Commit(7)
    assert rounds.committed() == Tell(7)
    assert rounds.next(30, ready=True) == Wait(60)
    assert rounds.next(60, ready=True) == Train(8)


def test_a_way_that_stands_on_what_peers_know_merges_first() -> None:
    rounds = Rounds(interval=60, number=7, merge_first=True)
    assert rounds.next(0, ready=True) == Merge(7)
    with pytest.raises(OutOfOrder):
        rounds.trained()
    assert rounds.merged() == Train(7)
    assert rounds.trained() == Commit(7)
    assert rounds.committed() == Tell(7)


def test_without_speech_nothing_happens() -> None:
    rounds = Rounds(interval=60)
    assert rounds.next(0, ready=False) == Wait(60)
    assert rounds.phase is Phase.IDLE
    rounds.hurry(10)
    assert rounds.next(10, ready=True) == Train(1)


def test_a_failed_round_tells_nobody_and_the_next_ones_come_more_rarely() -> None:
    rounds = Rounds(interval=60)
    waits = []
    now = 0.0
    for _ in range(4):
        assert rounds.next(now, ready=True) == Train(1)
        wait = rounds.failed(now)
        waits.append(wait.until - now)
        now = wait.until
    assert waits == [60, 60 * 2, 60 * 4, 60 * 8]


def test_it_rests_after_as_many_rounds_as_were_wanted_and_does_one_more_on_request() -> None:
    rounds = Rounds(interval=1, limit=1)
    rounds.next(0, ready=True)
    rounds.trained(), rounds.merged(), rounds.committed()
    assert rounds.next(100, ready=True) == Rest()
    rounds.hurry(100)
    assert rounds.next(100, ready=True) == Train(2)
    rounds.trained(), rounds.merged(), rounds.committed()
    assert rounds.next(200, ready=True) == Rest()


@pytest.mark.parametrize("event", ["trained", "merged", "committed"])
def test_an_event_out_of_order_is_a_defect(event: str) -> None:
    with pytest.raises(OutOfOrder):
        getattr(Rounds(interval=1), event)()
    with pytest.raises(OutOfOrder):
        Rounds(interval=1).failed(0)


EVENTS = st.lists(st.sampled_from(["next", "not ready", "hurry", "go on", "fail"]), max_size=80)


@given(EVENTS, st.integers(0, 3), st.booleans())
def test_nothing_is_told_that_was_not_committed_whatever_happens(
    events: list[str], limit: int, merge_first: bool
) -> None:
    rounds = Rounds(interval=10, limit=limit, merge_first=merge_first)
    now, last, told, begun = 0.0, None, [], []
    for event in events:
        now += 7
        running = rounds.phase in (Phase.TRAINING, Phase.MERGING, Phase.COMMITTING)
        if event in ("next", "not ready") and not running:
            last = rounds.next(now, ready=event == "next")
        elif event == "hurry":
            rounds.hurry(now)
        elif event == "fail" and running:
            last = rounds.failed(now)
        elif event == "go on" and running:
            step = {Phase.TRAINING: rounds.trained, Phase.MERGING: rounds.merged, Phase.COMMITTING: rounds.committed}
            before = rounds.phase
            last = step[rounds.phase]()
            if isinstance(last, Tell):
                assert before is Phase.COMMITTING
                told.append(last.number)
        if isinstance(last, Train | Merge) and running is False and event == "next":
            begun.append(last.number)
    assert told == list(range(1, len(told) + 1))
    assert set(told) <= set(begun)
