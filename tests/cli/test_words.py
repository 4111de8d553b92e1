"""Figures as a person says them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.words import BLOCKS, ago, mixture, size, span, sparkline


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (41_200, "41.2 kB"), (999_949, "999.9 kB"), (999_951, "1.0 MB")],
)
def test_sizes(count: int, said: str) -> None:
    assert size(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (9.95, "10 s"), (99, "99 s"), (100, "2 min"), (5_400, "90 min"), (7_200, "2 h")],
)
def test_spans(seconds: float, said: str) -> None:
    assert span(seconds) == said
    assert span(400_000) == "5 d"
    assert span(math.inf) == span(math.nan) == "-"


def test_moments() -> None:
    assert ago(0.0, 1000.0) == "never"
    assert ago(970.0, 1000.0) == "30 s ago"
    assert ago(2000.0, 1000.0) == "now", "a clock that jumped back"


def test_a_sparkline_goes_from_its_least_to_its_greatest() -> None:
    assert sparkline([1.0, 2.0, 3.0], 3) == "▁▅█"
    assert sparkline([3.0, 3.0], 5) == "▁▁"
    assert sparkline([1.0, None, 2.0], 3) == "▁ █"
    assert sparkline([9.0, 1.0, 2.0], 2) == "▁█", "the last ones are shown"
    assert sparkline([], 5) == sparkline([None], 5) == sparkline([1.0], 0) == ""


@given(st.lists(st.none() | st.floats(), max_size=30), st.integers(0, 40))
def test_any_figures_give_a_line_that_fits(values: list[float | None], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) <= width
    assert set(line) <= {*BLOCKS, " "}


@given(st.floats(0, 1e15), st.floats(0, 1e15))
def test_sizes_and_spans_are_short(count: float, seconds: float) -> None:
    assert len(size(count)) <= 12
    assert len(span(seconds)) <= 14


def test_a_mixture_says_whose_it_is_and_what_was_learnt():
    assert mixture({}) == mixture({"alpha": None, "alpha_next": 0.8}) == ""
    assert mixture({"alpha": 0.7, "alpha_next": None}) == "0.70 of your own model"
    assert mixture({"alpha": 0.7, "alpha_next": 0.725}) == "0.70 of your own model, 0.72 next time (learnt)"
