"""What goes over the pipe to an engine in a process of its own: which calls each task has, and values as typed bytes.

Both sides import this module. Values are msgpack, decoded by the types that the task's Protocol names; arrays travel as
their dtype, shape and bytes. Knows neither processes nor engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ml.engines.protocols import Alignment, AsrOptions, Capabilities, Task
from ml.types import Audio, Delivery, Samples, Speech, Transcript, Translation

Array = Samples


class Call(NamedTuple):
    """Types of what a call is given and of what it gives."""

    given: Any
    gives: Any


EVERY: Mapping[str, Call] = {
    "capabilities": Call(tuple[()], Capabilities),
    "rehearses": Call(tuple[()], bool),
    "rehearse": Call(tuple[()], str),
}
CALLS: Mapping[Task, Mapping[str, Call]] = {
    "asr": {
        "prepare": Call(tuple[AsrOptions], None),
        "listen": Call(tuple[AsrOptions], int),
        "session.accept": Call(tuple[int, Array], None),
        "session.partial": Call(tuple[int], Transcript | None),
        "session.pause": Call(tuple[int], float),
        "session.finish": Call(tuple[int], Transcript),
        "session.abandon": Call(tuple[int], None),
    },
    "mt": {
        "prepare": Call(tuple[str, str], tuple[str, ...]),
        "translate": Call(tuple[str, str, str], Translation),
        "many": Call(tuple[()], bool),
        "translate_many": Call(tuple[list[str], str, str, dict[str, str] | None], list[Translation]),
    },
    "tts": {
        "speak": Call(tuple[str, str, Delivery], Speech),
        "streams": Call(tuple[()], bool),
        "stream": Call(tuple[str, str, Delivery], int),
        "stream.next": Call(tuple[int], Audio | None),
        "stream.close": Call(tuple[int], None),
    },
    "speaker": {"embed": Call(tuple[Audio], Array)},
    "ast": {"translate_speech": Call(tuple[Audio, str | None, str], Translation)},
    "align": {"align": Call(tuple[Audio, str, str], Alignment)},
    "features": {"features": Call(tuple[Audio], Array), "rate": Call(tuple[()], float)},
    "vocoder": {"sound": Call(tuple[Array], Audio)},
    "conversion": {"convert": Call(tuple[Audio, Audio], Audio)},
}
"""`session.` and `stream.` calls are given the number that `listen` or `stream` gave; `many` asks whether there is a
`translate_many`, `streams` and `rehearses` whether there is what they are called after."""


def call(task: Task, name: str) -> Call:
    """The types of a call. Raises KeyError for one that the task has not."""
    return EVERY.get(name) or CALLS[task][name]


def pack(value: object) -> bytes:
    """A value as bytes."""
    return msgspec.msgpack.encode(value, enc_hook=_array)


def unpack(data: bytes, kind: Any) -> Any:  # noqa: ANN401
    """The value of that type in some bytes. Raises ValueError when they are no such value."""
    return msgspec.msgpack.decode(data, type=kind, dec_hook=_as_array)


def _array(value: object) -> object:
    if isinstance(value, np.ndarray):
        wide = np.ascontiguousarray(value, np.float32)
        return {"shape": wide.shape, "data": wide.tobytes()}
    if isinstance(value, np.generic):  # numpy's own kind of number, which works where one is wanted
        return value.item()
    raise TypeError(f"{type(value).__name__} does not travel")


def _as_array(kind: type, told: Any) -> np.ndarray[Any, np.dtype[np.float32]]:  # noqa: ANN401
    if not isinstance(told, dict) or set(told) != {"shape", "data"} or not isinstance(told["data"], bytes):
        raise ValueError(f"this is no {kind}")
    return np.frombuffer(told["data"], np.float32).reshape(told["shape"]).copy()
