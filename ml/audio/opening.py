"""Opening a file that somebody named, and what stands in the way, in their words. Knows nothing of what is in it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO

from ml.errors import MlError


def opened(path: Path, kind: str, wrong: type[MlError], *, whole: bool = False) -> BinaryIO:
    """The file at `path`, to be read. `kind` is what it should be, such as "recording"; `whole`: it must be an ordinary
    file, which can be read from any place. Raises `wrong`."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise wrong(f"{path} is a folder, not a {kind}.", "Name a file in it.")
        ordinary = stat.S_ISREG(status.st_mode)
        if whole and not ordinary:
            raise wrong(f"{path} is not an ordinary file.", f"Save the {kind} to a file and name that.")
        if ordinary and not status.st_size:
            raise wrong(f"{path} is empty (0 bytes).", "Record or copy it again.")
        return path.open("rb")
    except FileNotFoundError as error:
        raise wrong(f"There is no file {path}.", "Check the name and the folder.") from error
    except OSError as error:
        raise wrong(f"{path} cannot be opened: {error.strerror}.", "Check the file's permissions.") from error


def said(error: Exception) -> str:
    """What libav or the system said, as a clause."""
    words = getattr(error, "strerror", None) or str(error)
    return {"Invalid argument": "its format is not one that is read here"}.get(words, words[:1].lower() + words[1:])
