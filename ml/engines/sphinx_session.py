"""Utterances being heard by PocketSphinx: live, word by word, or whole, with everything known before the first word.

Samples come in pieces of any size and are cut anew into fixed blocks, so what is heard does not depend on how the
caller cut them. Speech without an end is heard in parts, so memory stays bounded. This room knows nothing of pools or
of how notes become a language model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ml.engines.sphinx_level import FLOOR, Level, check_samples, gain_if_needed, to_pcm
from ml.errors import EngineFailed
from ml.types import SAMPLE_RATE, Samples, Transcript, Word

BLOCK = 320
"""Samples that a live decoder gets at once (20 ms)."""
OPENING = 25 * BLOCK
"""Samples from the first sound that a live utterance waits for before it trusts its level (0.5 s)."""
PART = 30 * SAMPLE_RATE
"""Samples after which speech without an end is cut."""
SEARCH = 10 * SAMPLE_RATE
"""Samples before (whole) or after (live) that point in which a quiet place is looked for."""
_QUIET = 0.03
"""A live block under this share of the loudest block is a quiet place."""
_GAP = SAMPLE_RATE // 5
"""Samples of the quiet place at which a whole recording is cut (0.2 s)."""

CEPSTRAL_MEAN = (51.04, 1.40, -3.47, 9.35, -3.09, 0.49, -6.79, -1.41, -1.45, 1.25, -0.79, 0.09, 1.42)
"""Mean cepstrum `[13]` of speech at the level that the decoder gets, over 60 LibriSpeech speakers, where live
normalisation starts. With the library's own start (40, 3, -1) a first sentence has half of its words wrong."""


class Decoder(Protocol):
    """What a session needs of a decoder; see ml/engines/sphinx_decoder.py."""

    def start(self, cepstral_mean: tuple[float, ...] | None = None) -> None:
        """Begin an utterance."""
        ...

    def feed(self, pcm: bytes, *, whole: bool = False) -> None:
        """Hear 16-bit samples."""
        ...

    def end(self) -> None:
        """End the utterance."""
        ...

    def pause(self) -> float:
        """Seconds of silence at the end of the best path so far."""
        ...

    def words(self, offset: float = 0.0) -> tuple[Word, ...]:
        """The best words so far, or in the end."""
        ...


@dataclass(frozen=True)
class Label:
    """What a transcript says of its maker."""

    engine: str
    language: str


def transcript(words: tuple[Word, ...], samples: int, label: Label, *, final: bool) -> Transcript:
    """A transcript of these words; its confidence is the mean of theirs, and 0.0 as long as it is not final.

    The mean of the words' posteriors is close to the share of words that are right; the posterior of the whole
    hypothesis is not (figures: benchmarks/asr.py).
    """
    sure = sum(word.confidence for word in words) / len(words) if words else 0.0
    return Transcript(
        text=" ".join(word.text for word in words),
        language=label.language,
        start=0.0,
        end=samples / SAMPLE_RATE,
        confidence=sure if final else 0.0,
        engine=label.engine,
        words=words,
        final=final,
    )


class LiveSession:
    """An utterance heard word by word; `partial` costs nothing when nothing was heard since the last call."""

    def __init__(self, decoder: Decoder, label: Label, give_back: Callable[[bool], None]) -> None:
        """`give_back(fit)` is called once, when the decoder is no longer needed; not `fit` means broken."""
        self._decoder = decoder
        self._label = label
        self._give_back: Callable[[bool], None] | None = give_back
        self._waiting = np.zeros(0, np.float32)
        self._level = Level()
        self._sounded: int | None = None
        self._heard = self._levelled = self._part_start = 0
        self._loudest = 0.0
        self._done: tuple[Word, ...] = ()
        self._shown: tuple[int, Transcript | None] = (-1, None)
        decoder.start(CEPSTRAL_MEAN)

    def accept(self, samples: Samples) -> None:
        """Hear the next samples `[N]`. Raises BadAudio, and EngineFailed after the end."""
        block = check_samples(samples)
        self._open()
        if self._sounded is None:
            loud = np.abs(block) >= FLOOR
            if loud.any():
                place = self._heard + len(self._waiting) + int(loud.argmax())
                self._sounded = place // BLOCK * BLOCK
        self._waiting = np.concatenate([self._waiting, block])
        end = self._heard + len(self._waiting)
        if self._sounded is not None and end < self._sounded + OPENING:
            end = self._sounded
        with self._closed_on_failure():
            self._hear(max(0, (end - self._heard) // BLOCK * BLOCK))

    def partial(self) -> Transcript | None:
        """The words so far, or None when there are none."""
        self._open()
        if self._shown[0] != self._heard:
            words = self._done + self._decoder.words(self._part_start / SAMPLE_RATE)
            self._shown = (self._heard, transcript(words, self._heard, self._label, final=False) if words else None)
        return self._shown[1]

    def pause(self) -> float:
        """Seconds of pause that the decoder hears at the end of what it has heard."""
        self._open()
        return self._decoder.pause()

    def finish(self) -> Transcript:
        """The words of the whole utterance. Raises EngineFailed after the end."""
        self._open()
        with self._closed_on_failure():
            self._hear(len(self._waiting))
            self._end_part()
        self._close(fit=True)
        return transcript(self._done, self._heard, self._label, final=True)

    def abandon(self) -> None:
        """Drop the utterance; does nothing after the end."""
        if self._give_back is not None:
            with self._closed_on_failure():
                self._decoder.end()
            self._close(fit=True)

    def _hear(self, count: int) -> None:
        """Feed the first `count` waiting samples, block by block."""
        for at in range(0, count, BLOCK):
            block = self._waiting[at : min(at + BLOCK, count)]
            self._measure(at, len(block))
            self._decoder.feed(to_pcm(block, self._level.gain()))
            self._heard += len(block)
            self._cut(float(np.sqrt(np.mean(np.square(block, dtype=np.float64)))))
        self._waiting = self._waiting[count:]

    def _measure(self, at: int, length: int) -> None:
        """Let the level know the block at waiting sample `at`; at the first sound, all of the opening."""
        end = self._heard + length
        if self._sounded is not None and self._sounded <= self._heard:
            end = max(end, self._sounded + OPENING)
        offset = self._heard - at
        self._level.hear(self._waiting[self._levelled - offset : max(end, self._levelled) - offset])
        self._levelled = min(max(end, self._levelled), offset + len(self._waiting))

    def _cut(self, level: float) -> None:
        """End the part when it is long and the last block, of RMS `level`, was quiet."""
        self._loudest = max(self._loudest, level)
        length = self._heard - self._part_start
        if length >= PART + SEARCH or (length >= PART and level < _QUIET * self._loudest):
            self._end_part()
            self._part_start = self._heard
            self._decoder.start(CEPSTRAL_MEAN)

    def _end_part(self) -> None:
        self._decoder.end()
        self._done += self._decoder.words(self._part_start / SAMPLE_RATE)

    def _open(self) -> None:
        if self._give_back is None:
            raise EngineFailed("This utterance has ended.", "Call listen() for the next one.")

    @contextmanager
    def _closed_on_failure(self) -> Iterator[None]:
        """A decoder that failed or was interrupted half-way is not lent again."""
        try:
            yield
        except BaseException:
            self._close(fit=False)
            raise

    def _close(self, *, fit: bool) -> None:
        give_back, self._give_back = self._give_back, None
        self._waiting = np.zeros(0, np.float32)
        if give_back is not None:
            give_back(fit)


class WholeSession:
    """An utterance collected first and heard at the end, with normalisation over all of it; a long one in parts."""

    def __init__(self, borrow: Callable[[], AbstractContextManager[Decoder]], label: Label) -> None:
        """`borrow` lends a decoder while a part is heard."""
        self._borrow = borrow
        self._label = label
        self._pieces: list[Samples] = []
        self._waiting = 0
        self._heard = 0
        self._done: tuple[Word, ...] = ()
        self._ended = False

    def accept(self, samples: Samples) -> None:
        """Collect the next samples `[N]`; every PART of them is heard. Raises BadAudio, EngineFailed after the end."""
        block = check_samples(samples)
        self._open()
        self._pieces.append(block.copy())
        self._waiting += len(block)
        while self._waiting >= PART:
            audio = np.concatenate(self._pieces)
            place = quiet_place(audio[:PART])
            self._hear(audio[:place])
            self._pieces, self._waiting = [audio[place:]], len(audio) - place

    def partial(self) -> None:
        """Nothing: the session is not live."""
        self._open()

    def pause(self) -> float:
        """Nothing is known before the end."""
        self._open()
        return 0.0

    def finish(self) -> Transcript:
        """The words of the whole utterance. Raises EngineFailed after the end."""
        self._open()
        self._hear(np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.float32))
        self.abandon()
        return transcript(self._done, self._heard, self._label, final=True)

    def abandon(self) -> None:
        """Drop the utterance; does nothing after the end."""
        self._ended = True
        self._pieces = []

    def _hear(self, audio: Samples) -> None:
        if len(audio) and np.abs(audio).max() >= FLOOR:
            pcm = to_pcm(audio, gain_if_needed(audio))
            with self._borrow() as decoder:
                decoder.start()
                decoder.feed(pcm, whole=True)
                decoder.end()
                self._done += decoder.words(self._heard / SAMPLE_RATE)
        self._heard += len(audio)

    def _open(self) -> None:
        if self._ended:
            raise EngineFailed("This utterance has ended.", "Call listen() for the next one.")


def quiet_place(audio: Samples) -> int:
    """Where to cut: the middle of the quietest 0.2 s among the last SEARCH samples."""
    tail = np.square(audio[-SEARCH:], dtype=np.float64)
    sums = np.concatenate([[0.0], np.cumsum(tail)])
    quietest = int(np.argmin(sums[_GAP:] - sums[:-_GAP]))
    return len(audio) - len(tail) + quietest + _GAP // 2
