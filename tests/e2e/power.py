"""A disk of which the power is cut: from what a process wrote and synced, what may be left of it.

The model is stricter than most file systems. What was written to a file is safe when the file was synced; a name is
safe when its folder was synced. Of the rest anything may be there: of each folder the first so many changes of names,
of each file any of the writes, the last one torn. Reads the log of `oplog.c`.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

HEAD = struct.Struct("<cIIIQ")
SECTOR = 512


@dataclass(frozen=True)
class Step:
    """One thing that the process did."""

    kind: str
    path: str
    other: str
    data: bytes
    offset: int


def read_log(log: bytes, root: Path) -> Iterator[Step]:
    """Steps with paths relative to `root`. SQLite's shared memory is no part of what survives."""
    at = 0
    while at < len(log):
        kind, *lengths, offset = HEAD.unpack_from(log, at)
        at += HEAD.size
        parts = []
        for length in lengths:
            parts.append(log[at : at + length])
            at += length
        path, other = (PurePosixPath(part.decode()) for part in parts[:2])
        if not path.name.endswith("-shm"):
            names = [str(name.relative_to(root)) if name.is_absolute() else "" for name in (path, other)]
            yield Step(kind.decode(), *names, parts[2], offset)


@dataclass
class File:
    """One file, whatever its name: what is safe, and what was written since."""

    safe: bytes = b""
    unsynced: list[Step] = field(default_factory=list)

    def content(self, rng: random.Random | None = None) -> bytes:
        """All that was written; with dice, what a power cut may leave of it."""
        content = bytearray(self.safe)
        for step in self.unsynced:
            kept, data = rng is None or rng.random() < 0.5, step.data
            if rng is not None and kept and rng.random() < 0.3:
                data = data[: SECTOR * rng.randint(0, len(data) // SECTOR)]
            if kept and step.kind == "t":
                del content[step.offset :]
                content.extend(bytes(step.offset - len(content)))
            elif kept:
                content.extend(bytes(max(0, step.offset - len(content))))
                content[step.offset : step.offset + len(data)] = data
        return bytes(content)


Names = dict[str, "File | None"]
"""Files by path; None is a folder."""


@dataclass
class Disk:
    """What the process sees, and what is safe of it."""

    seen: Names = field(default_factory=dict)
    safe: Names = field(default_factory=dict)
    unsynced: dict[str, list[tuple[Step, File | None]]] = field(default_factory=dict)
    """Changes of names, by folder."""

    @classmethod
    def of(cls, folder: Path) -> Disk:
        """A disk that holds what is in a folder, all of it safe."""
        names: Names = {
            str(path.relative_to(folder)): None if path.is_dir() else File(path.read_bytes())
            for path in sorted(folder.rglob("*"))
        }
        return cls(dict(names), dict(names))

    def take(self, step: Step) -> None:
        if step.kind == "s":
            self._sync(step.path)
        elif step.kind in "wt":
            file = self.seen[step.path]
            assert file is not None
            file.unsynced.append(step)
        elif step.kind != "a":
            file = File() if step.kind == "c" else self.seen.get(step.path)
            _rename(self.seen, step, file)
            self.unsynced.setdefault(_folder(step.path), []).append((step, file))

    def _sync(self, path: str) -> None:
        file = self.seen.get(path)
        if file is not None:
            file.safe, file.unsynced = file.content(), []
            return
        for step, what in self.unsynced.pop(path, []):
            _rename(self.safe, step, what)

    def lay_out(self, folder: Path, how: str, rng: random.Random) -> None:
        """Put into `folder` what is left: `all` (the process was killed), `safe` (nothing else) or `some`."""
        names = dict(self.seen if how == "all" else self.safe)
        if how == "some":
            for changes in self.unsynced.values():
                for step, file in changes[: rng.randint(0, len(changes))]:
                    _rename(names, step, file)
        folder.mkdir()
        for path, file in sorted(names.items(), key=lambda item: item[0].count("/")):
            target = folder / path
            if not target.parent.is_dir():
                continue  # its folder is lost, and so is it
            if file is None:
                target.mkdir(exist_ok=True)
            else:
                target.write_bytes(file.safe if how == "safe" else file.content(rng if how == "some" else None))


def _rename(names: Names, step: Step, file: File | None) -> None:
    if step.kind in "cd":
        names[step.path] = file
    elif step.kind == "u":
        names.pop(step.path, None)
    elif step.kind == "r":
        names.pop(step.path, None)
        names[step.other] = file
    else:
        raise ValueError(f"unknown step {step.kind!r}")


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)
