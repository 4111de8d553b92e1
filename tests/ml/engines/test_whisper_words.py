"""Tokens to words, and the cheapest path through attention."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.whisper_words import FRAME, to_words, token_times, warp


def words(pieces: list[bytes], language: str = "en") -> list[tuple[str, list[int]]]:
    return to_words(range(len(pieces)), lambda ids: b"".join(pieces[i] for i in ids).decode(errors="replace"), language)


def test_words_begin_with_a_space_and_keep_their_punctuation() -> None:
    assert words([b" The", b" in", b"vention", b",", b" of", b" (", b"movable", b")", b"..."]) == [
        ("The", [0]),
        ("invention,", [1, 2, 3]),
        ("of", [4]),
        ("(movable)...", [5, 6, 7, 8]),
    ]


def test_a_character_of_several_tokens_is_one() -> None:
    assert words([b" na", b"\xc3", b"\xaf", b"ve", b" \xc3", b"\xa9"]) == [("naïve", [0, 1, 2, 3]), ("é", [4, 5])]


def test_languages_without_spaces_have_a_word_for_each_character() -> None:
    text = "今日は。「好」"
    assert [word for word, _ in words([c.encode() for c in text], "zh")] == ["今", "日", "は。", "「好」"]


def test_broken_bytes_give_no_word() -> None:
    assert words([b" a", b"\xff"]) == [("a", [0, 1])]
    assert words([b"\xff"]) == []
    assert words([]) == []


@given(st.lists(st.binary(min_size=1, max_size=4), max_size=20))
def test_every_token_belongs_to_at_most_one_word(pieces: list[bytes]) -> None:
    places = [place for _, own in words(pieces) for place in own]
    assert places == sorted(set(places))


def cheapest(cost: np.ndarray) -> float:
    """By trying all paths."""
    n, m = cost.shape
    best = np.inf
    for way in itertools.product(((1, 0), (0, 1), (1, 1)), repeat=n + m - 2):
        i = j = 0
        total = cost[0, 0]
        for down, right in way:
            if (i, j) == (n - 1, m - 1):
                break
            i, j = i + down, j + right
            if i >= n or j >= m:
                total = np.inf
                break
            total += cost[i, j]
        if (i, j) == (n - 1, m - 1):
            best = min(best, total)
    return float(best)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_the_path_is_the_cheapest(n: int, m: int, seed: int) -> None:
    cost = np.random.default_rng(seed).normal(size=(n, m))
    rows, columns = warp(cost)
    assert (rows[0], columns[0], rows[-1], columns[-1]) == (0, 0, n - 1, m - 1)
    assert set(zip(np.diff(rows).tolist(), np.diff(columns).tolist(), strict=True)) <= {(1, 0), (0, 1), (1, 1)}
    assert cost[rows, columns].sum() == pytest.approx(cheapest(cost))


def test_tokens_lie_where_the_network_looked() -> None:
    looked = np.full((2, 6, 200), 1e-3, np.float32)
    looked[:, 0, 20:40] = 1.0  # a mark of the prompt
    for row, (first, last) in enumerate([(0, 30), (30, 45), (45, 90), (90, 100)], 1):
        looked[:, row, first:last] = 1.0
    looked[:, 2, 150:] = 9.0  # the padding does not count
    np.testing.assert_allclose(token_times(looked, 2, 100), np.asarray([0, 30, 45, 90]) * FRAME, atol=0.05)


def test_few_frames_are_enough() -> None:
    times = token_times(np.ones((1, 5, 8), np.float32), 1, 2)
    assert len(times) == 4
    assert (np.diff(times) >= 0).all()
