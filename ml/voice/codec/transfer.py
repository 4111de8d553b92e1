"""A personal codebook as few bytes: what is sent once before a call.

Against the codebook that everybody has: tables that are equal are left out, others are differences, and the basis,
which turns freely, is sent itself; all of it deflated. Knows nothing of calls or files.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import ModelDamaged
from ml.voice.codec.codebook import SHAPES, Codebook

LARGEST = 40_000
"""Bytes; deflated codebooks have 8 to 12 thousand."""

_WHOLE = ("basis",)
_ORDER = sorted(SHAPES)
_SIZES = {name: int(np.prod(shape)) * np.dtype(kind).itemsize for name, (kind, shape) in SHAPES.items()}
_NAMED = 8


def pack(codebook: Codebook, known: Codebook) -> bytes:
    """`codebook` for somebody who has `known`: two bytes of which tensors follow, 8 of `known`'s digest, the rest."""
    sent, body = 0, []
    for place, name in enumerate(_ORDER):
        mine, theirs = codebook.tensors[name], known.tensors[name]
        if np.array_equal(mine, theirs):
            continue
        sent |= 1 << place
        body.append(_bytes(mine if name in _WHOLE else mine - theirs))
    return sent.to_bytes(2, "little") + bytes.fromhex(known.digest)[:_NAMED] + zlib.compress(b"".join(body), 9)


def unpack(data: bytes, known: Codebook) -> Codebook:
    """The codebook in `data`. Raises ModelDamaged; never inflates more than a codebook can be."""
    if len(data) > LARGEST or len(data) < 2 + _NAMED:
        raise _damaged("its size is wrong")
    if data[2 : 2 + _NAMED] != bytes.fromhex(known.digest)[:_NAMED]:
        raise _damaged("it is a difference from a codebook that is not here")
    sent = int.from_bytes(data[:2], "little")
    names = [name for place, name in enumerate(_ORDER) if sent >> place & 1]
    size = sum(_SIZES[name] for name in names)
    inflate = zlib.decompressobj()
    try:
        body = inflate.decompress(data[2 + _NAMED :], size + 1)
    except zlib.error as error:
        raise _damaged(str(error)) from error
    if len(body) != size or inflate.unconsumed_tail or inflate.unused_data or not inflate.eof or sent >> len(_ORDER):
        raise _damaged("its tensors have another size")
    tensors: dict[str, npt.NDArray[Any]] = dict(known.tensors)
    at = 0
    for name in names:
        kind, shape = SHAPES[name]
        part = _planes(body[at : at + _SIZES[name]], kind).reshape(shape)
        tensors[name] = part if name in _WHOLE else tensors[name] + part
        at += _SIZES[name]
    return Codebook(tensors)


def _bytes(tensor: npt.NDArray[Any]) -> bytes:
    """Little-endian, all low bytes before all high ones: the high ones deflate to nothing."""
    wide = np.ascontiguousarray(tensor).ravel()
    return wide.view(np.uint8).reshape(len(wide), wide.itemsize).T.tobytes()


def _planes(data: bytes, kind: str) -> npt.NDArray[Any]:
    item = np.dtype(kind).itemsize
    return np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(item, -1).T).view(kind).ravel()


def _damaged(why: str) -> ModelDamaged:
    return ModelDamaged(f"This packed voice codebook cannot be used: {why}.", "Ask for it again.")
