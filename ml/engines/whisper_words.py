"""From Whisper's tokens to words with times: tokens are put together to words, and words are laid along the sound by
dynamic time warping over cross-attention (A. Radford et al., 2022, and the heads of section "timestamps" of its code).

Only numbers: knows no network.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ml.engines.window import UNSPACED

FRAME = 0.02
"""Seconds of one encoder frame."""
SMOOTH = 7
"""Frames over which attention is median-filtered, an odd number."""
Decode = Callable[[Sequence[int]], str]
"""Tokens to text; a character of which bytes are missing becomes U+FFFD."""


def to_words(tokens: Sequence[int], decode: Decode, language: str) -> list[tuple[str, list[int]]]:
    """Words in their order, each with the places of its tokens; punctuation belongs to the word that it touches.

    A word begins with a space; where the language has none, with each character.
    """
    pieces: list[tuple[str, list[int]]] = []
    waiting: list[int] = []
    for place in range(len(tokens)):
        waiting.append(place)
        text = decode([tokens[i] for i in waiting])
        if text.endswith("\ufffd") and len(waiting) < 4 and place + 1 < len(tokens):
            continue  # a character of several tokens
        pieces.append((text, waiting))
        waiting = []
    words: list[tuple[str, list[int]]] = []
    opening = False  # the last word is an opening bracket or quotation mark, and waits for what it opens
    for text, places in pieces:
        bare = text.strip()
        new = text[:1].isspace() or (language in UNSPACED and bool(bare) and not _closes(bare))
        if not words or (new and not opening) or (not bare and not words[-1][0]):
            words.append((bare, list(places)))
        else:
            before, earlier = words.pop()
            words.append((before + bare, [*earlier, *places]))
        opening = bool(words[-1][0]) and all(unicodedata.category(c) in {"Ps", "Pi"} for c in words[-1][0])
    return [(text.replace("\ufffd", ""), places) for text, places in words if text.replace("\ufffd", "")]


def _closes(text: str) -> bool:
    return all(unicodedata.category(c)[0] == "P" and unicodedata.category(c) not in {"Ps", "Pi"} for c in text)


def token_times(attention: npt.NDArray[np.float32], first: int, frames: int) -> npt.NDArray[np.float64]:
    """When each of the N tokens from `first` on begins, in seconds `[N + 1]`, the last being the end.

    In `attention` `[heads, first + N + 1, frames]` row i is what the network looked at when it was given token i, the
    last being the end mark, and so said token i + 1. `frames` of them are sound, the rest is padding.
    """
    weights = attention[:, :, :frames].astype(np.float64)
    weights = weights / np.maximum(weights.sum(-1, keepdims=True), 1e-12)
    spread = weights.std(1, keepdims=True)
    weights = (weights - weights.mean(1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    cost = -_median(weights).mean(0)[first - 1 : -1]
    rows, columns = warp(cost)
    return np.asarray([columns[np.searchsorted(rows, token)] for token in range(len(cost))]) * FRAME


def _median(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if weights.shape[-1] <= SMOOTH:
        return weights
    padded = np.pad(weights, ((0, 0), (0, 0), (SMOOTH // 2, SMOOTH // 2)), mode="reflect")
    made: npt.NDArray[np.float64] = np.median(
        np.lib.stride_tricks.sliding_window_view(padded, SMOOTH, axis=-1), axis=-1
    )
    return made


def warp(cost: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The cheapest path through `cost` `[N, M]` from its first to its last corner, as rows and columns, each step one
    down, one right, or both (H. Sakoe and S. Chiba, 1978). Diagonal by diagonal, so that numpy does the work."""
    n, m = cost.shape
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0.0
    came = np.zeros((n, m), np.int8)  # 0: both, 1: down, 2: right
    for diagonal in range(n + m - 1):
        i = np.arange(max(0, diagonal - m + 1), min(n, diagonal + 1))
        j = diagonal - i
        ways = np.stack([total[i, j], total[i, j + 1], total[i + 1, j]])
        best = ways.argmin(0)
        came[i, j] = best
        total[i + 1, j + 1] = cost[i, j] + ways[best, np.arange(len(i))]
    path = [(n - 1, m - 1)]
    while path[-1] != (0, 0):
        i, j = path[-1]
        way = came[i, j]
        path.append((i - (way != 2), j - (way != 1)))
    rows, columns = np.asarray(path[::-1]).T
    return rows, columns
