"""Pronunciations of English words: from a dictionary, and guessed from the spelling for the words it lacks.

The guess is learned from the dictionary itself when first needed (a few seconds of computing): every letter is aligned
to none, one or two phones by expectation maximisation along best paths (after Black, Lenzo and Pagel 1998), and the
phones of a letter are predicted from its neighbours and the phones before it, wider contexts backing off to narrower
ones (Witten-Bell). Nothing of it is stored. This room knows nothing of recognisers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Phones = tuple[str, ...]
_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

ALPHABET = "abcdefghijklmnopqrstuvwxyz'"
_LETTERS = len(ALPHABET) + 1
_PAD = 4
"""Letters of nothing on both sides of a word."""
_CONTEXTS = ((3, 3, 1), (2, 3, 1), (2, 2, 1), (1, 2, 1), (1, 1, 1), (1, 1, 0), (0, 0, 0))
"""Letters to the left, to the right, and whether the phones of the letter before count; from wide to narrow."""
_LONGEST = 16
"""Letters and phones of the words that the model learns from."""
_EM_WORDS, _EM_ROUNDS = 10_000, 5
_SKEW = 5
"""How far the phones may run ahead of the letters, or fall behind."""
_BEAM = 4
_VOWELS = frozenset("aeiouy")


def read_dictionary(path: Path) -> dict[str, Phones]:
    """First pronunciations of a CMU-style dictionary: `word PH ON ES` by line, `word(2)` for further ones."""
    found: dict[str, Phones] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *phones = line.split()
        if phones and not word.endswith(")"):
            found[word] = tuple(phones)
    return found


def pronounce(word: str, dictionary: Mapping[str, Phones], speller: Speller) -> Phones:
    """The phones of a lower-case word `[a-z']+` that the dictionary lacks.

    A word without a vowel is spelled letter by letter, a possessive built on its owner, all else guessed by `speller`.
    """
    letters = word.replace("'", "")
    if not _VOWELS & set(letters) and all(f"{letter}." in dictionary for letter in letters):
        return tuple(phone for letter in letters for phone in dictionary[f"{letter}."])
    if word.endswith("'s") and word != "'s":
        owner = dictionary.get(word[:-2]) or pronounce(word[:-2], dictionary, speller)
        return owner + _possessive(owner[-1])
    return speller.guess(word)


def _possessive(last: str) -> Phones:
    if last in ("S", "Z", "SH", "ZH", "CH", "JH"):
        return ("IH", "Z")
    return ("S",) if last in ("P", "T", "K", "F", "TH") else ("Z",)


@dataclass(frozen=True, eq=False)
class _Level:
    """Counts of one kind of context.

    `keys` are sorted, each a context's place x outputs + output; `totals` and `kinds` belong to the sorted `contexts`.
    """

    keys: _Ints
    counts: _Floats
    contexts: _Ints
    totals: _Floats
    kinds: _Floats

    def mix(self, context: int, outputs: _Ints, narrower: _Floats, size: int) -> _Floats:
        """Witten-Bell: the probabilities `[O]` of the outputs, given those of the narrower context."""
        place = int(np.searchsorted(self.contexts, context))
        if place == len(self.contexts) or self.contexts[place] != context:
            return narrower
        keys = place * size + outputs
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        counts = np.where(self.keys[places] == keys, self.counts[places], 0.0)
        return np.asarray((counts + self.kinds[place] * narrower) / (self.totals[place] + self.kinds[place]))


class Speller:
    """Guesses how an English word is spoken from how it is spelled. Immutable once learned."""

    def __init__(self, dictionary: Mapping[str, Phones]) -> None:
        """Learn from the dictionary's words of letters and apostrophes."""
        pairs = [
            (word, phones)
            for word, phones in dictionary.items()
            if len(word) <= _LONGEST and len(phones) <= _LONGEST and set(word) <= set(ALPHABET)
        ]
        names = sorted({phone for _, phones in pairs for phone in phones})
        self._names = names
        self._base = len(names) + 1
        self._size = self._base**2
        number = {phone: place + 1 for place, phone in enumerate(names)}
        letters, phones = (
            _table([_codes(word) for word, _ in pairs]),
            _table([[number[p] for p in ph] for _, ph in pairs]),
        )
        outputs = _align(letters, phones, self._base)
        self._learn(letters, outputs)

    def guess(self, word: str) -> Phones:
        """The likeliest phones of a lower-case word `[a-z']+`; at least one."""
        codes = [0] * _PAD + _codes(word) + [0] * _PAD
        beam: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
        for place in range(_PAD, len(codes) - _PAD):
            grown = [
                (score + float(gain), (*path, int(output)))
                for score, path in beam
                for output, gain in zip(*self._outputs(codes, place, path[-1] if path else 0), strict=True)
            ]
            beam = sorted(grown, reverse=True)[:_BEAM]
        for _, path in beam:
            phones = tuple(self._names[p - 1] for output in path for p in divmod(output, self._base) if p)
            if phones:
                return phones
        return ("AH",)

    def _outputs(self, codes: Sequence[int], place: int, before: int) -> tuple[_Ints, _Floats]:
        """The likeliest outputs of the letter at `place`, and the logarithms of their probabilities."""
        letter = codes[place]
        outputs = self._by_letter[letter]
        prob = np.full(len(outputs), 1.0 / len(outputs))
        wide, row, at = np.asarray([codes], np.int64), np.zeros(1, np.int64), np.full(1, place)
        for level, (left, right, chained) in zip(reversed(self._levels), reversed(_CONTEXTS), strict=True):
            context = int(_key(wide, row, at, left, right)[0]) * self._size + (before if chained else 0)
            prob = level.mix(context, outputs, prob, self._size)
        best = np.argsort(-prob)[:_BEAM]
        return outputs[best], np.log(prob[best])

    def _learn(self, letters: _Ints, outputs: _Ints) -> None:
        wide = np.pad(letters, ((0, 0), (_PAD, _PAD)))
        rows, columns = np.nonzero(letters)
        place = columns + _PAD
        answer = outputs[rows, columns]
        before = np.where(columns > 0, outputs[rows, np.maximum(columns - 1, 0)], 0)
        heard = letters[rows, columns]
        self._by_letter = [np.unique(np.append(answer[heard == letter], 0)) for letter in range(_LETTERS)]
        self._levels = []
        for left, right, chained in _CONTEXTS:
            key = _key(wide, rows, place, left, right) * self._size + before * chained
            context, inverse = np.unique(key, return_inverse=True)
            pair, counts = np.unique(inverse * self._size + answer, return_counts=True)
            owner = pair // self._size
            totals = np.asarray(np.bincount(owner, weights=counts, minlength=len(context)), np.float64)
            kinds = np.bincount(owner, minlength=len(context)).astype(np.float64)
            self._levels.append(_Level(pair, counts.astype(np.float64), context, totals, kinds))


def _codes(word: str) -> list[int]:
    return [ALPHABET.index(letter) + 1 for letter in word]


def _table(rows: Sequence[Sequence[int]]) -> _Ints:
    """The rows `[N, longest]`, filled up with zeros."""
    table = np.zeros((len(rows), max((len(row) for row in rows), default=0)), np.int64)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return table


def _key(wide: _Ints, rows: _Ints, places: _Ints, left: int, right: int) -> _Ints:
    """A number for the letters around each place of a row."""
    key = np.zeros(len(rows), np.int64)
    for step in range(-left, right + 1):
        key = key * _LETTERS + wide[rows, places + step]
    return key


def _align(letters: _Ints, phones: _Ints, base: int) -> _Ints:
    """What every letter emits `[N, L]`: 0, a phone, or first x base + second; nothing where none is possible."""
    sample = slice(None, None, max(1, len(letters) // _EM_WORDS))
    costs = np.zeros((_LETTERS, base * base))
    costs[:, :base] = 1.0
    costs[:, 0] = 2.0
    costs[:, base:] = 5.0
    for _ in range(_EM_ROUNDS):
        outputs = _best_paths(letters[sample], phones[sample], base, costs)
        heard = letters[sample] > 0
        counts = np.full((_LETTERS, base * base), 0.01)
        np.add.at(counts, (letters[sample][heard], outputs[heard]), 1.0)
        costs = -np.log(counts / counts.sum(1, keepdims=True))
    return _best_paths(letters, phones, base, costs)


def _best_paths(letters: _Ints, phones: _Ints, base: int, costs: _Floats) -> _Ints:
    """The cheapest outputs `[N, L]` that spell each word's phones in order."""
    count, width = letters.shape
    height = phones.shape[1]
    spelled, spoken = (letters > 0).sum(1), (phones > 0).sum(1)
    rows = costs.astype(np.float32).ravel()
    sounds = np.ascontiguousarray(phones.T)
    scores = np.full((height + 1, count), np.inf, np.float32)
    scores[0] = 0.0
    moves = np.zeros((width, height + 1, count), np.int8)
    for i in range(width):
        letter = letters[:, i] * base * base
        going = i < spelled
        silent = rows[letter]
        # From the last phone back, so that each score is read before it is written.
        for j in range(height, -1, -1):
            best, move = scores[j] + silent, moves[i, j]
            for step in (1, 2):
                if j < step or abs(j - step - i) > _SKEW:
                    continue
                said = sounds[j - 1] if step == 1 else sounds[j - 2] * base + sounds[j - 1]
                other = scores[j - step] + rows[letter + said]
                better = other < best
                best[better], move[better] = other[better], step
            np.copyto(scores[j], best, where=going)
    outputs = np.zeros((count, width), np.int64)
    at, every = spoken.copy(), np.arange(count)
    for i in reversed(range(width)):
        move = np.where(i < spelled, moves[i, at, every], 0)
        first, second = phones[every, at - 1], phones[every, at - 2]
        outputs[:, i] = np.where(move == 1, first, np.where(move == 2, second * base + first, 0))
        at = np.maximum(at - move, 0)
    outputs[at != 0] = 0
    return outputs
