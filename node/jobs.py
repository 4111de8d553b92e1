"""Keeps what each stage has already done, so that an interrupted job goes on where it stopped.

Every result of an utterance stage is written to disk under its content hash (the sound, then each stage's engine,
version and options): equal key, equal result. A finished job drops its results. Knows nothing of what a stage does.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from ml.errors import EngineCrashed
from ml.speech.items import Fit, Likeness, Utterance
from ml.speech.stage import UtteranceStage
from ml.types import Audio, Phoneme, Speech, Transcript, Translation, Word
from node.files import write_bytes

Done = TypeVar("Done")

KEPT_DAYS = 30
"""Results of jobs that never finished are dropped after this many days."""


class StoredSpeech(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`Speech` with its samples as little-endian float32 bytes."""

    pcm: bytes
    rate: int
    text: str
    language: str
    engine: str
    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...]


class StoredPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one stage added to one utterance."""

    transcript: Transcript | None = None
    translation: Translation | None = None
    speech: StoredSpeech | None = None
    fit: Fit | None = None
    dub: StoredSpeech | None = None
    likeness: Likeness | None = None


def _pack(speech: Speech) -> StoredSpeech:
    pcm = np.ascontiguousarray(speech.audio.samples, "<f4").tobytes()
    return StoredSpeech(
        pcm, speech.audio.rate, speech.text, speech.language, speech.engine, speech.words, speech.phonemes
    )


def _unpack(stored: StoredSpeech) -> Speech:
    samples = np.frombuffer(stored.pcm, "<f4").astype(np.float32)
    return Speech(
        Audio(samples, stored.rate), stored.text, stored.language, stored.engine, stored.words, stored.phonemes
    )


def encode_part(before: Utterance, after: Utterance) -> bytes:
    """The fields that a stage has changed, as msgpack."""
    part: dict[str, Any] = {}
    for name in StoredPart.__struct_fields__:
        value = getattr(after, name)
        if value is not getattr(before, name):
            part[name] = _pack(value) if isinstance(value, Speech) else value
    return msgspec.msgpack.encode(StoredPart(**part))


def apply_part(before: Utterance, data: bytes) -> Utterance:
    """The utterance with the stored fields put in. Raises msgspec.DecodeError when the bytes are damaged."""
    part = msgspec.msgpack.decode(data, type=StoredPart)
    fields: dict[str, Any] = {}
    for name in StoredPart.__struct_fields__:
        value = getattr(part, name)
        if value is not None:
            fields[name] = _unpack(value) if isinstance(value, StoredSpeech) else value
    return replace(before, **fields)


class ResultStore:
    """A folder of results by key. Safe for several processes: files are written aside and renamed."""

    def __init__(self, folder: Path) -> None:
        """The folder is made when the first result is kept."""
        self._folder = folder

    def get(self, key: str) -> bytes | None:
        """The bytes kept under `key`."""
        try:
            return (self._folder / key).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, key: str, data: bytes) -> None:
        """Keep the bytes, all of them or none. Raises OSError when the disk does not take them."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_bytes(self._folder / key, data, 0o600)

    def drop(self, keys: Iterable[str]) -> None:
        """Forget these results."""
        for key in keys:
            (self._folder / key).unlink(missing_ok=True)

    def prune(self) -> int:
        """Forget what unfinished jobs left more than `KEPT_DAYS` ago, files and folders of films; gives how many."""
        horizon = time.time() - KEPT_DAYS * 86_400
        return sum(_forgotten(path, horizon) for path in list(self._folder.glob("*")))


def _forgotten(path: Path, horizon: float) -> bool:
    """Remove what was last changed before `horizon`; False where it stays, or another process was quicker."""
    try:
        if path.stat().st_mtime >= horizon:
            return False
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    except FileNotFoundError:
        return False
    return True


class Remembering:
    """A `Stage` that asks the store before it lets an utterance stage work.

    `keys` collects the results of this run, `recalled` counts those that were there already. At which an engine's
    process ended is done once more (`again`, its index to its start), and left as it is where that ended it too
    (`lost`); the next run tries it anew.
    """

    def __init__(self, stage: UtteranceStage, store: ResultStore) -> None:
        """`stage` does the work, `store` keeps it."""
        self.name = stage.name
        self.keys: list[str] = []
        self.recalled: set[int] = set()
        self.again: dict[int, float] = {}
        self.lost: dict[int, float] = {}
        self._stage, self._store = stage, store

    def process(self, item: Utterance) -> Iterable[Utterance]:
        """One utterance in, one out."""
        key = item.extended_key(self._stage.fingerprint(item))
        self.keys.append(key)
        kept = self._store.get(key)
        if kept is not None:
            try:
                done = apply_part(item, kept)
            except (msgspec.DecodeError, ValueError):
                self._store.drop([key])
            else:
                self.recalled.add(item.index)
                yield done.with_key(key)
                return
        try:
            done = self._filled(item)
        except EngineCrashed:
            self.lost[item.index] = item.start
            yield item.with_key(item.extended_key(f"{self.name}:lost"))
            return
        self._store.put(key, encode_part(item, done))
        yield done.with_key(key)

    def flush(self) -> Iterable[Utterance]:
        """Nothing is held back."""
        return ()

    def _filled(self, item: Utterance) -> Utterance:
        return once_more(lambda: self._stage.fill(item), lambda: self.again.update({item.index: item.start}))


def once_more(work: Callable[[], Done], again: Callable[[], object] = lambda: None) -> Done:
    """The result of some work, which is begun anew, once, when the process of an engine ends at it; `again` is called
    when that helped. Raises what `work` raises."""
    try:
        return work()
    except EngineCrashed:
        done = work()
        again()
        return done


def mishaps(stages: Sequence[Remembering]) -> tuple[str, ...]:
    """What became of the utterances at which the process of an engine ended, a sentence for each stage and outcome."""
    found = []
    for stage in stages:
        for whose, one, many in ((stage.again, "was", "were done again"), (stage.lost, "is", "are left out")):
            if whose:
                outcome = f"{one} {many.partition(' ')[2]}" if len(whose) == 1 else many
                count = f"{len(whose)} utterance{'s' * (len(whose) > 1)} (first at {min(whose.values()):.1f} s)"
                found.append(f"{count} {outcome}: the process of an engine ended in the stage {stage.name!r}.")
    return tuple(found)
