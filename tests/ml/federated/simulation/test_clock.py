"""Virtual time: churn, stays, and rounds that keep people longer than they should."""

from __future__ import annotations

import numpy as np
import pytest

from ml.federated.simulation import SimulationSettings, Traces
from ml.federated.simulation.clock import Clock

STEADY = Traces(speed_spread=0, work_spread=0, latency_spread=0, upload_spread=0, download_spread=0, online=0)


def clock(people: int, rows: int = 1000, epochs: int = 5, **settings: object) -> Clock:
    return Clock(SimulationSettings(**settings), np.full(people, rows), epochs)  # type: ignore[arg-type]


def everybody_does(some: Clock, number: int, people: int) -> np.ndarray:
    there = some.there(number)
    online = np.flatnonzero(there)
    some.pass_round(number, online, np.full(len(online), 3), 10_000.0)
    return there


def test_without_traces_rounds_come_at_their_interval_and_everything_arrives_at_once() -> None:
    some = clock(4, interval=60.0)
    assert np.isinf(some.age(np.arange(4))).all()
    assert everybody_does(some, 1, 4).all()
    assert some.time == 60.0
    assert (some.age(np.arange(4)) == 60.0).all()
    assert everybody_does(some, 2, 4).all()


def test_churn_keeps_its_share_away() -> None:
    some = clock(10_000, churn=0.3)
    first, second = some.there(1), some.there(2)
    assert first.mean() == pytest.approx(0.7, abs=0.03)
    assert (first & second).mean() == pytest.approx(0.49, abs=0.03)


def test_a_round_takes_its_work_and_its_messages() -> None:
    some = clock(3, traces=STEADY, interval=0.0)
    everybody_does(some, 1, 3)
    assert some.time == pytest.approx(1000 * 5 * 2e-5 + 0.05 + 30_000 / 1e6 + 30_000 / 5e6)


def test_who_is_not_done_misses_rounds() -> None:
    some = clock(2, rows=10**6, traces=STEADY, interval=60.0)
    assert [everybody_does(some, number, 2).all() for number in range(1, 5)] == [True, False, True, False]


def test_people_come_and_go_and_are_there_for_their_share_of_the_time() -> None:
    traces = Traces(online=3600.0, offline=3600.0)
    some = clock(2000, traces=traces, interval=600.0)
    seen = np.array([everybody_does(some, number, 2000) for number in range(1, 200)])
    assert seen.mean() == pytest.approx(0.5, abs=0.05)
    assert seen[0].mean() == pytest.approx(0.5, abs=0.05)
    stays = np.diff(seen.astype(int), axis=0) != 0
    assert 0 < stays.mean() < 0.25


def test_when_nobody_is_there_time_goes_to_the_next_who_comes() -> None:
    some = clock(1, traces=Traces(online=1000.0, offline=50_000.0), interval=0.0)
    online = [everybody_does(some, number, 1).any() for number in range(1, 2000)]
    assert any(online)
    assert not all(online)


def test_it_goes_on_from_where_it_was() -> None:
    one = clock(50, traces=Traces(), churn=0.2)
    other = clock(50, traces=Traces(), churn=0.2)
    for number in range(1, 6):
        everybody_does(one, number, 50)
    other.time = one.time
    for name, array in other.state().items():
        array[...] = one.state()[name]
    for number in range(6, 30):
        assert np.array_equal(everybody_does(one, number, 50), everybody_does(other, number, 50))
        assert one.time == other.time
