"""Whose speech is learnt from: people, crowds of them made when needed, and their speech as rows to compute with.

Rows of everybody in memory take 320 bytes a frame: 1,000 people of ten seconds 200 MB, 100,000 of them 20 GB. So a
`Crowd` makes anybody's speech when it is asked for, and no more of it stays than there is memory to spare. Knows
nothing of models beyond what a row is.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ml.audio.logmel import MELS, LogMel
from ml.federated.shared import free_memory, shared_array
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


SHARE = 0.25
"""Of the free memory may go to made rows that are kept."""

RECENT = 64_000_000
"""Bytes of made rows that are not kept for good but for a while: a round comes back to a person several times."""


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

    @property
    def counts(self) -> Mapping[Part, Counts]:
        """How many rows each has, `[people]`."""
        ...

    def gather(self, wanted: Sequence[tuple[Part, int]]) -> tuple[torch.Tensor, Counts]:
        """Rows `[N, D]` that begin with a row of zeros, and where the rows of each wanted part of a person begin."""
        ...

    def whole(self) -> Rows:
        """The same rows with nothing held out: all but the test speech is trained on. Takes no memory of its own."""
        ...


def rows_of(people: Sequence[Person] | Crowd, autoencoder: Autoencoder, device: str, room: int | None = None) -> Rows:
    """The speech of a crowd as it is needed; of any other sequence all at once, in the device's memory.

    Of a crowd `room` bytes are kept, by default `SHARE` of the memory that is free now.
    """
    if isinstance(people, Crowd):
        return _Made(_Speech(people, autoencoder, SHARE * free_memory() if room is None else room), device)
    return _Held.of(people, autoencoder, device)


def _entire(counts: dict[Part, Counts]) -> dict[Part, Counts]:
    """The numbers of rows when nothing is held out."""
    held_out = counts["held_out"]
    return {"train": counts["train"] + held_out, "held_out": np.zeros_like(held_out), "test": counts["test"]}


@dataclass(frozen=True)
class _Held:
    """All rows of everybody in one matrix, each person's parts one after another."""

    counts: dict[Part, Counts]
    begins: dict[Part, Counts]
    rows: torch.Tensor

    @classmethod
    def of(cls, people: Sequence[Person], autoencoder: Autoencoder, device: str) -> _Held:
        import torch

        parts: dict[Part, Callable[[Person], Sequence[LogMel]]] = {
            "train": lambda one: one.speech.train,
            "held_out": lambda one: one.speech.held_out,
            "test": lambda one: one.test,
        }
        made = [
            [[autoencoder.rows(spoken) for spoken in parts[part](one) if len(spoken)] for part in PARTS]
            for one in people
        ]
        sizes = np.array([[sum(map(len, spoken)) for spoken in one] for one in made], np.int64).reshape(-1, len(PARTS))
        ends = 1 + np.cumsum(sizes).reshape(sizes.shape)
        pieces = [rows for one in made for spoken in one for rows in spoken]
        width = pieces[0].shape[1] if pieces else 1
        everything = np.concatenate([np.zeros((1, width), np.float32), *pieces], dtype=np.float32)
        counts, begins = (dict(zip(PARTS, each.T, strict=True)) for each in (sizes, ends - sizes))
        return cls(counts, begins, torch.from_numpy(everything).to(device))

    def gather(self, wanted: Sequence[tuple[Part, int]]) -> tuple[torch.Tensor, Counts]:
        return self.rows, np.array([self.begins[part][at] for part, at in wanted], np.int64)

    def whole(self) -> Rows:
        return replace(self, counts=_entire(self.counts))


class _Speech:
    """Rows of a crowd, made when they are first wanted. Those of the first people stay, as many as there is room for,
    in memory that forked processes share; of the others the latest."""

    def __init__(self, crowd: Crowd, autoencoder: Autoencoder, room: float) -> None:
        self._crowd, self._autoencoder = crowd, autoencoder
        self.counts = {part: (-(-crowd.lengths(part) // autoencoder.block)).sum(axis=1) for part in PARTS}
        self.width = autoencoder.block * MELS
        self.ends = 1 + np.cumsum(self.counts["train"] + self.counts["held_out"])
        self.kept = int(np.searchsorted(4 * self.width * self.ends, room, side="right"))
        """So many people's training and held-out rows stay."""
        many = int(self.ends[self.kept - 1]) if self.kept else 1
        self.rows = np.asarray(shared_array((many, self.width), np.float32))
        self._there = shared_array((len(PARTS), self.kept), np.bool_)
        self._recent: OrderedDict[tuple[Part, int], npt.NDArray[np.float32]] = OrderedDict()
        self._held, self._lock = 0, threading.Lock()

    def begin(self, part: Part, at: int) -> int:
        """Where the rows of a part are in those that stay."""
        train, held_out = int(self.counts["train"][at]), int(self.counts["held_out"][at])
        return int(self.ends[at]) - held_out - (train if part == "train" else 0)

    def stay(self, part: Part, at: int) -> bool:
        """Whether they do."""
        return part != "test" and at < self.kept

    def of(self, part: Part, at: int) -> npt.NDArray[np.float32]:
        """Somebody's rows. Several may make the same at a time; they are equal."""
        if self.stay(part, at):
            begin, place = self.begin(part, at), (PARTS.index(part), at)
            kept = self.rows[begin : begin + int(self.counts[part][at])]
            if not self._there[place]:
                kept[:] = self._make(part, at)
                self._there[place] = True
            return kept
        with self._lock:
            found = self._recent.get((part, at))
            if found is not None:
                self._recent.move_to_end((part, at))
                return found
        found = self._make(part, at)
        with self._lock:
            if (part, at) not in self._recent:
                self._recent[part, at] = found
                self._held += found.nbytes
            while self._held > RECENT:
                self._held -= self._recent.popitem(last=False)[1].nbytes
        return found

    def _make(self, part: Part, at: int) -> npt.NDArray[np.float32]:
        spoken = [self._autoencoder.rows(one) for one in self._crowd.utterances(part, at) if len(one)]
        rows = np.concatenate(spoken) if spoken else np.zeros((0, self.width), np.float32)
        if len(rows) != self.counts[part][at]:
            raise ValueError("a crowd made other amounts of speech than it told of")
        return rows


class _Made:
    """A crowd's rows for a cohort."""

    def __init__(self, speech: _Speech, device: str, entire: bool = False) -> None:
        """`entire` is with nothing held out."""
        self._speech, self._device, self._entire = speech, device, entire
        self.counts = _entire(speech.counts) if entire else speech.counts

    def gather(self, wanted: Sequence[tuple[Part, int]]) -> tuple[torch.Tensor, Counts]:
        import torch

        speech = self._speech
        found = {one: [speech.of(piece, one[1]) for piece in self._pieces(one[0])] for one in dict.fromkeys(wanted)}
        if self._device == "cpu" and all(speech.stay(part, at) for part, at in wanted):
            return torch.from_numpy(speech.rows), np.array([speech.begin(*one) for one in wanted], np.int64)
        begins: dict[tuple[Part, int], int] = {}
        place = 1
        for one, pieces in found.items():
            begins[one] = place
            place += sum(map(len, pieces))
        pieces = [np.zeros((1, speech.width), np.float32), *(piece for pieces in found.values() for piece in pieces)]
        rows = torch.from_numpy(np.concatenate(pieces)).to(self._device)
        return rows, np.array([begins[one] for one in wanted], np.int64)

    def whole(self) -> Rows:
        return _Made(self._speech, self._device, entire=True)

    def _pieces(self, part: Part) -> tuple[Part, ...]:
        """What a part is made of, in the order in which the rows that stay lie."""
        if not self._entire or part == "test":
            return (part,)
        return ("train", "held_out") if part == "train" else ()
