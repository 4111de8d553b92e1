"""On a computed clock things happen in order, work lasts as long as it is said to, and all is the same again."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.live import Work
from ml.lips.rehearsal import Event, rehearse
from tests.ml.lips.streams import Stream, even, painting, plain, speech, timed


@settings(deadline=None, max_examples=20)
@given(costs=st.lists(st.floats(0, 0.1), min_size=1, max_size=7))
def test_the_same_again_is_the_same(costs: list[float]) -> None:
    reports = []
    for _ in range(2):
        lips, _ = painting()
        Stream(even(3), [(0.0, 0.1, speech(2.5))]).run(lips, lambda work: costs[work.index % len(costs)])
        reports.append(lips.report())
    assert reports[0] == reports[1]


def test_one_piece_of_work_is_done_at_a_time_and_takes_its_time() -> None:
    lips, _ = painting()
    begun: list[float] = []
    work = lips.work

    def watched(now: float) -> Work | None:
        found = work(now)
        if found is not None:
            begun.append(now)
        return found

    lips.work = watched  # type: ignore[method-assign]
    Stream(even(2), [(0.0, 0.1, speech(1.5))]).run(lips, 0.015)
    assert len(begun) > 50
    assert min(after - before for before, after in pairwise(begun)) >= 0.015 - 1e-9


def test_events_must_be_in_order() -> None:
    lips, _ = painting()
    events = [Event(1.0, lambda now: lips.enter(now, now, plain(0))), Event(0.5, lambda now: None)]
    with pytest.raises(ValueError, match="in order"):
        list(rehearse(lips, events, timed(0)))
