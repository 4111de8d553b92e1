"""What is written is read again, from few bytes; other bytes give other symbols or a clear error."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import BadAudio
from ml.voice.codec.bits import Reader, Writer, costs

TABLES = np.random.default_rng(0).integers(1, 1000, (50, 9)).astype(float)


@given(st.lists(st.integers(0, 8), max_size=50), st.lists(st.integers(0, 299), max_size=5))
@settings(deadline=None)
def test_symbols_come_back(symbols: list[int], numbers: list[int]) -> None:
    odds = TABLES[: len(symbols)]
    writer = Writer()
    writer.many(np.array(symbols, np.int32), odds)
    writer.plain(np.array(numbers, np.int32), 300)
    data = writer.finish()
    reader = Reader(data)
    assert reader.many(odds).tolist() == symbols
    assert reader.plain(len(numbers), 300).tolist() == numbers
    ideal = sum(costs(row)[symbol] for row, symbol in zip(odds, symbols, strict=True)) + len(numbers) * np.log2(300)
    assert 8 * len(data) <= ideal + 12, "at most a byte and a half beyond the entropy"


def test_what_is_certain_costs_nothing() -> None:
    writer = Writer()
    writer.many(np.zeros(20, np.int32), np.tile([1e6, 1.0], (20, 1)))
    assert len(writer.finish()) <= 1
    assert Writer().finish() == b""


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(BadAudio):
        found = Reader(data).many(TABLES)
        assert found.min() >= 0
        assert found.max() <= 8


def test_costs_are_those_of_the_frequencies() -> None:
    assert costs(np.array([1.0, 1.0, 2.0])) == pytest.approx([2, 2, 1])
