"""Numbers cut to a few levels, and levels packed into bytes: the arithmetic under a weight diff.

A cut gives one scale for each row and whole levels, so that `scale * level` is near the number. What a cut leaves out
is not lost where the sender keeps a shadow copy: it is in the next diff. Knows nothing of layouts, msgpack or peers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
"""A tensor as `[rows, columns]`, or the same tensor of many people as `[people, rows, columns]`: everybody's is cut to
the bits that it would be cut to alone."""

Scales = npt.NDArray[np.float32]
"""`[..., rows]`, none negative; a row that is all zero has the scale 0."""

Levels = npt.NDArray[np.int8]
"""Whole numbers, `[..., rows, columns]` or `[N]`."""

Cut = Callable[[Rows], tuple[Scales, Levels]]
"""A way to choose scales and levels."""

INT4_STEP = 0.7
"""Step of int4 in root mean squares of the row, not the row's largest / 7: see benchmarks/federated.py."""

INT2_STEP = 1.22
"""In root mean squares of the row: the best three levels for normal numbers (Max 1960)."""

TERNARY_THRESHOLD = 1.5
"""Standard deviations of the tensor from which on a number is sent."""

SMALLEST_SCALE = np.float32(2.0**-100)
"""A scale is 0 or at least this: no product is ever subnormal, and no row worth sending is that small."""


def cut_int8(rows: Rows) -> tuple[Scales, Levels]:
    """Levels -127..127; the scale is the row's largest magnitude / 127."""
    return _cut(rows, _largest(rows) / np.float32(127), 127)


def cut_int4(rows: Rows) -> tuple[Scales, Levels]:
    """Levels -7..7, a step of `INT4_STEP` times the row's root mean square.

    The step is at least 1/14 of the largest magnitude, so that half of every number goes with one diff.
    """
    return _cut(rows, np.maximum(INT4_STEP * _spread(rows), _largest(rows) / 14), 7)


def cut_int2(rows: Rows) -> tuple[Scales, Levels]:
    """Levels -1, 0, 1: `INT2_STEP` times the row's root mean square, from half of that on.

    Levels of three values travel as ternary: the wire knows no int2.
    """
    return _cut(rows, INT2_STEP * _spread(rows), 1)


def cut_ternary(rows: Rows) -> tuple[Scales, Levels]:
    """Levels -1, 0, 1: what reaches `TERNARY_THRESHOLD` times the tensor's root mean square is sent, as their mean."""
    return cut_above(rows, TERNARY_THRESHOLD)


def cut_above(rows: Rows, threshold: float, one_scale: bool = False) -> tuple[Scales, Levels]:
    """Levels -1, 0, 1: what reaches `threshold` times the tensor's root mean square is sent, or the largest if nothing
    does, as the mean of those sent in the row, or with `one_scale` in the tensor (fewer bytes after gzip)."""
    sizes = np.abs(rows)
    flat = sizes.reshape(*rows.shape[:-2], rows.shape[-2] * rows.shape[-1])
    spread = np.sqrt(np.square(flat, dtype=np.float64).sum(axis=-1) / max(flat.shape[-1], 1))
    sent = sizes >= np.minimum(threshold * spread, flat.max(axis=-1, initial=0))[..., None, None]
    axis: int | tuple[int, int] = (-2, -1) if one_scale else -1
    # Sums of float32 of like size are exact in float64: their order does not matter.
    total = np.where(sent, sizes, np.float32(0)).sum(axis=axis, dtype=np.float64, keepdims=True)
    mean = (total / np.maximum(sent.sum(axis=axis, keepdims=True), 1))[..., 0]
    scales = _short(np.broadcast_to(mean, rows.shape[:-1]))
    levels = np.sign(rows).astype(np.int8)
    levels *= (sent & (scales[..., None] > 0)).view(np.int8)
    return (scales if one_scale else np.where(levels.any(axis=-1), scales, np.float32(0))), levels


def cut_sign(rows: Rows) -> tuple[Scales, Levels]:
    """Levels -1 and 1, the scale is the row's mean magnitude (signSGD with error feedback, Karimireddy et al. 2019)."""
    scales = _short(np.abs(rows).sum(axis=-1, dtype=np.float64) / max(rows.shape[-1], 1))
    levels = np.where(rows < 0, np.int8(-1), np.int8(1))
    levels[scales == 0] = 0
    return scales, levels


def _largest(rows: Rows) -> Rows:
    largest: Rows = np.abs(rows).max(axis=-1, initial=0)
    return largest


def _spread(rows: Rows) -> npt.NDArray[np.float64]:
    """Root mean square of each row."""
    spread: npt.NDArray[np.float64] = np.sqrt(np.square(rows, dtype=np.float64).sum(axis=-1) / max(rows.shape[-1], 1))
    return spread


def _cut(rows: Rows, scales: npt.NDArray[np.floating], most: int) -> tuple[Scales, Levels]:
    short = _short(scales)
    levels = rows / np.where(short > 0, short, np.float32(1))[..., None]
    np.rint(levels, out=levels)
    np.clip(levels, -most, most, out=levels)
    whole = levels.astype(np.int8)
    whole[short == 0] = 0
    return short, whole


def _short(scales: npt.NDArray[np.floating]) -> Scales:
    """Scales with 5 significant bits, rounded up: what gzip makes of them is 1 KB less than of whole ones."""
    bits = scales.astype(np.float32).view(np.uint32)
    short = ((bits + np.uint32(0x7FFFF)) & np.uint32(0xFFF80000)).view(np.float32)
    return np.where(short < SMALLEST_SCALE, np.float32(0), short)


def pack_nibbles(levels: Levels) -> bytes:
    """Levels -7..7 `[N]`, two per byte in two's complement, the first in the low half; an odd last half is zero."""
    even = np.zeros(len(levels) + len(levels) % 2, np.int8)
    even[: len(levels)] = levels
    halves = even.view(np.uint8) & 15
    return (halves[0::2] | halves[1::2] << 4).astype(np.uint8).tobytes()


def unpack_nibbles(data: bytes, count: int) -> Levels | None:
    """`count` levels, or None when one is -8 or the unused half is not zero."""
    raw = np.frombuffer(data, np.uint8)
    halves = np.empty(2 * len(raw), np.int8)
    halves[0::2] = raw & 15
    halves[1::2] = raw >> 4
    halves[halves > 7] -= 16
    if (halves == -8).any() or halves[count:].any():
        return None
    return halves[:count]


_PLACES = np.array([1, 3, 9, 27, 81], np.int16)


def pack_trits(levels: Levels) -> bytes:
    """Levels -1, 0, 1 `[N]`, five per byte in base 3 as digits 0, 1, 2, ones first; places left over hold level 0."""
    whole = np.zeros(-(-len(levels) // 5) * 5, np.int16)
    whole[: len(levels)] = levels
    return ((whole.reshape(-1, 5) + 1) @ _PLACES).astype(np.uint8).tobytes()


def unpack_trits(data: bytes, count: int) -> Levels | None:
    """`count` levels, or None when a byte is above 242 or an unused place is not level 0."""
    raw = np.frombuffer(data, np.uint8).astype(np.int16)
    if (raw > 242).any():
        return None
    levels = (raw[:, None] // _PLACES % 3 - 1).astype(np.int8).ravel()
    return None if levels[count:].any() else levels[:count]
