"""A weight diff as bytes: `local - base` tensor by tensor, quantised, packed with msgpack, then gzip.

docs/protocol-diff.md is normative for the bytes. `encode` also gives the exact weights that the receiver will have, so
a sender whose next diff starts from those never loses what rounding left out: the error comes back by itself (the
shadow copy of CHOCO-SGD, Koloskova et al. 2019, and EF21, Richtarik et al. 2021). `decode` takes bytes from anybody.
This module knows nothing of peers, signatures or what the tensors compute.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import numpy as np
import numpy.typing as npt

from ml.errors import BadUpdate, ModelDamaged
from ml.federated.quantise import (
    SMALLEST_SCALE,
    Cut,
    Levels,
    Rows,
    cut_int4,
    cut_int8,
    cut_ternary,
    pack_nibbles,
    pack_trits,
    unpack_nibbles,
    unpack_trits,
)
from ml.weights import Layout, Weights

VERSION = 1

LARGEST_BODY = 256 * 1024
"""Bytes of the longest diff, as it travels."""

LARGEST_NORM = 100.0
"""Euclidean norm of the largest diff, over all tensors together. Genesis itself has about 20, a user's whole way from
it 1 to 3: whatever is longer is no result of learning."""


class Encoding(StrEnum):
    """How the numbers of a diff are written, from exact to coarse."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    INT4 = "int4"
    TERNARY = "ternary"


SNAPSHOT = Encoding.INT4
"""For a first diff, against genesis: 7.2 KB instead of the 19.1 KB of int8, and no measurable gain was lost by it
(docs/compression.md): what is left out of the first goes into the next."""

UPDATE = Encoding.INT4
"""For a diff against a shadow copy: 7.6 KB, the smallest that lost nothing measurable from a strong and from a weak
start. Ternary is 2.6 KB and loses 0.4 % of the gain (docs/compression.md)."""


@dataclass(frozen=True)
class Encoded:
    """A diff to send: its bytes, and the weights that it gives whoever has the base, bit for bit."""

    body: bytes
    result: Weights


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    layout: str
    encoding: str
    tensors: list[tuple[str, list[int], bytes, bytes]]


_READER = msgspec.msgpack.Decoder(_Body)
_WRITER = msgspec.msgpack.Encoder()


def encode(local: Weights, base: Weights, layout: Layout, encoding: Encoding, cut: Cut | None = None) -> Encoded:
    """The diff that turns `base` into `local`, as nearly as `encoding` can say. The same input gives the same bytes.

    `cut` chooses scales and levels, which must be levels of `encoding`; by default the encoding's own does.
    Raises ModelDamaged when either does not fit `layout`, or when they are further apart than half of `LARGEST_NORM`
    (rounding to levels can at most double a number).
    """
    layout.check(local)
    layout.check(base)
    apart = math.sqrt(sum(float(np.square(local[name].astype(np.float64) - base[name]).sum()) for name in local))
    if apart > LARGEST_NORM / 2:
        raise ModelDamaged(
            f"These weights are no result of learning: they are {apart:.3g} away from where they began.",
            "Take the parent version, or start from genesis.",
        )
    tensors, steps = [], {}
    for name, shape in layout.shapes.items():
        scales, values, steps[name] = _write(as_rows(local[name] - base[name], shape), encoding, cut)
        tensors.append((name, list(shape), scales, values))
    result = _apply(base, steps, layout)
    packed = _WRITER.encode(_Body(VERSION, layout.name, encoding.value, tensors))
    return Encoded(_gzip(packed), result)


def decode(body: bytes, base: Weights, layout: Layout) -> Weights:
    """The weights that a diff makes of `base`. Raises BadUpdate for anything that is not exactly a diff of `layout`.

    Never takes more memory than `memory_bound(layout)` bytes beyond its arguments, whatever the bytes are.
    """
    packed = _gunzip(body, largest_packed(layout))
    try:
        diff = _READER.decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _bad(f"it does not read as one: {str(error)[:80]}") from error
    if diff.v != VERSION:
        raise _bad(f"its version is {diff.v}, not {VERSION}")
    if diff.layout != layout.name:
        raise _bad(f"it is for another kind of model than {layout.name}")
    if diff.encoding not in {known.value for known in Encoding}:
        raise _bad("its encoding is unknown")
    if _WRITER.encode(diff) != packed:
        raise _bad("it is not written in the one way that it can be written in")
    named = [(name, tuple(shape)) for name, shape, _, _ in diff.tensors]
    if named != list(layout.shapes.items()):
        raise _bad(f"its tensors are not those of {layout.name}, in their order")
    encoding = Encoding(diff.encoding)
    steps = {name: _read(scales, values, layout.shapes[name], encoding) for name, _, scales, values in diff.tensors}
    return _apply(base, steps, layout)


def largest_packed(layout: Layout) -> int:
    """Bytes of the longest body of this layout before gzip: 4 for each number and each row, and the map around them."""
    tensors = sum(4 * (math.prod(shape) + _count(shape)) for shape in layout.shapes.values())
    words = sum(len(name.encode()) + 5 * len(shape) + 24 for name, shape in layout.shapes.items())
    return tensors + words + len(layout.name.encode()) + 128


def memory_bound(layout: Layout) -> int:
    """Bytes that `decode` takes at most beyond its arguments: the packed body a few times, and the tensors in work."""
    return LARGEST_BODY + 4 * largest_packed(layout) + 16 * layout.parameters + 64 * 1024


def _gzip(packed: bytes) -> bytes:
    """One gzip member without name or time."""
    writer = zlib.compressobj(9, zlib.DEFLATED, 31, 9)
    return writer.compress(packed) + writer.flush()


def _gunzip(body: bytes, limit: int) -> bytes:
    """The content of exactly one gzip member of at most `limit` bytes."""
    if len(body) > LARGEST_BODY:
        raise _bad(f"it has {len(body)} bytes, more than {LARGEST_BODY}")
    reader = zlib.decompressobj(31)
    try:
        packed = reader.decompress(body, limit + 1)
    except zlib.error as error:
        raise _bad("it is no sound gzip") from error
    if len(packed) > limit:
        raise _bad(f"it unpacks to more than {limit} bytes")
    if not reader.eof:
        raise _bad("it ends too early")
    if reader.unused_data:
        raise _bad("something follows its end")
    return packed


def as_rows(tensor: npt.NDArray[np.float32], shape: Sequence[int], stacked: bool = False) -> Rows:
    """A tensor of `shape` as rows along its first axis; `stacked`, those of many people, `[people, rows, columns]`."""
    count = _count(shape)
    return tensor.reshape(*tensor.shape[:stacked], count, math.prod(shape) // max(count, 1))


def _count(shape: Sequence[int]) -> int:
    """How many rows a tensor has; one with a single axis or none is one row."""
    return shape[0] if len(shape) > 1 else 1


CUTS: Mapping[Encoding, Cut] = {Encoding.INT8: cut_int8, Encoding.INT4: cut_int4, Encoding.TERNARY: cut_ternary}
"""How scales and levels are chosen where nothing else is said."""


def step(rows: Rows, encoding: Encoding, cut: Cut | None = None) -> Rows:
    """What receivers add for differences of one tensor, of one person or of many at once, `[..., rows, columns]`."""
    if encoding is Encoding.FP32:
        return rows
    if encoding is Encoding.FP16:
        return _half(rows).astype(np.float32)
    return multiply(*(cut or CUTS[encoding])(rows))


def _write(diff: Rows, encoding: Encoding, cut: Cut | None) -> tuple[bytes, bytes, Rows]:
    """Scales and values of one tensor as bytes, and the step that they will be read as."""
    if encoding is Encoding.FP32:
        return b"", diff.astype("<f4").tobytes(), diff
    if encoding is Encoding.FP16:
        half = _half(diff)
        return b"", half.tobytes(), half.astype(np.float32)
    scales, levels = (cut or CUTS[encoding])(diff)
    return scales.astype("<f4").tobytes(), _pack(levels, encoding), multiply(scales, levels)


def _half(diff: Rows) -> npt.NDArray[np.float16]:
    return np.clip(diff, -65504, 65504).astype("<f2")


def _pack(levels: Levels, encoding: Encoding) -> bytes:
    if encoding is Encoding.INT4:
        return pack_nibbles(levels.ravel())
    return pack_trits(levels.ravel()) if encoding is Encoding.TERNARY else levels.tobytes()


def _unpack(values: bytes, count: int, encoding: Encoding) -> Levels | None:
    """`count` levels, or None when one is outside what the encoding can say."""
    if encoding is Encoding.INT4:
        return unpack_nibbles(values, count)
    if encoding is Encoding.TERNARY:
        return unpack_trits(values, count)
    levels = np.frombuffer(values, np.int8)
    return None if (levels == -128).any() else levels


def _read(scales: bytes, values: bytes, shape: Sequence[int], encoding: Encoding) -> Rows:
    """The step of one tensor `[rows, columns]`, or BadUpdate."""
    rows, count = _count(shape), math.prod(shape)
    wanted = {
        Encoding.FP32: 4 * count,
        Encoding.FP16: 2 * count,
        Encoding.INT8: count,
        Encoding.INT4: -(-count // 2),
        Encoding.TERNARY: -(-count // 5),
    }[encoding]
    exact = encoding in (Encoding.FP32, Encoding.FP16)
    if len(values) != wanted or len(scales) != (0 if exact else 4 * rows):
        raise _bad("a tensor has not as many bytes as its shape says")
    if exact:
        step = np.frombuffer(values, "<f4" if encoding is Encoding.FP32 else "<f2").astype(np.float32)
        return step.reshape(rows, -1)
    levels = _unpack(values, count, encoding)
    if levels is None:
        raise _bad("a number is outside what its encoding can say")
    factors = np.frombuffer(scales, "<f4").astype(np.float32)
    small = np.signbit(factors) | ((factors != 0) & (factors < SMALLEST_SCALE))
    if not np.isfinite(factors).all() or small.any():
        raise _bad("a scale is negative, too small or not finite")
    return multiply(factors, levels.reshape(rows, -1))


def multiply(scales: npt.NDArray[np.float32], levels: Levels) -> Rows:
    """`float32(scale * level)`: one rounding to the nearest float32, ties to even."""
    with np.errstate(over="ignore"):
        return scales[..., None] * levels.astype(np.float32)


def _apply(base: Weights, steps: dict[str, Rows], layout: Layout) -> Weights:
    """`float32(base + step)`, or BadUpdate when the step is too long or the sum is not finite."""
    square = 0.0
    for step in steps.values():
        if not np.isfinite(step).all():
            raise _bad("it has numbers that are not finite")
        square += float(np.square(step, dtype=np.float64).sum())
    if square > LARGEST_NORM**2:
        raise _bad(f"its norm is {square**0.5:.3g}, more than {LARGEST_NORM:g}")
    result = {name: base[name] + steps[name].reshape(shape) for name, shape in layout.shapes.items()}
    if not all(np.isfinite(tensor).all() for tensor in result.values()):
        raise _bad("it leads to numbers that are not finite")
    return result


def _bad(why: str) -> BadUpdate:
    return BadUpdate(f"This is no diff that can be used: {why}.", "Ask the sender for a snapshot.")
