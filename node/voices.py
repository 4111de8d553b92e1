"""The voices of this household: one file per profile in the home's `voices` folder.

A profile holds statistics of a voice (embedding, prosody, spectrum), never the recordings; those are kept beside it
only when the owner asks. Knows nothing of how a profile is built or used.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ml.errors import ModelDamaged
from ml.voice.profile import VoiceProfile
from node.errors import BadRequest, HomeUnusable, NotFound
from node.files import write_bytes

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SUFFIX = ".voice"
_DIGEST = slice(26, 42)
"""Where a FLAC file has the MD5 of its decoded samples: in STREAMINFO, its first block (RFC 9639, section 8.2)."""


class VoiceShelf:
    """Profiles by name."""

    def __init__(self, folder: Path) -> None:
        """The folder is made with the first profile, readable by its owner alone."""
        self._folder = folder

    def names(self) -> tuple[str, ...]:
        """All names, sorted; files of other names are none of ours."""
        return tuple(sorted(path.stem for path in self._folder.glob("*" + SUFFIX) if NAME.fullmatch(path.stem)))

    def path(self, name: str) -> Path:
        """Where a profile of this name lies or would lie. Raises BadRequest for a name that is no name."""
        if not NAME.fullmatch(name):
            raise BadRequest(
                f"{name!r} cannot be the name of a voice.", "Use up to 64 letters, digits, '-' and '_', like: my-voice"
            )
        return self._folder / (name + SUFFIX)

    def has(self, name: str) -> bool:
        """Whether there is a profile of this name."""
        return self.path(name).is_file()

    def get(self, name: str) -> VoiceProfile:
        """The profile. Raises NotFound, HomeUnusable where it cannot be read, or ModelDamaged."""
        try:
            data = self.path(name).read_bytes()
        except FileNotFoundError as error:
            known = ", ".join(self.names())
            remedy = f"Known voices: {known}." if known else f"Make it with: node voice add {name} RECORDING..."
            raise NotFound(f"There is no voice called {name!r} here.", remedy) from error
        except OSError as error:
            raise HomeUnusable(f"The voice {name!r} cannot be read: {error.strerror}.", "Check its rights.") from error
        try:
            return VoiceProfile.from_bytes(data)
        except ModelDamaged as error:
            raise ModelDamaged(
                error.sentence.replace("The voice profile", f"The profile of the voice {name!r}", 1),
                f"Make it again from recordings: node voice add {name} RECORDING... --replace",
            ) from error

    def put(self, name: str, profile: VoiceProfile) -> Path:
        """Keep a profile, replacing one of the same name in one step. Raises HomeUnusable; nothing has changed then."""
        path = self.path(name)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_bytes(path, profile.to_bytes(), 0o600)
        except OSError as error:
            raise HomeUnusable(
                f"A voice cannot be kept in {self._folder}: {error.strerror}.",
                "Check its rights and the room on its disk.",
            ) from error
        return path

    def recordings(self, name: str) -> Path:
        """The folder for recordings that the owner asked to keep."""
        return self.path(name).with_suffix(".recordings")

    def kept(self, name: str) -> tuple[Path, ...]:
        """The recordings that are kept, by their names."""
        return tuple(sorted(self.recordings(name).glob("*.flac")))

    def remove(self, name: str) -> None:
        """Forget kept recordings, then the profile. Raises NotFound, or HomeUnusable where something cannot be deleted;
        the profile is there then, and the same can be tried again."""
        folder = self.recordings(name)
        if not (self.has(name) or folder.is_dir()):
            known = ", ".join(self.names())
            here = f"Known voices: {known}." if known else "There are no voices here: nothing is left to forget."
            raise NotFound(f"There is no voice called {name!r} here.", here)
        try:
            if folder.is_dir():
                shutil.rmtree(folder)
            self.path(name).unlink(missing_ok=True)
        except OSError as error:
            raise HomeUnusable(
                f"The voice {name!r} cannot be forgotten, something of it stays in {self._folder}: {error.strerror}.",
                "Check the rights of what lies there, and try again.",
            ) from error


def sound_digest(recording: Path) -> bytes | None:
    """A digest of the samples of a FLAC file, of which only the beginning is read; None where it cannot be read or says
    none."""
    try:
        with recording.open("rb") as file:
            head = file.read(_DIGEST.stop)
    except OSError:
        return None
    digest = head[_DIGEST]
    return digest if head.startswith(b"fLaC") and len(head) == _DIGEST.stop and any(digest) else None
