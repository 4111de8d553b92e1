"""The folder of kept models: which are here, whether they are whole, and letting them go.

    NAME/REVISION/...           a revision's files in their publisher's layout, with `.record.json`; appears whole
    NAME/pin.json               the commit that a model without one in the catalogue is kept to, and its files there
    NAME/pin.COMMIT.json        the same of a commit that a catalogue names
    NAME/.partial/REVISION/...  what has been fetched so far
    NAME/REVISION.FILES.WHAT/.. what an engine made of a revision's files (`made.py`)
    .NAME.lock                  held while one process changes the model
    .NAME.found.json            what was found of the files in a folder of a user's own (`findings.py`)
    accepted.json               licences that were said yes to

Older versions kept a converted model as NAME.safetensors; it is read where it lies. This module knows nothing of where
models come from.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ml.errors import CannotWrite, ModelDamaged, Unavailable
from ml.models import findings, folders, made, ours, tensors
from ml.models import record as records
from ml.models.catalogue import Catalogue
from ml.models.checkpoint import Checkpoint
from ml.models.entry import FolderSource, HubSource, ModelEntry
from ml.models.ours import PARTIAL
from ml.models.programs import programs_of, refuse_programs
from ml.models.record import PIN, RECORD, Pin, Record

ACCEPTED = "accepted.json"
State = Literal["present", "missing", "damaged", "refused"]
"""`refused`: it is here, and a file of it is a program, which nobody allowed."""


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
        source = entry.source
        if not isinstance(source, HubSource):
            return None
        for path in (self.pin_path(entry), self.folder / entry.name / PIN):
            found = records.read(path, Pin)
            if found and found.repo == source.repo and source.revision in (None, found.revision):
                return found
        return None

    def pin_path(self, entry: ModelEntry) -> Path:
        """Where the pin lies: what one home's catalogue names is not what another's, which names none, is kept to."""
        named = entry.source.revision if isinstance(entry.source, HubSource) else None
        return self.folder / entry.name / (f"pin.{named}.json" if named else PIN)

    def place(self, entry: ModelEntry) -> Path | None:
        """The folder that the model's files lie in, or shall lie in; None where its revision is not known yet."""
        if isinstance(entry.source, FolderSource):
            return Path(entry.source.path)
        if self._is_flat(entry):
            return self.folder
        revision = self.revision(entry)
        return self.folder / entry.name / revision if revision else None

    def state(self, name: str) -> State:
        """Whether the model is here, by the names and sizes of its files, and by what was found of them before."""
        entry = self.find(name)
        place = self.place(entry)
        if place is None or not place.is_dir():
            return "missing"
        found = self._found(entry, place)
        return "refused" if found == "present" and programs_of(entry, place) else found

    def _found(self, entry: ModelEntry, place: Path) -> State:
        if place == self.folder:
            return "present"
        if isinstance(entry.source, FolderSource):
            return "damaged" if self._suspected(entry, place) else "present"
        kept = records.read(place / RECORD, Record)
        if kept is None:
            return "damaged"
        if not _has(entry, {file.path for file in kept.files}.__contains__):
            return "missing"  # the catalogue asks for more than was fetched
        if any(not file.mtime_ns for file in kept.files) or self._unlike(entry, kept):
            return "damaged"  # it was read through, and is not what was published
        return "present" if all(_size(place / file.path) == file.bytes for file in kept.files) else "damaged"

    def state_with_parts(self, name: str) -> State:
        """The state of the model and of those that it computes with: the worst of them."""
        states = [self.state(one) for one in (name, *self.find(name).parts.values())]
        worst: tuple[State, ...] = ("missing", "damaged", "refused")
        return next((state for state in worst if state in states), "present")

    def present(self, name: str) -> bool:
        """Whether it can be opened, as far as can be told without reading it."""
        return self.state_with_parts(name) == "present"

    def open(self, name: str) -> Checkpoint:
        """The model and its parts, whole: files that changed since they were last read through are read through again.

        Raises Unavailable where one was not fetched, ModelDamaged naming the file that is not what was published.
        """
        found = self.open_alone(name)
        beside = {what: self.open_alone(part).folder for what, part in found.entry.parts.items()}
        return replace(found, beside=beside)

    def open_alone(self, name: str) -> Checkpoint:
        """The model itself, whole, whether its parts are here or not. Raises as `open`."""
        entry = self.find(name)
        state, place, revision = self.state(name), self.place(entry), self.revision(entry)
        if isinstance(entry.source, FolderSource) and state in {"missing", "damaged"}:
            lacking = sorted(folders.lacking(entry, Path(entry.source.path)))
            which = f": {', '.join(lacking)}" if lacking and state == "damaged" else ""
            if lacking or state == "missing":
                raise Unavailable(f"The {name} model is not whole in {place}{which}.", entry.remedy)
        if state == "missing" or place is None or revision is None:
            raise Unavailable(f"The {name} model ({entry.task}) is not on this machine.", entry.remedy)
        if damaged := self._damaged(entry, place, thorough=False):
            raise ModelDamaged(f"{place / damaged[0]} is not what was published.", entry.remedy)
        refuse_programs(entry, place)
        return Checkpoint(entry, place, revision, made=self.folder / name)

    def verify(self, name: str) -> tuple[str, ...]:
        """Read all files of the model through; those that are not what was published. Raises Unavailable."""
        entry = self.find(name)
        place = self.place(entry)
        if place is None or self.state(name) == "missing":
            if isinstance(entry.source, FolderSource):
                raise Unavailable(f"There is no folder {place} of the {name} model.", entry.remedy)
            raise Unavailable(f"The {name} model ({entry.task}) is not on this machine.", entry.remedy)
        return self._damaged(entry, place, thorough=True)

    def files(self, entry: ModelEntry) -> tuple[str, ...]:
        """The files that the model has on this machine, as they are kept; those of a folder as the entry names them."""
        place = self.place(entry)
        if place is None:
            return ()
        if place == self.folder and entry.convert:
            return (entry.convert.to,)
        if isinstance(entry.source, FolderSource):
            named = [path for file in entry.files for path in (file.path, file.instead) if path]
            return tuple(path for path in named if (place / path).is_file())
        kept = records.read(place / RECORD, Record)
        return tuple(file.path for file in kept.files) if kept else ()

    def _damaged(self, entry: ModelEntry, place: Path, *, thorough: bool) -> tuple[str, ...]:
        if place == self.folder and entry.convert:
            try:
                tensors.read(place / entry.convert.to, entry.convert, entry.name)
            except ModelDamaged:
                return (entry.convert.to,)
            return ()
        if isinstance(entry.source, FolderSource):  # no record was made when it came: what has a hash is read each time
            bad, found = folders.read_through(entry, place, thorough=thorough)
            findings.write(self.folder, entry.name, place, found)
            return tuple(sorted({*bad, *self._suspected(entry, place)}))
        kept = records.read(place / RECORD, Record)
        if kept is None:
            return (RECORD,)
        return tuple(sorted({*records.changed(place, kept, thorough=thorough), *self._unlike(entry, kept)}))

    def _suspected(self, entry: ModelEntry, place: Path) -> tuple[str, ...]:
        return folders.suspected(entry, place, findings.read(self.folder, entry.name, place))

    def _unlike(self, entry: ModelEntry, kept: Record) -> set[str]:
        """Files that were recorded with another hash than was published."""
        published = {file.path: file.sha256 for file in entry.files if file.sha256}
        if pin := self.pin(entry):
            published = {file.path: file.sha256 for file in pin.files if file.sha256} | published
        return {file.path for file in kept.files if published.get(file.path, file.sha256) != file.sha256}

    def begun(self, name: str) -> int:
        """Bytes of the model that an unfinished fetch left."""
        return _weight(self.folder / name / PARTIAL)

    def bytes_of(self, name: str) -> int:
        """What the model takes on the disk: all its revisions, unfinished files and what was made of them."""
        entry = self.find(name)
        flat = _size(self.folder / entry.convert.to) or 0 if entry.convert else 0
        return flat + sum(map(_weight, self._parts(entry)))

    def _parts(self, entry: ModelEntry) -> list[Path]:
        """What in the model's folder is of the model; nothing where that is a folder of the user's own."""
        folder = self.folder / entry.name
        if not folder.is_dir() or ours.is_the_owners(folder, entry):
            return []
        return [part for part in sorted(folder.iterdir()) if ours.is_of(part, entry)]

    def remove(self, name: str) -> int:
        """Let a model go, with all revisions, its pin and its licence's yes; the bytes freed. A local folder stays, and
        so does what somebody else put beside the model's files (`foreign`).

        Raises Unavailable where another process is changing it, CannotWrite where something of it stays.
        """
        entry = self.find(name)
        if not self.folder.is_dir():
            return 0
        try:
            with self.alone(name, wait=False):
                freed = self._let_go(entry)
        except BlockingIOError as error:
            raise Unavailable(
                f"Another process is changing {name}.", f"When it has ended: node models rm {name}"
            ) from error
        self._change_accepted(lambda yes: yes.pop(name, None))
        return freed

    def _let_go(self, entry: ModelEntry) -> int:
        """Remove what is of the model, while nobody else changes it; the bytes."""
        folder, freed = self.folder / entry.name, 0
        if entry.convert and (flat := self.folder / entry.convert.to).is_file():
            freed += _cleared(flat)
        if folder.is_symlink() and not ours.is_the_owners(folder, entry):
            freed += _cleared(folder)
        else:
            freed += sum(map(_cleared, self._parts(entry)))
            if not ours.is_the_owners(folder, entry):
                with contextlib.suppress(OSError):  # it is not there, or what is not ours lies in it
                    folder.rmdir()
        findings.forget(self.folder, entry.name)
        return freed

    def foreign(self, name: str) -> tuple[str, ...]:
        """What lies in the model's folder and is nothing of Babelmesh's, by its names there; none of a user's own."""
        entry, folder = self.find(name), self.folder / name
        if not folder.is_dir() or ours.is_the_owners(folder, entry):
            return ()
        return tuple(sorted({part.name for part in folder.iterdir()} - {part.name for part in self._parts(entry)}))

    def gc(self, *, dry: bool = False) -> tuple[tuple[str, int], ...]:
        """Let go what nobody needs: unfinished fetches, revisions that the catalogue no longer names, what was made of
        those or of files that are others now, and pins of models that it does not name.

        What another process is working on stays. Returns what went, or would go in a `dry` run, with its bytes. Raises
        CannotWrite where something stays.
        """
        gone = []
        for folder in sorted(self.folder.glob("*/")) if self.folder.is_dir() else []:
            if folder.is_symlink() or not ours.is_model_folder(folder):
                continue
            known = next((entry for entry in self.catalogue.model if entry.name == folder.name), None)
            with contextlib.suppress(BlockingIOError), self.alone(folder.name, wait=False):
                litter = [part for part in sorted(folder.iterdir()) if self._is_litter(part, known)]
                litter += ours.pins_of(folder) if known is None else ()
                for part in litter:
                    gone.append((str(part.relative_to(self.folder)), _weight(part)))
                    if not dry:
                        _cleared(part)
                if known is None and not dry:
                    with contextlib.suppress(OSError):  # something of another's lies there
                        folder.rmdir()
        return tuple(gone)

    def _is_litter(self, part: Path, known: ModelEntry | None) -> bool:
        """Whether nobody needs a thing in a model's folder any more; asked while nobody else changes that model."""
        if not part.is_dir() or part.is_symlink():
            return False
        if part.name.startswith(made.MAKING):
            return made.is_left_behind(part)
        if any(ours.holds(part, entry) for entry in self.catalogue.model):
            return False
        if ours.is_unfinished(part):
            return known is None or not ours.is_the_owners(part, known)
        if not (part / RECORD).is_file():
            return ours.is_formerly_made(part)
        place = self.place(known) if known else None
        revision = self.revision(known) if known else None
        if place is None or revision is None:
            return True
        return part != place and not (place.is_dir() and part.name.startswith(made.named(place, revision)))

    @contextlib.contextmanager
    def alone(self, name: str, told: Callable[[], None] = lambda: None, *, wait: bool = True) -> Iterator[None]:
        """Be the only process that changes a model; the system lets go even of a killed one.

        `told` is called when another is at it. Raises BlockingIOError then, unless it shall `wait`; OSError.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{name}.lock").open("a") as lock:
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
        self._change_accepted(lambda yes: yes.update({entry.name: f"{entry.licence}: {entry.terms}"}))

    def _accepted(self) -> dict[str, str]:
        import msgspec

        try:
            return msgspec.json.decode((self.folder / ACCEPTED).read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError):
            return {}

    def _change_accepted(self, change: Callable[[dict[str, str]], object]) -> None:
        with self.alone(ACCEPTED):  # so that nobody's yes is lost to another's
            yes = self._accepted()
            before = dict(yes)
            change(yes)
            if yes != before:
                records.write(self.folder / ACCEPTED, yes)

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


def _cleared(path: Path) -> int:
    """Remove a file, a folder with all in it, or a link but not what it leads to; the bytes. Raises CannotWrite."""
    try:
        if path.is_symlink() or path.is_file():
            taken = 0 if path.is_symlink() else _size(path) or 0
            path.unlink()
        elif path.is_dir():
            taken = _weight(path)
            shutil.rmtree(path)
        else:
            return 0
    except OSError as error:
        raise CannotWrite(
            f"{error.filename or path} cannot be removed: {error.strerror}.", "Check the rights of its folder."
        ) from error
    return taken


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _weight(path: Path) -> int:
    """Bytes of a file, or of all in a folder."""
    if path.is_dir():
        return sum(_size(inner) or 0 for inner in path.rglob("*") if inner.is_file())
    return _size(path) or 0
