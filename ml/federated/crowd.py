"""Whose speech is learnt from: people, crowds of them made when needed, and their speech as rows to compute with.

Rows of everybody in memory take 320 bytes a frame: 1,000 people of ten seconds 200 MB, 100,000 of them 20 GB. So a
`Crowd` makes anybody's speech when it is asked for, and nothing stays. Knows nothing of models beyond what a row is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ml.audio.logmel import MELS, LogMel
from ml.voice.training import Split, whole

if TYPE_CHECKING:
    import torch

    from ml.voice.autoencoder import Autoencoder

Part = Literal["train", "held_out", "test"]

PARTS: tuple[Part, ...] = ("train", "held_out", "test")

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Person:
    """Somebody's utterances `[T, 80]`: what is trained on, what choices are made by, and what nobody has seen."""

    name: str
    group: str
    speech: Split
    test: tuple[LogMel, ...] = ()


@runtime_checkable
class Crowd(Protocol):
    """Very many people, of whom nothing is kept: whoever is asked for is made anew, always the same.

    Called from several threads.
    """

    def __len__(self) -> int:
        """How many people."""
        ...

    def __getitem__(self, at: int, /) -> Person:
        """One of them. Raises IndexError when there is no such one."""
        ...

    def lengths(self, part: Part) -> Counts:
        """Frames of everybody's utterances, `[people, utterances]`, 0 where there is none: known without making any."""
        ...

    def utterances(self, part: Part, at: int) -> Sequence[LogMel]:
        """Somebody's speech, of the lengths that were told."""
        ...


KEPT = 300_000_000
"""Bytes of made rows that are kept."""


class Unparted:
    """A crowd whose held-out speech is trained on as well."""

    def __init__(self, crowd: Crowd) -> None:
        """Makes nobody."""
        self._crowd = crowd

    def __len__(self) -> int:
        return len(self._crowd)

    def __getitem__(self, at: int, /) -> Person:
        one = self._crowd[at]
        return replace(one, speech=whole(one.speech))

    def lengths(self, part: Part) -> Counts:
        """As `Crowd.lengths`."""
        if part == "train":
            return np.concatenate([self._crowd.lengths("train"), self._crowd.lengths("held_out")], axis=1)
        found = self._crowd.lengths(part)
        return np.zeros_like(found) if part == "held_out" else found

    def utterances(self, part: Part, at: int) -> Sequence[LogMel]:
        """As `Crowd.utterances`."""
        if part == "train":
            return [*self._crowd.utterances("train", at), *self._crowd.utterances("held_out", at)]
        return () if part == "held_out" else self._crowd.utterances(part, at)


class Rows(Protocol):
    """Everybody's speech as standardised rows."""

    counts: dict[Part, Counts]
    """How many rows each has, `[people]`."""

    def gather(self, wanted: Sequence[tuple[Part, int]]) -> tuple[torch.Tensor, Counts]:
        """Rows `[N, D]` that begin with a row of zeros, and where the rows of each wanted part of a person begin."""
        ...


def rows_of(people: Sequence[Person] | Crowd, autoencoder: Autoencoder, device: str) -> Rows:
    """The speech of a crowd as it is needed; of any other sequence all at once, in the device's memory."""
    if isinstance(people, Crowd):
        return _Made(people, autoencoder, device)
    return _Held(people, autoencoder, device)


class _Held:
    """All rows of everybody in one matrix."""

    def __init__(self, people: Sequence[Person], autoencoder: Autoencoder, device: str) -> None:
        import torch

        parts: dict[Part, Callable[[Person], Sequence[LogMel]]] = {
            "train": lambda one: one.speech.train,
            "held_out": lambda one: one.speech.held_out,
            "test": lambda one: one.test,
        }
        made = [
            (part, at, autoencoder.rows(spoken))
            for part, utterances in parts.items()
            for at, one in enumerate(people)
            for spoken in utterances(one)
            if len(spoken)
        ]
        self.counts = {part: np.zeros(len(people), np.int64) for part in PARTS}
        for part, at, rows in made:
            self.counts[part][at] += len(rows)
        sizes = np.concatenate([[1], *(self.counts[part] for part in PARTS)])
        self._begins = dict(zip(PARTS, np.split(np.cumsum(sizes)[:-1], len(PARTS)), strict=True))
        width = made[0][2].shape[1] if made else 1
        whole = np.zeros((int(sizes.sum()), width), np.float32)
        place = 1
        for _, _, rows in made:
            whole[place : place + len(rows)] = rows
            place += len(rows)
        self._rows = torch.from_numpy(whole).to(device)

    def gather(self, wanted: Sequence[tuple[Part, int]]) -> tuple[torch.Tensor, Counts]:
        return self._rows, np.array([self._begins[part][at] for part, at in wanted], np.int64)


class _Made:
    """Rows that are made whenever they are wanted. The first `KEPT` bytes of them stay, for whoever comes back to them
    round after round; what comes later is made anew, for to keep the latest would keep nothing that is asked for again.
    """

    def __init__(self, crowd: Crowd, autoencoder: Autoencoder, device: str) -> None:
        self._crowd, self._autoencoder, self._device = crowd, autoencoder, device
        self._kept: dict[tuple[Part, int], npt.NDArray[np.float32]] = {}
        self._room = KEPT
        self.counts = {part: (-(-crowd.lengths(part) // autoencoder.block)).sum(axis=1) for part in PARTS}

    def gather(self, wanted: Sequence[tuple[Part, int]]) -> tuple[torch.Tensor, Counts]:
        import torch

        begins: dict[tuple[Part, int], int] = {}
        made: list[npt.NDArray[np.float32]] = []
        place = 1
        for part, at in wanted:
            if (part, at) not in begins:
                begins[part, at] = place
                made.append(self._rows(part, at))
                place += int(self.counts[part][at])
        rows = np.concatenate([np.zeros_like(made[0][:1]), *made])
        if len(rows) != place:
            raise ValueError("a crowd made other amounts of speech than it told of")
        return torch.from_numpy(rows).to(self._device), np.array([begins[one] for one in wanted], np.int64)

    def _rows(self, part: Part, at: int) -> npt.NDArray[np.float32]:
        """Somebody's rows. Threads may make the same at a time; they are equal."""
        found = self._kept.get((part, at))
        if found is not None:
            return found
        spoken = [self._autoencoder.rows(one) for one in self._crowd.utterances(part, at) if len(one)]
        rows = np.concatenate(spoken) if spoken else np.zeros((0, self._autoencoder.block * MELS), np.float32)
        if rows.nbytes <= self._room:
            self._room -= rows.nbytes
            self._kept[part, at] = rows
        return rows
