"""Networks of lips whose weights no catalogue of ours may fetch: a user brings the file. What each is, where its
authors publish it, and what an entry of a user's own catalogue has to say.

Only facts; imports no network. Knows nothing of where a user keeps the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ml.engines.entries import Fault
from ml.errors import Unavailable
from ml.models.entry import ModelEntry

TASK = "lips"


@dataclass(frozen=True)
class Brought:
    """A network by the `engine` of its entries. `files` are SHA-256 and bytes of what was published, by file name, the
    one to have first; `where` says by whom, `option` names a file on the command line, `verb` what it does."""

    engine: str
    name: str
    verb: str
    option: str
    files: Mapping[str, tuple[str, int]]
    where: str
    limited: bool
    """Whether its published weights are not for any use."""

    @property
    def remedy(self) -> str:
        """The way to get it."""
        file, (sha256, size) = next(iter(self.files.items()))
        limits = ", for non-commercial use only" if self.limited else ""
        return (
            f"Its authors publish {file} ({size} bytes, SHA-256 {sha256}) {self.where}{limits}. "
            f"Fetch it and name it: {self.option} FILE; or put it into your catalogue (docs/models.md, Lips)."
        )

    def lacking(self) -> Unavailable:
        """The error of who asks for it where there is none."""
        return Unavailable(f"{self.name}, which {self.verb}, has no weights on this machine.", self.remedy)

    def published(self, sha256: str) -> bool:
        """Whether these are the bytes of a published file."""
        return any(sha256 == known for known, _ in self.files.values())

    def fault(self, entry: ModelEntry) -> Fault | None:
        """What is wrong with an entry of this engine."""
        where = f"Mend the entry {entry.name} in your catalogue"
        if entry.task != TASK:
            return Fault(f"{self.engine} is for the task {TASK}, not {entry.task!r}", f"{where}: task = {TASK!r}")
        if len(entry.files) != 1:
            return Fault(
                f"its weights are one file, and it names {len(entry.files)}",
                f"{where}: files = [{{ path = {next(iter(self.files))!r} }}]",
            )
        file = entry.files[0]
        if self.limited and entry.use == "any" and (file.path in self.files or self.published(file.sha256 or "")):
            return Fault(
                f"the published weights of {self.name} are not for any use",
                f'{where}: use = "non-commercial", and say in `terms` what their authors ask',
            )
        return None


WAV2LIP = Brought(
    "wav2lip",
    "Wav2Lip",
    "draws lips",
    "--wav2lip",
    {
        "wav2lip_gan.pth": ("ca9ab7b7b812c0e80a6e70a5977c545a1e8a365a6c49d5e533023c034d7ac3d8", 435801865),
        "wav2lip.pth": ("b78b681b68ad9fe6c6fb1debc6ff43ad05834a8af8a62ffc4167b7b34ef63c37", 435807851),
    },
    "by the links in the README of github.com/Rudrabha/Wav2Lip",
    limited=True,
)
SYNCNET = Brought(
    "syncnet",
    "SyncNet",
    "scores lips against sound",
    "--syncnet",
    {"syncnet_v2.model": ("961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442", 54573114)},
    "at www.robots.ox.ac.uk/~vgg/software/lipsync",
    limited=False,
)
BROUGHT: Mapping[str, Brought] = {one.engine: one for one in (WAV2LIP, SYNCNET)}
"""By the `engine` of a catalogue entry."""
