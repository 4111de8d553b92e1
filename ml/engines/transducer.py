"""What recognisers that hear frame by frame have in common: the tokens that a transducer says, each at its frame
(A. Graves, 2012, "Sequence Transduction with Recurrent Neural Networks"), and the words that they make.

Words come as their tokens do: only the last one can still grow. Knows no network and no sound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ml.engines.whisper_words import to_words
from ml.types import Word


@dataclass(frozen=True)
class Piece:
    """A token, the frames from `first` to before `last`, and its log-probability."""

    token: int
    first: int
    last: int
    likely: float


class Spelling:
    """The words of one utterance, from its pieces in their order."""

    def __init__(self, text: Callable[[int], str], frame: float, language: str) -> None:
        """`text` is what a token stands for, a space where a word begins; a frame lasts `frame` seconds. `language`
        says whether words have spaces between them."""
        self._text, self._frame, self.language = text, frame, language
        self._pieces: list[Piece] = []
        self._done: list[Word] = []
        self._rest: tuple[Word, ...] = ()
        self._from = 0  # pieces that are in words which grow no more

    def add(self, pieces: Sequence[Piece]) -> None:
        """Take the next pieces."""
        if not pieces:
            return
        self._pieces.extend(pieces)
        waiting = self._pieces[self._from :]
        texts = [self._text(piece.token) for piece in waiting]
        words = to_words(range(len(waiting)), lambda ids: "".join(texts[i] for i in ids), self.language)
        timed = [self._timed(text, [waiting[place] for place in places]) for text, places in words]
        if len(timed) > 1:
            self._done += timed[:-1]
            self._from += words[-1][1][0]
        self._rest = tuple(timed[-1:])

    def respell(self, language: str) -> None:
        """Put the same pieces together as another language does."""
        pieces, self.language = self._pieces, language
        self._pieces, self._done, self._rest, self._from = [], [], (), 0
        self.add(pieces)

    @property
    def words(self) -> tuple[Word, ...]:
        """The words so far."""
        return (*self._done, *self._rest)

    def _timed(self, text: str, pieces: Sequence[Piece]) -> Word:
        sure = float(np.exp(np.mean([piece.likely for piece in pieces])))
        return Word(text, pieces[0].first * self._frame, pieces[-1].last * self._frame, sure)
