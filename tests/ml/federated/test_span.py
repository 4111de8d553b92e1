"""Rows are picked as an index would pick them, without a copy where that can be."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml.federated.span import chosen, span

ROWS = np.arange(40, dtype=np.float32).reshape(20, 2)


@given(st.lists(st.integers(0, 19), max_size=20))
def test_the_same_rows_as_an_index(places: list[int]) -> None:
    assert np.array_equal(ROWS[span(places)], ROWS[np.array(places, np.int64)])


@given(st.integers(0, 19), st.integers(1, 20))
def test_neighbours_are_not_copied(first: int, count: int) -> None:
    places = list(range(first, min(20, first + count)))
    assert np.shares_memory(ROWS[span(places)], ROWS)
    assert np.shares_memory(ROWS[span(np.array(places))], ROWS)


def test_rows_that_are_not_in_order_keep_theirs() -> None:
    assert not isinstance(span([1, 3, 2, 4]), slice)
    assert not isinstance(span([2, 1]), slice)
    assert not isinstance(span([]), slice)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=20))
def test_each_row_is_that_of_its_winner(winners: list[int]) -> None:
    sources = [ROWS[: len(winners)] + 100 * number for number in range(3)]
    found = chosen(sources, np.array(winners))
    assert [int(row[0]) // 100 for row in found] == winners
    assert not any(np.shares_memory(found, source) for source in sources)
    assert np.array_equal(found % 100, ROWS[: len(winners)])
