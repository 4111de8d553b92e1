"""Bends a general trigram model towards a text in the speaker's own words, without forgetting the language.

What stands in the notes becomes likely, everything else stays possible: each context that occurs in the notes gets a
mixture of what follows it there and what follows it in general, every other context stays as it was, and all are
normalised again, so the result is a proper distribution. This room knows nothing of files, decoders or pronunciations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ml.engines.trie_lm import Ids, Logs, TrigramModel

START, END = "<s>", "</s>"
_TINY = 1e-7
_Probs = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """How much the notes count.

    `topic` is the share of the notes in the distribution of single words. After one word, or two, that occur `c` times
    in the notes with `k` different followers there, the notes get the share `pairs` or `triples` times c / (c + k)
    (Witten-Bell): more where what follows is always the same.
    """

    topic: float = 0.02
    pairs: float = 0.3
    triples: float = 0.9


@dataclass(frozen=True, eq=False)
class _Grams:
    """Notes' n-grams of one order: sorted keys `[G]`, their share of their history's count, and c / (c + k) of that."""

    keys: Ids
    shares: _Probs
    trust: _Probs


def adapt(general: TrigramModel, sentences: Sequence[Sequence[str]], weights: Weights) -> TrigramModel:
    """The general model bent towards `sentences` of lower-case words; unknown words join its vocabulary.

    Every context of the result sums to one. With no sentences it is the general model.
    """
    known = set(general.words)
    fresh = sorted({word for sentence in sentences for word in sentence} - known)
    model = _with_words(general, fresh)
    index = {word: place for place, word in enumerate(model.words)}
    lines = [[index[w] for w in (START, *sentence, END)] for sentence in sentences if sentence]
    if not lines:
        return general
    model = _adapt_unigrams(model, lines, weights.topic)
    model = _adapt_bigrams(model, lines, weights.pairs)
    return _adapt_trigrams(model, lines, weights.triples)


def _with_words(model: TrigramModel, fresh: Sequence[str]) -> TrigramModel:
    """The same model with further words of (almost) no probability."""
    return replace(
        model,
        words=(*model.words, *fresh),
        unigram=np.concatenate([model.unigram, np.full(len(fresh), -99.0, np.float32)]),
        unigram_backoff=np.concatenate([model.unigram_backoff, np.zeros(len(fresh), np.float32)]),
    )


def _adapt_unigrams(model: TrigramModel, lines: Iterable[list[int]], share: float) -> TrigramModel:
    counts = np.bincount(np.concatenate([line[1:] for line in lines]), minlength=len(model.words))
    prob = (1 - share) * np.exp(model.unigram.astype(np.float64)) + share * counts / counts.sum()
    return replace(model, unigram=_log(prob))


def _adapt_bigrams(model: TrigramModel, lines: Iterable[list[int]], share: float) -> TrigramModel:
    size = len(model.words)
    one = np.exp(model.unigram.astype(np.float64))
    seen = _count(((v, w) for line in lines for v, w in pairwise(line)), lambda g: g[1] * size + g[0])
    old = model.bigram_keys()
    keys = _merge(old, seen.keys)
    word, history = np.divmod(keys, size)
    prob, backoff = np.full(len(keys), np.nan), np.zeros(len(keys), np.float32)
    place = np.searchsorted(keys, old)
    prob[place] = np.exp(model.bigram.astype(np.float64))
    backoff[place] = model.bigram_backoff
    left = _left_over(prob[place], one[model.bigram_word], model.bigram_history, size)
    new = np.isnan(prob)
    prob[new] = left[history[new]] * one[word[new]]
    prob = _mix(prob, history, share, np.searchsorted(keys, seen.keys), seen)
    # The trigrams hang on bigrams, whose rows have moved.
    return replace(
        model,
        bigram_word=word,
        bigram_history=history,
        bigram=_log(prob),
        bigram_backoff=backoff,
        unigram_backoff=_log(_left_over(prob, one[word], history, size)),
        trigram_bigram=place[model.trigram_bigram],
    )


def _adapt_trigrams(model: TrigramModel, lines: Iterable[list[int]], share: float) -> TrigramModel:
    size, rows = len(model.words), len(model.bigram)
    two = np.exp(model.bigram.astype(np.float64))
    pairs = model.bigram_keys()
    triples = ((u, v, w) for line in lines for u, v, w in zip(line, line[1:], line[2:], strict=False))
    row = {key: int(np.searchsorted(pairs, key)) for key in _pair_keys(lines, size)}
    seen = _count(triples, lambda g: row[g[2] * size + g[1]] * size + g[0])
    old = model.trigram_bigram * size + model.trigram_history
    keys = _merge(old, seen.keys)
    bigram, first = np.divmod(keys, size)
    # The row of each trigram's own history, or `rows` where the model has none (then its back-off weight is one).
    wanted = model.bigram_history[bigram] * size + first
    history = np.minimum(np.searchsorted(pairs, wanted), rows - 1)
    history[pairs[history] != wanted] = rows
    prob = np.full(len(keys), np.nan)
    place = np.searchsorted(keys, old)
    prob[place] = np.exp(model.trigram.astype(np.float64))
    left = _left_over(prob[place], two[model.trigram_bigram], history[place], rows + 1)
    left[rows] = 1.0
    new = np.isnan(prob)
    prob[new] = left[history[new]] * two[bigram[new]]
    prob = _mix(prob, history, share, np.searchsorted(keys, seen.keys), seen)
    weight = _left_over(prob, two[bigram], history, rows + 1)[:rows]
    return replace(model, trigram_bigram=bigram, trigram_history=first, trigram=_log(prob), bigram_backoff=_log(weight))


def _pair_keys(lines: Iterable[list[int]], size: int) -> set[int]:
    return {w * size + v for line in lines for v, w in pairwise(line)}


def _count(grams: Iterable[tuple[int, ...]], key: Callable[[tuple[int, ...]], int]) -> _Grams:
    counts = Counter(grams)
    totals: Counter[tuple[int, ...]] = Counter()
    kinds: Counter[tuple[int, ...]] = Counter()
    for gram, times in counts.items():
        totals[gram[:-1]] += times
        kinds[gram[:-1]] += 1
    rows = []
    for gram, times in counts.items():
        total = totals[gram[:-1]]
        rows.append((key(gram), times / total, total / (total + kinds[gram[:-1]])))
    rows.sort()
    return _Grams(
        np.array([r[0] for r in rows], np.int64), np.array([r[1] for r in rows]), np.array([r[2] for r in rows])
    )


def _merge(old: Ids, more: Ids) -> Ids:
    """The union of two sorted arrays of distinct keys, sorted; linear in the long one."""
    spots = np.searchsorted(old, more)
    new = old[np.minimum(spots, len(old) - 1)] != more if len(old) else np.ones(len(more), bool)
    return np.insert(old, spots[new], more[new])


def _mix(prior: _Probs, history: Ids, share: float, spots: Ids, seen: _Grams) -> _Probs:
    """Prior and notes `[G]`, each history `[G]` by its trust; `spots` are the places of the notes' n-grams."""
    weight = np.zeros(int(history.max()) + 1)
    weight[history[spots]] = share * seen.trust
    mixed = prior * (1 - weight[history])
    mixed[spots] += weight[history[spots]] * seen.shares
    return mixed


def _left_over(prob: _Probs, shorter: _Probs, history: Ids, size: int) -> _Probs:
    """Back-off weights `[size]`: what a history leaves to words without entries, over what the shorter gives."""
    kept = 1.0 - np.bincount(history, weights=prob, minlength=size)
    rest = 1.0 - np.bincount(history, weights=shorter, minlength=size)
    return np.asarray(np.maximum(kept, _TINY) / np.maximum(rest, _TINY))


def _log(prob: _Probs) -> Logs:
    return np.asarray(np.log(np.maximum(prob, 1e-30)), np.float32)
