"""Writes small files all at once or not at all, and finds the inputs of a batch.

Knows nothing of what the files mean.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from node.errors import BadRequest, NotFound

GUIDE_BYTES = 4_000_000
"""The longest notes or grammar file that is read."""

MOST_TERMS, LONGEST_TERM = 1000, 100
"""Of a glossary file, terms and the characters of each: as many as the translators take."""

SOUND = frozenset(
    {".wav", ".flac", ".mp3", ".ogg", ".opus", ".oga", ".m4a", ".aac", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"}
)
"""Extensions that are looked for in a folder; a file named by itself may have any."""


def write_bytes(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write aside, sync, rename, sync the folder: when it returns, a power cut takes nothing back.

    Raises OSError; nothing is left behind then.
    """
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """A folder, and those above it that are missing, with their names on the disk. Raises OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk. Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """The same for text, as UTF-8."""
    write_bytes(path, text.encode())


def identity(path: Path) -> tuple[int, int] | Path:
    """What all names of one file have in common: links lead to what they name, and a file may yet have to be made."""
    try:
        state = path.stat()
    except OSError:
        return Path(os.path.realpath(path))  # `resolve` refuses links that lead in a circle
    return state.st_dev, state.st_ino


def same_file(one: Path, other: Path) -> bool:
    """Whether two names are of one file, which may yet have to be made."""
    return identity(one) == identity(other)


def version_of(path: Path) -> str:
    """A file as it is now: its place, its size and when it was last changed. Raises OSError."""
    state = path.stat()
    return f"{os.path.realpath(path)} {state.st_size} {state.st_mtime_ns}"


def find_inputs(given: Sequence[Path], made_by_us: Iterable[str] = ()) -> list[Path]:
    """Files as they are, folders as the recordings inside them (one level), sorted; no file twice.

    `made_by_us` are endings such as ".es.wav" that earlier runs gave their results: in folders those are left out.
    Raises BadRequest for a folder without recordings.
    """
    endings = tuple(made_by_us)
    found: dict[Path, None] = {}
    for path in given:
        if not path.is_dir():
            found[path] = None
            continue
        inside = [
            file
            for file in sorted(path.iterdir())
            if file.is_file() and file.suffix.lower() in SOUND and not file.name.lower().endswith(endings)
        ]
        if not inside:
            raise BadRequest(
                f"There is no recording in the folder {path}.",
                "Name files, or a folder that holds .wav, .mp3, .mp4 ...",
            )
        found |= dict.fromkeys(inside)
    return list(found)


def read_glossary(path: Path | None) -> dict[str, str] | None:
    """The terms of a glossary file, source to target: a line each, the two separated by a tab or, where the line has no
    tab, a comma (quoted as in CSV where a term has one); empty lines do not count. Raises NotFound or BadRequest."""
    text = read_guide(path)
    if path is None or text is None:
        return None
    terms: dict[str, str] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        row = next(csv.reader([line], delimiter="\t" if "\t" in line else ","), [])
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        where = f"{path}, line {number}:"
        if len(cells) != 2 or not all(0 < len(cell) <= LONGEST_TERM for cell in cells):
            raise BadRequest(
                f"{where} that is not two terms of at most {LONGEST_TERM} characters.",
                "Write a source term, a tab or a comma, and its translation.",
            )
        if terms.setdefault(*cells) != cells[1]:
            raise BadRequest(f"{where} {cells[0]!r} has another translation above.", "Leave one of the two.")
        if len(terms) > MOST_TERMS:
            raise BadRequest(f"{path} has more than {MOST_TERMS} terms.", "Leave out those that the text has not.")
    if not terms:
        raise BadRequest(f"{path} has no terms.", "Write a source term, a tab or a comma, and its translation.")
    return terms


def read_guide(path: Path | None) -> str | None:
    """The text of a notes or grammar file. Raises NotFound or BadRequest."""
    if path is None:
        return None
    try:
        if path.stat().st_size > GUIDE_BYTES:
            raise BadRequest(
                f"{path} is larger than {GUIDE_BYTES // 1_000_000} MB.", "Give the part that will be spoken."
            )
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.", "Check the name.") from error
    except UnicodeDecodeError as error:
        raise BadRequest(f"{path} is not UTF-8 text.", "Save it as plain text in UTF-8.") from error
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.", "Check its name and its rights.") from error
