"""How differences travel, by name, over the stacks that the simulator works on: each body is a `Compression`.

What the node can send (`Wired`) arrives bit for bit as `ml/federated/diff.py` says, and its size is that of the real
body. Signs and top-k are not on the wire; their size is that of values packed as tightly as plain code packs them,
after gzip. What `encode` would refuse to send (not finite, or too long) arrives as it is: a liar writes its own bytes.
Knows nothing of rounds, shadows or peers.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from ml.federated.cohort import Stack
from ml.federated.diff import LARGEST_NORM, Encoding, as_rows, encode, multiply, step
from ml.federated.method import Compression
from ml.federated.quantise import Cut, cut_above, cut_int2, cut_sign
from ml.voice.stacked import named
from ml.weights import Layout, Tensor

_AT_ONCE = 8
"""People cut at a time: their numbers stay in a processor's cache."""


@dataclass(frozen=True)
class Wired:
    """An encoding of docs/protocol-diff.md; `cut` chooses other scales and levels than the encoding's name says."""

    name: str
    encoding: Encoding
    shadow: bool
    cut: Cut | None = None

    def arrives(self, differences: Stack, layout: Layout) -> Stack:
        """`[P, parameters]`: the steps that `decode` reads from the bodies."""
        found = differences.copy()
        for people, numbers in _chunks(differences):
            for at, shape in _places(layout):
                rows = as_rows(numbers[:, at], shape, stacked=True)
                found[people, at] = step(rows, self.encoding, self.cut).reshape(len(people), -1)
        return found

    def size(self, difference: Tensor, layout: Layout) -> int:
        """Bytes of the body."""
        if not _good(difference[None])[0]:
            return _zipped(difference.astype("<f4").tobytes())
        nothing = named(np.zeros_like(difference), layout)
        return len(encode(named(difference, layout), nothing, layout, self.encoding, self.cut).body)


@dataclass(frozen=True)
class Sign:
    """One bit for each number and a scale for each row (Seide et al. 2014; Karimireddy et al. 2019)."""

    name: str
    shadow: bool

    def arrives(self, differences: Stack, layout: Layout) -> Stack:
        """`[P, parameters]`: the mean magnitude of each row with the signs of its numbers."""
        found = differences.copy()
        for people, numbers in _chunks(differences):
            for at, shape in _places(layout):
                rows = as_rows(numbers[:, at], shape, stacked=True)
                found[people, at] = multiply(*cut_sign(rows)).reshape(len(people), -1)
        return found

    def size(self, difference: Tensor, layout: Layout) -> int:
        """Bytes of bits and scales after gzip."""
        if not _good(difference[None])[0]:
            return _zipped(difference.astype("<f4").tobytes())
        scales = [cut_sign(as_rows(difference[at], shape))[0] for at, shape in _places(layout)]
        return _zipped(np.packbits(difference < 0).tobytes() + np.concatenate(scales).astype("<f4").tobytes())


@dataclass(frozen=True)
class TopK:
    """The largest `share` of all numbers, each as one of 255 levels of a common scale (Strom 2015; Stich et al. 2018).

    Largest in magnitude. Of equals the first in the order of the layout are sent.
    """

    name: str
    shadow: bool
    share: float

    def arrives(self, differences: Stack, layout: Layout) -> Stack:
        """`[P, parameters]`, zero but for what was sent."""
        found = differences.copy()
        good = _good(differences)
        for who in np.flatnonzero(good):
            places, scale, levels = self._cut(differences[who])
            found[who] = 0
            found[who, places] = scale * levels.astype(np.float32)
        return found

    def size(self, difference: Tensor, layout: Layout) -> int:
        """Bytes of a scale, of places (as a map of bits, or as gaps when that is shorter) and of levels after gzip."""
        if not _good(difference[None])[0]:
            return _zipped(difference.astype("<f4").tobytes())
        places, scale, levels = self._cut(difference)
        sent = np.zeros(difference.size, bool)
        sent[places] = True
        gaps = np.diff(places, prepend=-1) - 1
        short = np.concatenate([np.append(np.full(gap // 255, 255), gap % 255) for gap in gaps]).astype(np.uint8)
        values = levels.tobytes() + np.float32(scale).tobytes()
        return min(_zipped(np.packbits(sent).tobytes() + values), _zipped(short.tobytes() + values))

    def _cut(self, difference: Tensor) -> tuple[np.ndarray, np.float32, np.ndarray]:
        sizes = np.abs(difference)
        count = max(1, round(self.share * difference.size))
        least = np.partition(sizes, sizes.size - count)[sizes.size - count]
        larger = np.flatnonzero(sizes > least)
        places = np.sort(np.append(larger, np.flatnonzero(sizes == least)[: count - len(larger)]))
        scale = np.float32(sizes[places].max() / np.float32(127))
        levels = np.rint(difference[places] / (scale if scale > 0 else np.float32(1)))
        return places, scale, np.clip(levels, -127, 127).astype(np.int8)


def _wired() -> Iterator[Wired]:
    for encoding in Encoding:
        yield Wired(encoding.value, encoding, shadow=True)
        yield Wired(f"{encoding.value}-plain", encoding, shadow=False)
    ternary = partial(Wired, encoding=Encoding.TERNARY)
    yield ternary("int2", shadow=True, cut=cut_int2)
    yield ternary("int2-plain", shadow=False, cut=cut_int2)
    for threshold in (1.0, 2.0, 2.5):
        yield ternary(f"ternary-{threshold:g}", shadow=True, cut=partial(cut_above, threshold=threshold))
    for threshold in (1.5, 2.0):
        cut = partial(cut_above, threshold=threshold, one_scale=True)
        yield ternary(f"ternary-{threshold:g}-lean", shadow=True, cut=cut)


_ALL: tuple[Compression, ...] = (
    *_wired(),
    Sign("sign", shadow=True),
    Sign("sign-plain", shadow=False),
    TopK("top-10%", shadow=True, share=0.1),
    TopK("top-10%-plain", shadow=False, share=0.1),
    TopK("top-1%", shadow=True, share=0.01),
)

COMPRESSIONS: Mapping[str, Compression] = {one.name: one for one in _ALL}
"""`-plain` has no shadow: every difference is against genesis. `int2` and the other cuts of three levels travel as
`ternary`, of which a number is the threshold in root mean squares of the tensor; `-lean` has one scale a tensor."""


def _chunks(differences: Stack) -> Iterator[tuple[np.ndarray, Stack]]:
    """Some of the people who can send, and their differences."""
    able = np.flatnonzero(_good(differences))
    for first in range(0, len(able), _AT_ONCE):
        people = able[first : first + _AT_ONCE]
        yield people, differences[people]


def _good(differences: Stack) -> np.ndarray:
    """Whose difference `encode` writes, `[P]`."""
    with np.errstate(over="ignore", invalid="ignore"):
        square = np.einsum("pn,pn->p", differences, differences)
    near: np.ndarray = square < (LARGEST_NORM / 2) ** 2 * 0.999
    for who in np.flatnonzero(~near & (square < (LARGEST_NORM / 2) ** 2 * 1.001)):
        near[who] = np.square(differences[who], dtype=np.float64).sum() <= (LARGEST_NORM / 2) ** 2
    return near


def _places(layout: Layout) -> Iterator[tuple[slice, tuple[int, ...]]]:
    first = 0
    for shape in layout.shapes.values():
        count = int(np.prod(shape))
        yield slice(first, first + count), shape
        first += count


def _zipped(data: bytes) -> int:
    return len(zlib.compress(data, 9, 31))
