"""Every picture is counted once; spreads are those of the values; memory stays as it is."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.live_report import Counted, Fate, Spread, Tally

FATES: tuple[Fate, ...] = ("moved", "silent", "faceless", "kept", "late", "unknown", "audio only")


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(-1.9, 1.9), min_size=1, max_size=200))
def test_spreads_are_those_of_the_values_to_half_a_millisecond(values: list[float]) -> None:
    counted = Counted()
    for value in values:
        counted.add(value)
    spread = counted.spread()
    p50, p95 = (float(np.percentile(values, q, method="inverted_cdf")) * 1000 for q in (50, 95))
    assert spread.count == len(values)
    assert spread.p50 == pytest.approx(p50, abs=0.51)
    assert spread.p95 == pytest.approx(p95, abs=0.51)
    assert abs(spread.most) == pytest.approx(max(map(abs, values)) * 1000, abs=1e-3)


def test_what_is_out_of_reach_is_counted_at_the_edge_and_told_as_the_largest() -> None:
    counted = Counted()
    assert counted.spread() == Spread()
    counted.add(100.0)
    assert counted.spread() == Spread(1, 2000.0, 2000.0, 100_000.0)


@settings(deadline=None, max_examples=50)
@given(fates=st.lists(st.sampled_from(FATES), max_size=150))
def test_each_picture_is_counted_once_in_all_and_in_its_second(fates: list[Fate]) -> None:
    tally = Tally()
    for at, fate in enumerate(fates):
        tally.left(at / 25, fate, 0.2, 0.001 * (at % 3))
    report = tally.report(2, "phonemes")
    parts = (report.moved, report.silent, report.faceless, report.kept, report.late, report.unknown, report.audio_only)
    assert report.pictures == sum(parts) == len(fates) == sum(each.pictures for each in report.seconds)
    assert parts == tuple(fates.count(fate) for fate in FATES)
    assert [each.second for each in report.seconds] == list(range((len(fates) + 24) // 25))
    assert sum(each.moved for each in report.seconds) == report.moved
    assert sum(each.late for each in report.seconds) == report.late + report.unknown
    assert sum(each.audio_only for each in report.seconds) == report.audio_only
    assert (report.spells, report.curves) == (2, "phonemes")
    if fates:
        assert report.waited.p50 == pytest.approx(200, abs=0.5)
        assert report.seconds[0].skew.most <= 2.0


def test_an_hour_takes_no_more_memory_than_ten_minutes() -> None:
    tally = Tally()

    def size() -> int:
        return sys.getsizeof(tally._seconds) + tally.skew._bins.nbytes

    for second in range(700):
        tally.left(float(second), "moved", 0.2, 0.0)
    before = size()
    for second in range(700, 3600):
        tally.left(float(second), "moved", 0.2, 0.0)
    report = tally.report(0, "phonemes")
    assert size() == before
    assert report.pictures == 3600
    assert len(report.seconds) == 601
