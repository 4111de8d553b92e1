"""CTC: symbols read off frame by frame, and the likeliest way of a known text through the frames."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines import ctc
from ml.engines.ctc import align, read, shortest


def frames(best: list[int], symbols: int = 4) -> np.ndarray:
    odds = np.full((len(best), symbols), 0.1 / (symbols - 1))
    odds[np.arange(len(best)), best] = 0.9
    return np.log(odds).astype(np.float32)


def collapsed(path: tuple[int, ...]) -> list[int]:
    return [symbol for symbol, _ in itertools.groupby(path) if symbol]


def test_runs_are_one_symbol_and_blanks_part_them() -> None:
    found = read(frames([0, 1, 1, 0, 1, 2, 2, 2, 0]), 0)
    assert [(span.symbol, span.first, span.last) for span in found] == [(1, 1, 3), (1, 4, 5), (2, 5, 8)]
    assert found[0].confidence == pytest.approx(0.9, abs=1e-4)
    assert read(frames([0, 0]), 0) == []
    assert read(np.zeros((0, 4), np.float32), 0) == []


@given(st.integers(1, 6), st.lists(st.integers(1, 2), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_the_path_is_the_likeliest_of_all(length: int, symbols: list[int], seed: int) -> None:
    likely = np.log(np.random.default_rng(seed).dirichlet(np.ones(3), length)).astype(np.float32)
    paths = [p for p in itertools.product(range(3), repeat=length) if collapsed(p) == symbols]
    if not paths:
        assert shortest(symbols) > length
        with pytest.raises(ValueError, match="do not fit"):
            align(likely, symbols, 0)
        return
    best = max(sum(likely[i, s] for i, s in enumerate(path)) for path in paths)
    spans = align(likely, symbols, 0)
    path = np.zeros(length, int)
    for span in spans:
        path[span.first : span.last] = span.symbol
    assert [span.symbol for span in spans] == symbols
    assert all(a.last <= b.first for a, b in itertools.pairwise(spans))
    assert collapsed(tuple(path)) == symbols
    assert sum(likely[i, s] for i, s in enumerate(path)) == pytest.approx(best, abs=1e-4)


def test_a_text_lies_where_it_was_said_though_something_else_is_likelier() -> None:
    likely = frames([0, 0, 3, 3, 0, 2, 2, 0])
    likely[2:4, 1] = np.log(0.09)
    assert [(span.first, span.last) for span in align(likely, [1, 2], 0)] == [(2, 4), (5, 7)]


def test_bounds_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctc, "LARGEST", 10)
    with pytest.raises(ValueError, match="too long"):
        align(frames([0] * 9), [1], 0)
    assert align(frames([0] * 9), [], 0) == []
