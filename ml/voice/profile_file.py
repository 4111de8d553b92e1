"""Voice profiles as bytes: safetensors with the small facts as JSON in its metadata.

Reading is strict: size, names, shapes, types and ranges are checked before anything is believed, and no code is run.
This module knows nothing of how a profile is made or used.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
import safetensors
import safetensors.numpy

from ml.errors import ModelDamaged
from ml.voice.cepstra import ORDER, Array
from ml.voice.envelope import MOST_FRAMES, Cloud, Envelopes

if TYPE_CHECKING:
    from ml.voice.profile import VoiceProfile

VERSION = 1
LARGEST = 300_000
"""Bytes. Nothing longer is read."""

_EMBEDDING = (1, 4096)
_HEAD = struct.Struct("<Q")
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Positive = Annotated[float, msgspec.Meta(gt=0.0, lt=1e6)]
_NotNegative = Annotated[float, msgspec.Meta(ge=0.0, lt=1e6)]


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A profile's single values, as they stand in the metadata."""

    version: int
    seconds: _Positive
    voiced_seconds: _Positive
    level: _Positive
    f0_median: _Positive | None = None
    f0_spread: _NotNegative | None = None
    rate: _NotNegative | None = None
    encoder: _Name | None = None
    ceiling: Annotated[float, msgspec.Meta(ge=-1.01, le=1.01)] | None = None
    variant: _Name | None = None
    tts: _Name | None = None


def encode(profile: VoiceProfile) -> bytes:
    """Write a profile. Single envelopes are kept in half precision: 0.01 dB is nothing to hear."""
    envelopes = profile.envelopes
    tensors: dict[str, np.ndarray] = {}
    for name, cloud in (("voiced", envelopes.voiced), ("unvoiced", envelopes.unvoiced)):
        tensors[f"{name}.mean"] = cloud.mean.astype(np.float32)
        tensors[f"{name}.spread"] = cloud.spread.astype(np.float32)
        tensors[f"{name}.frames"] = cloud.frames.astype(np.float16)
    if profile.embedding is not None:
        tensors["embedding"] = profile.embedding.astype(np.float32)
    facts = Facts(
        version=VERSION,
        seconds=profile.seconds,
        voiced_seconds=envelopes.voiced_seconds,
        level=envelopes.level,
        f0_median=profile.f0_median,
        f0_spread=profile.f0_spread,
        rate=profile.rate,
        encoder=profile.encoder,
        ceiling=profile.ceiling,
        variant=profile.variant,
        tts=profile.tts,
    )
    return safetensors.numpy.save(tensors, metadata={"babelmesh.voice": msgspec.json.encode(facts).decode()})


def decode(data: bytes) -> dict[str, Any]:
    """A profile's fields. Raises ModelDamaged with what is wrong."""
    if len(data) > LARGEST:
        raise _damaged(f"it has {len(data)} bytes, more than the {LARGEST} a profile can have")
    try:
        facts = msgspec.json.decode(_metadata(data), type=Facts)
        tensors = safetensors.numpy.load(data)
    except (msgspec.MsgspecError, safetensors.SafetensorError, struct.error, UnicodeDecodeError) as error:
        raise _damaged(str(error)) from error
    except (KeyError, ValueError, OverflowError) as error:
        raise _damaged("it holds numbers that cannot be read") from error
    if facts.version != VERSION:
        raise _damaged(f"it is of version {facts.version}, this program reads version {VERSION}")
    embedding = tensors.pop("embedding", None)
    if embedding is not None:
        _check("embedding", embedding, np.float32, (_EMBEDDING,))
        if abs(float(np.linalg.norm(embedding)) - 1.0) > 1e-2:
            raise _damaged("its embedding has not length 1")
    clouds = [_cloud(name, tensors) for name in ("voiced", "unvoiced")]
    if tensors:
        raise _damaged(f"it holds {next(iter(tensors))[:40]!r}, which does not belong there")
    fields = msgspec.structs.asdict(facts)
    del fields["version"]
    envelopes = Envelopes(clouds[0], clouds[1], fields.pop("voiced_seconds"), fields.pop("level"))
    return {**fields, "envelopes": envelopes, "embedding": embedding}


def _metadata(data: bytes) -> bytes:
    """The JSON under our name in the header: eight bytes of length, then JSON (the safetensors format)."""
    length = _HEAD.unpack_from(data)[0]
    header = msgspec.json.decode(data[_HEAD.size : _HEAD.size + length], type=dict[str, Any])
    ours = header.get("__metadata__")
    text = ours.get("babelmesh.voice") if isinstance(ours, dict) else None
    if not isinstance(text, str):
        raise _damaged("it is not a voice profile")
    return text.encode()


def _cloud(name: str, tensors: dict[str, np.ndarray]) -> Cloud:
    parts: list[Array] = []
    for part, kind, shape in (
        ("mean", np.float32, ((ORDER, ORDER),)),
        ("spread", np.float32, ((ORDER, ORDER),)),
        ("frames", np.float16, ((1, MOST_FRAMES), (ORDER, ORDER))),
    ):
        tensor = tensors.pop(f"{name}.{part}", None)
        if tensor is None:
            raise _damaged(f"it lacks {name}.{part}")
        _check(f"{name}.{part}", tensor, kind, shape)
        parts.append(tensor.astype(np.float32))
    mean, spread, frames = parts
    if not (spread > 0).all():
        raise _damaged(f"{name}.spread is not positive")
    return Cloud(mean, spread, frames)


def _check(name: str, tensor: np.ndarray, kind: type, shape: tuple[tuple[int, int], ...]) -> None:
    fits = len(tensor.shape) == len(shape) and all(
        least <= size <= most for size, (least, most) in zip(tensor.shape, shape, strict=True)
    )
    if tensor.dtype != kind or not fits:
        raise _damaged(f"{name} is {tensor.dtype} {list(tensor.shape)}")
    if not np.isfinite(tensor).all() or np.abs(tensor).max() > 1e3:
        raise _damaged(f"{name} has impossible values")


def _damaged(why: str) -> ModelDamaged:
    return ModelDamaged(f"The voice profile cannot be used: {why}.", "Make it again from recordings: node voice add.")
