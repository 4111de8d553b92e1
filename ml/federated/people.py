"""Who takes part in an experiment: real speakers from a folder of recordings, or people made of such.

A folder holds recordings and a `manifest.json`: a list of `file`, `speaker`, `split` ("train" or "test"), `source` and
`segments` (`start` and `end` in samples at 16 kHz). Neither training nor any choice sees test utterances.
Knows nothing of peers or methods.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ml.audio.logmel import LogMel, log_mel
from ml.audio.read import read
from ml.errors import BadAudio
from ml.federated.crowd import Person
from ml.federated.imagined import imagined
from ml.voice.training import split

__all__ = ["imagined", "recorded"]


class _Segment(msgspec.Struct):
    start: int
    end: int


class _Recording(msgspec.Struct):
    file: str
    speaker: str
    segments: list[_Segment]
    split: str = "train"
    source: str = ""


def recorded(folder: Path) -> tuple[Person, ...]:
    """Every speaker of a collection, ordered by name; the group is the source. Raises BadAudio for what is no such
    collection, and what `read` raises for a recording."""
    try:
        entries = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=list[_Recording])
    except (OSError, msgspec.MsgspecError) as error:
        raise BadAudio(
            f"{folder} is no collection of speakers: {error}.",
            "It needs a manifest.json as docs/personalisation.md describes it.",
        ) from error
    parts: dict[str, dict[str, list[LogMel]]] = {}
    groups: dict[str, str] = {}
    for entry in entries:
        samples = read(folder / entry.file).samples
        spoken = [log_mel(samples[one.start : one.end]) for one in entry.segments]
        parts.setdefault(entry.speaker, {}).setdefault(entry.split, []).extend(spoken)
        groups[entry.speaker] = entry.source
    return tuple(
        Person(name, groups[name], split(parts[name].get("train", [])), tuple(parts[name].get("test", [])))
        for name in sorted(parts)
    )
