"""A live utterance heard by a recogniser of windows: LocalAgreement-2 (D. Machacek et al., 2023, "Turning Whisper into
Real-Time Transcription System", after D. Liu et al., 2020).

The buffer is heard anew every second. Words on which two successive hearings agree are committed, and never change
again; the rest is tentative. The buffer slides behind committed words, so memory and work are bounded however long the
utterance lasts. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ml.engines.sphinx_level import check_samples
from ml.engines.window import SENTENCE_END, Heard, in_order, plain, shifted, spell, transcript
from ml.errors import EngineFailed
from ml.types import SAMPLE_RATE, Samples, Transcript, Word

Hear = Callable[[Samples, str, "str | None"], Heard]
"""The words of samples `[N]`, given the text just before them and the language, where it is known by now."""
BEFORE = 40
"""Words before the buffer that the recogniser is told."""


@dataclass(frozen=True)
class Pace:
    """Seconds: the time between two hearings; the length from which the buffer slides to the end of a committed
    sentence, then to that of any committed word, and from which words are committed whether or not anybody agrees."""

    hop: float = 1.0
    sentence: float = 8.0
    word: float = 15.0
    forced: float = 25.0

    def within(self, window: float) -> Pace:
        """The same, for a recogniser that hears no more than `window` seconds at once."""
        forced = min(self.forced, window - 2 * self.hop)
        return Pace(self.hop, min(self.sentence, forced), min(self.word, 0.75 * window, forced), forced)


def agreed(one: Sequence[Word], two: Sequence[Word]) -> int:
    """How many words from the beginning are the same."""
    count = 0
    for a, b in zip(one, two, strict=False):
        if plain(a.text) != plain(b.text):
            break
        count += 1
    return count


def beyond(known: Sequence[Word], heard: Sequence[Word]) -> int:
    """How many of the words `heard` are those that are known: the prefix of the smallest edit distance to `known`, and
    of several the one that ends nearest to its time."""
    if not known:
        return 0
    texts, until = [plain(word.text) for word in heard], known[-1].end
    row = list(range(len(texts) + 1))
    for i, word in enumerate(known):
        text, before = plain(word.text), row
        row = [i + 1]
        for j, other in enumerate(texts):
            row.append(min(before[j] + (text != other), before[j + 1] + 1, row[j] + 1))
    ends = [0.0, *(word.end for word in heard)]
    return min(range(len(row)), key=lambda j: (row[j], abs(ends[j] - until)))


class LiveSession:
    """One utterance, heard while it lasts. What comes out does not depend on how the samples were cut."""

    def __init__(self, hear: Hear, engine: str, language: str | None, window: float, pace: Pace = Pace()) -> None:
        """`language` None leaves it to the recogniser, which hears `window` seconds at most."""
        self._hear, self._engine, self._language = hear, engine, language
        self._pace = pace.within(window)
        self._pieces: list[Samples] = []
        self._first = self._total = 0  # samples: where the buffer begins, and what has been accepted
        self._next = self._hop = round(self._pace.hop * SAMPLE_RATE)
        self._heard = 0
        self._committed: list[Word] = []
        self._base = 0  # committed words that lie before the buffer
        self._tail: tuple[Word, ...] = ()
        self._told = language or ""
        self._ended = False

    @property
    def committed(self) -> tuple[Word, ...]:
        """The words that will not change any more."""
        return tuple(self._committed)

    def accept(self, samples: Samples) -> None:
        """Hear the next samples `[N]`. Raises BadAudio, EngineFailed."""
        block = check_samples(samples)
        self._open()
        while len(block):
            part, block = np.split(block, [min(len(block), self._next - self._total)])
            self._pieces.append(part.copy())
            self._total += len(part)
            if self._total == self._next:
                self._step()
                self._next += self._hop

    def partial(self) -> Transcript | None:
        """The words so far, or None when there are none."""
        self._open()
        words = in_order((*self._committed, *self._tail), 0.0, self._heard / SAMPLE_RATE)
        return transcript(words, self._heard, self._engine, self._told, final=False) if words else None

    def pause(self) -> float:
        """Nothing: times of words are estimates, too coarse to tell a pause by."""
        self._open()
        return 0.0

    def finish(self) -> Transcript:
        """All words: those committed, and what the last hearing adds. Raises EngineFailed."""
        self._open()
        if self._total > self._heard:
            self._listen()
        words = in_order((*self._committed, *self._tail), 0.0, self._total / SAMPLE_RATE)
        self.abandon()
        return transcript(words, self._total, self._engine, self._told, final=True)

    def abandon(self) -> None:
        """Drop the utterance; does nothing after the end."""
        self._ended = True
        self._pieces = []

    def _open(self) -> None:
        if self._ended:
            raise EngineFailed("This utterance has ended.", "Call listen() for the next one.")

    def _listen(self) -> tuple[Word, ...]:
        """Hear the buffer anew; the words that were tentative before."""
        buffer = np.concatenate(self._pieces)
        self._pieces = [buffer]
        before = self._tail
        told = spell(self._committed[max(0, self._base - BEFORE) : self._base], self._told)
        heard = self._hear(buffer, told, self._language)
        words = shifted(heard.words, self._first / SAMPLE_RATE)
        self._tail = words[beyond(self._committed[self._base :], words) :]
        self._heard = self._total
        if self._language is None:
            self._told = heard.language
        return before

    def _step(self) -> None:
        self._commit(agreed(self._listen(), self._tail))
        length = (self._total - self._first) / SAMPLE_RATE
        if length >= self._pace.forced:
            self._commit(len(self._tail))
            self._slide(len(self._committed), at_least=length - self._pace.word)
        elif length >= self._pace.word and len(self._committed) > self._base:
            self._slide(len(self._committed))
        elif length >= self._pace.sentence:
            ends = [i for i in range(self._base, len(self._committed)) if self._ends_sentence(i)]
            if ends:
                self._slide(ends[-1] + 1)

    def _commit(self, count: int) -> None:
        done = self._committed[-1].end if self._committed else 0.0
        words = in_order(self._tail[:count], min(done, self._total / SAMPLE_RATE), self._total / SAMPLE_RATE)
        self._committed.extend(words)
        self._tail = self._tail[count:]
        if words:
            self._language = self._told or None

    def _ends_sentence(self, index: int) -> bool:
        return self._committed[index].text.endswith(SENTENCE_END)

    def _slide(self, words: int, at_least: float = 0.0) -> None:
        """Let the buffer begin behind so many committed words, and `at_least` seconds later than now."""
        place = self._committed[words - 1].end if words > self._base else 0.0
        first = max(round(place * SAMPLE_RATE), self._first + round(at_least * SAMPLE_RATE))
        first = min(max(first, self._first), self._total)
        buffer = np.concatenate(self._pieces)
        self._pieces, self._first = [buffer[first - self._first :]], first
        self._base = words
