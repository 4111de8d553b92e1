"""The folder of kept models: which are here, whether they are whole, and letting them go.

    NAME/REVISION/...           a revision's files in their publisher's layout, with `.record.json`; appears whole
    NAME/pin.json               the commit that a model without one in the catalogue is kept to
    NAME/.partial/REVISION/...  what has been fetched so far
    .NAME.lock                  held while one process changes the model
    accepted.json               licences that were said yes to

Older versions kept a converted model as NAME.safetensors; it is read where it lies. This module knows nothing of where
models come from.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ml.errors import ModelDamaged, Unavailable
from ml.models import record as records
from ml.models import tensors
from ml.models.catalogue import Catalogue
from ml.models.checkpoint import Checkpoint
from ml.models.entry import FolderSource, HubSource, ModelEntry
from ml.models.record import PIN, RECORD, FileRecord, Pin, Record

PARTIAL = ".partial"
State = Literal["present", "missing", "damaged"]


@dataclass(frozen=True)
class ModelStore:
    """The models in `folder`, as `catalogue` names them. Safe for several threads and processes at once."""

    folder: Path
    catalogue: Catalogue

    def find(self, name: str) -> ModelEntry:
        """What the catalogue says of a model. Raises Unavailable."""
        return self.catalogue.find(name)

    def revision(self, entry: ModelEntry) -> str | None:
        """The commit or version that the model is kept to; None before the first fetch of one without."""
        source = entry.source
        if isinstance(source, FolderSource):
            return "local"
        if not isinstance(source, HubSource):
            return source.version
        return source.revision or (pin.revision if (pin := self.pin(entry)) else None)

    def pin(self, entry: ModelEntry) -> Pin | None:
        """What was found at the first fetch, where it is still what the catalogue asks for."""
        found = records.read(self.folder / entry.name / PIN, Pin)
        if found is None or not isinstance(entry.source, HubSource) or found.repo != entry.source.repo:
            return None
        return found if entry.source.revision in (None, found.revision) else None

    def place(self, entry: ModelEntry) -> Path | None:
        """The folder that the model's files lie in, or shall lie in; None where its revision is not known yet."""
        if isinstance(entry.source, FolderSource):
            return Path(entry.source.path)
        if self._is_flat(entry):
            return self.folder
        revision = self.revision(entry)
        return self.folder / entry.name / revision if revision else None

    def state(self, name: str) -> State:
        """Whether the model is here, by the names and sizes of its files alone."""
        entry = self.find(name)
        place = self.place(entry)
        if place is None or not place.is_dir():
            return "missing"
        if place == self.folder:
            return "present"
        if isinstance(entry.source, FolderSource):
            return "present" if _has(entry, lambda path: (place / path).is_file()) else "damaged"
        kept = records.read(place / RECORD, Record)
        if kept is None:
            return "damaged"
        if not _has(entry, {file.path for file in kept.files}.__contains__):
            return "missing"  # the catalogue asks for more than was fetched
        return "present" if all(_size(place / file.path) == file.bytes for file in kept.files) else "damaged"

    def present(self, name: str) -> bool:
        """Whether it can be opened, as far as can be told without reading it."""
        parts = self.find(name).parts.values()
        return self.state(name) == "present" and all(self.state(part) == "present" for part in parts)

    def open(self, name: str) -> Checkpoint:
        """The model, whole: files that changed since they were last read through are read through again.

        Raises Unavailable where it was not fetched, ModelDamaged naming the file that is not what was published.
        """
        entry = self.find(name)
        state, place, revision = self.state(name), self.place(entry), self.revision(entry)
        if isinstance(entry.source, FolderSource) and state != "present":
            raise Unavailable(
                f"The {name} model is not whole in {place}.", "Put its files there, or mend the catalogue's `path`."
            )
        if state == "missing" or place is None or revision is None:
            raise Unavailable(f"The {name} model ({entry.task}) is not on this machine.", f"node models pull {name}")
        if damaged := self._damaged(entry, place, thorough=False):
            raise ModelDamaged(f"{place / damaged[0]} is not what was published.", f"node models pull {name}")
        return Checkpoint(entry, place, revision, {what: self.open(part).folder for what, part in entry.parts.items()})

    def verify(self, name: str) -> tuple[str, ...]:
        """Read all files of the model through; those that are not what was published. Raises Unavailable."""
        entry = self.find(name)
        place = self.place(entry)
        if place is None or self.state(name) == "missing":
            raise Unavailable(f"The {name} model ({entry.task}) is not on this machine.", f"node models pull {name}")
        return self._damaged(entry, place, thorough=True)

    def _damaged(self, entry: ModelEntry, place: Path, *, thorough: bool) -> tuple[str, ...]:
        if place == self.folder and entry.convert:
            try:
                tensors.read(place / entry.convert.to, entry.convert, entry.name)
            except ModelDamaged:
                return (entry.convert.to,)
            return ()
        if isinstance(entry.source, FolderSource):
            return tuple(file.path for file in entry.files if not _as_told(place, file.path, file.sha256))
        kept = records.read(place / RECORD, Record)
        if kept is None:
            return (RECORD,)
        published = {file.path: file.sha256 for file in entry.files if file.sha256}
        known, bad = [], []
        for file in kept.files:
            now = _looked_at(place, file, thorough=thorough)
            known.append(now)
            if not now.mtime_ns or published.get(file.path, file.sha256) != file.sha256:
                bad.append(file.path)
        if tuple(known) != kept.files:
            with contextlib.suppress(OSError):  # a folder that is only read is as good, and read through every time
                records.write(place / RECORD, Record(kept.name, kept.source, kept.revision, kept.licence, tuple(known)))
        return tuple(bad)

    def bytes_of(self, name: str) -> int:
        """What the model takes on the disk, all its revisions and unfinished files together."""
        entry = self.find(name)
        flat = _size(self.folder / entry.convert.to) or 0 if entry.convert else 0
        return flat + _weight(self.folder / name)

    def remove(self, name: str) -> int:
        """Let a model go, with all revisions, its pin and its licence's yes; the bytes freed. A local folder stays."""
        entry = self.find(name)
        with self.alone(name):
            freed = self.bytes_of(name)
            if entry.convert:
                (self.folder / entry.convert.to).unlink(missing_ok=True)
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self._keep_accepted({key: value for key, value in self._accepted().items() if key != name})
        return freed

    def gc(self) -> tuple[tuple[str, int], ...]:
        """Let go what nobody needs: unfinished fetches, and revisions that the catalogue no longer names.

        What another process is working on stays. Returns what went, with its bytes.
        """
        gone = []
        for folder in sorted(self.folder.glob("*/")) if self.folder.is_dir() else []:
            known = next((entry for entry in self.catalogue.model if entry.name == folder.name), None)
            current = self.place(known) if known else None
            ours = (folder / PIN).is_file() or any(folder.glob(f"*/{RECORD}")) or (folder / PARTIAL).is_dir()
            if not ours:
                continue
            with contextlib.suppress(BlockingIOError), self.alone(folder.name, wait=False):
                for part in sorted(folder.iterdir()):
                    if part.is_dir() and part != current and (part.name == PARTIAL or (part / RECORD).is_file()):
                        gone.append((str(part.relative_to(self.folder)), _weight(part)))
                        shutil.rmtree(part, ignore_errors=True)
                if known is None:
                    (folder / PIN).unlink(missing_ok=True)
                    with contextlib.suppress(OSError):  # something of another's lies there
                        folder.rmdir()
        return tuple(gone)

    @contextlib.contextmanager
    def alone(self, name: str, told: Callable[[], None] = lambda: None, *, wait: bool = True) -> Iterator[None]:
        """Be the only process that changes a model; the system lets go even of a killed one.

        `told` is called when another is at it. Raises BlockingIOError then, unless it shall `wait`; OSError.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise
                told()
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def accepted(self, entry: ModelEntry) -> bool:
        """Whether the model is for any use, or its licence was said yes to as it is now."""
        return entry.use == "any" or self._accepted().get(entry.name) == f"{entry.licence}: {entry.terms}"

    def accept(self, entry: ModelEntry) -> None:
        """Keep the yes to a licence. Raises OSError."""
        self._keep_accepted({**self._accepted(), entry.name: f"{entry.licence}: {entry.terms}"})

    def _accepted(self) -> dict[str, str]:
        import msgspec

        try:
            return msgspec.json.decode((self.folder / "accepted.json").read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError):
            return {}

    def _keep_accepted(self, yes: dict[str, str]) -> None:
        if yes != self._accepted():
            self.folder.mkdir(parents=True, exist_ok=True)
            records.write(self.folder / "accepted.json", yes)

    def _is_flat(self, entry: ModelEntry) -> bool:
        if not entry.convert or not (self.folder / entry.convert.to).is_file():
            return False
        revision = self.revision(entry)
        return revision is None or not (self.folder / entry.name / revision / RECORD).is_file()


def _has(entry: ModelEntry, there: Callable[[str], bool]) -> bool:
    """Whether all files that the entry asks for are there, as they are kept."""
    how = entry.convert
    wanted = [(how.to, "") if how and file.path == how.file else (file.path, file.instead) for file in entry.files]
    optional = {file.path for file in entry.files if file.optional}
    return all(path in optional or there(path) or bool(instead and there(instead)) for path, instead in wanted)


def _looked_at(place: Path, file: FileRecord, *, thorough: bool) -> FileRecord:
    """The record of a file as it is now; an `mtime_ns` of 0 says that it is not what was recorded."""
    doubtful = FileRecord(file.path, file.bytes, file.sha256)
    try:
        facts = (place / file.path).stat()
        if facts.st_size != file.bytes:
            return doubtful
        if facts.st_mtime_ns == file.mtime_ns and not thorough:
            return file
        now = records.describe(place, file.path)
    except OSError:
        return doubtful
    return now if now.sha256 == file.sha256 else doubtful


def _as_told(place: Path, path: str, sha256: str | None) -> bool:
    return sha256 is None or records.describe(place, path).sha256 == sha256


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _weight(folder: Path) -> int:
    return sum(_size(path) or 0 for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
