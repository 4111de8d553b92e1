"""Utterances heard by a recogniser that goes through the sound once, chunk by chunk, and remembers what it needs.

Each sample is computed on once. Nothing that was said is taken back, so partial results only grow, and memory is that
of one step and of the words, however long the utterance lasts. Steps lie at fixed places of the sound, so what is heard
does not depend on how the caller cut it. Knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ml.engines.sphinx_level import FLOOR, check_samples
from ml.engines.transducer import Piece, Spelling
from ml.engines.window import in_order, transcript
from ml.errors import EngineFailed
from ml.types import SAMPLE_RATE, Samples, Transcript

TAIL = 0.5
"""Seconds of silence that follow an utterance at least: a transducer says a word some frames after its end."""


class Stream(Protocol):
    """The recogniser's side of one utterance: where it is in the sound, and what it remembers."""

    @property
    def before(self) -> int:
        """Samples of silence that it hears before the first."""
        ...

    @property
    def frame(self) -> float:
        """Seconds of one of its frames."""
        ...

    def reach(self, chunks: int) -> tuple[int, int]:
        """Samples that the next `chunks` chunks look at, and how many of them are done with afterwards."""
        ...

    def take(self, samples: Samples, chunks: int) -> Sequence[Piece]:
        """What is said in the next chunks, without marks of any kind. Raises EngineFailed."""
        ...

    def text(self, token: int) -> str:
        """What a token stands for, a space where a word begins."""
        ...

    @property
    def language(self) -> str | None:
        """The language that was heard, as soon as the recogniser has said so."""
        ...


class StreamSession:
    """An utterance, heard while it lasts; live, its partial results can be had."""

    def __init__(self, stream: Stream, engine: str, language: str | None, *, live: bool, step: int) -> None:
        """`language` None leaves it to the recogniser; it computes `step` chunks at once."""
        self._stream: Stream | None = stream
        self._engine, self._live, self._step = engine, live, step
        self._told = language
        self._spelling = Spelling(stream.text, stream.frame, language or "")
        self._pieces: list[Samples] = [np.zeros(stream.before, np.float32)]
        self._waiting = stream.before
        self._done = -stream.before  # samples of the utterance before the buffer
        self._total, self._loudest = 0, 0.0
        self._needs = stream.reach(step)[0]

    def accept(self, samples: Samples) -> None:
        """Hear the next samples `[N]`. Raises BadAudio, EngineFailed."""
        block = check_samples(samples)
        stream = self._open()
        while len(block):
            part, block = np.split(block, [min(len(block), self._needs - self._waiting)])
            self._pieces.append(part.copy())
            self._waiting += len(part)
            self._total += len(part)
            self._loudest = max(self._loudest, float(np.abs(part).max()))
            if self._waiting == self._needs:
                self._hear(stream, self._step)
                self._needs = stream.reach(self._step)[0]

    def partial(self) -> Transcript | None:
        """The words so far, or None when there are none or the session is not live."""
        self._open()
        words = in_order(self._spelling.words, 0.0, self._total / SAMPLE_RATE) if self._live else ()
        return transcript(words, self._total, self._engine, self._told or "", final=False) if words else None

    def pause(self) -> float:
        """Nothing: that it says nothing does not mean that nothing is spoken."""
        self._open()
        return 0.0

    def finish(self) -> Transcript:
        """All words. Raises EngineFailed."""
        stream = self._open()
        if self._loudest >= FLOOR:
            last, chunks = self._total + round(TAIL * SAMPLE_RATE), 1
            while self._done + stream.reach(chunks)[0] < last:
                chunks += 1
            self._pieces.append(np.zeros(stream.reach(chunks)[0] - self._waiting, np.float32))
            self._hear(stream, chunks)
        words = in_order(self._spelling.words, 0.0, self._total / SAMPLE_RATE)
        self.abandon()
        return transcript(words, self._total, self._engine, self._told or "", final=True)

    def abandon(self) -> None:
        """Drop the utterance; does nothing after the end."""
        self._stream = None
        self._pieces = []

    def _open(self) -> Stream:
        if self._stream is None:
            raise EngineFailed("This utterance has ended.", "Call listen() for the next one.")
        return self._stream

    def _hear(self, stream: Stream, chunks: int) -> None:
        audio = np.concatenate(self._pieces)
        done = stream.reach(chunks)[1]
        pieces = stream.take(audio, chunks)
        self._pieces, self._waiting, self._done = [audio[done:]], len(audio) - done, self._done + done
        if self._loudest < FLOOR:
            return  # whatever a network makes of silence
        if self._told is None and stream.language is not None:
            self._told = stream.language
            self._spelling.respell(self._told)
        self._spelling.add(pieces)
