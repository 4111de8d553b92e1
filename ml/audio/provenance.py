"""What a file with synthetic speech says of itself: plain container tags, after the manner of a C2PA assertion.

C2PA (specification 2.1, `c2pa.actions`, digital source type `trainedAlgorithmicMedia` of the IPTC) asks that a file
name how it was made, by what and from what. These tags say so in words. They are not signed, anyone can take them
away, and they are no C2PA manifest. WAV keeps `comment` only, MP4 no name of its own, so `comment` alone says
everything. Knows nothing of files: the writers put the tags in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's name for media that a trained model made."""

_SPEECH = "synthetic speech: "
_LIPS = "synthetic lips, where a face was seen: made to say another sound by Babelmesh "
_TEXT = {
    "source": r"[A-Za-z0-9-]+",
    "target": r"[A-Za-z0-9-]+",
    "version": r"[A-Za-z0-9.+-]+",
    "date": r"\d{4}-\d\d-\d\d",
    "sha256": r"(?:[0-9a-f]{64})?",
}


@dataclass(frozen=True)
class Provenance:
    """Where synthetic speech comes from. Raises ValueError for a field that would not read back.

    `source` and `target` are language codes, `version` is Babelmesh's, `date` as 2026-11-21; `sha256` is that of the
    original file in lower-case hexadecimal, or empty; `job` is the number in the watermark, None without one.
    """

    source: str
    target: str
    version: str
    date: str
    sha256: str = ""
    job: int | None = None

    def __post_init__(self) -> None:
        for name, form in _TEXT.items():
            if not re.fullmatch(form, getattr(self, name), re.ASCII):
                raise ValueError(f"{name} of a provenance cannot be {getattr(self, name)!r}")
        if self.job is not None and self.job < 0:
            raise ValueError(f"job of a provenance cannot be {self.job}")


def provenance(made: Provenance) -> dict[str, str]:
    """Container tags that say how a file was made, for any container's metadata."""
    comment = f"{_SPEECH}translated from {made.source} to {made.target} by Babelmesh {made.version} on {made.date}"
    if made.sha256:
        comment += f"; source sha256:{made.sha256}"
    if made.job is not None:
        comment += f"; watermark job {made.job}"
    return {
        "comment": comment,
        "software": f"Babelmesh {made.version}",
        "digital_source_type": SOURCE_TYPE,
    }


def lips_provenance(version: str, date: str, heard: str = "") -> dict[str, str]:
    """Container tags of a video whose lips were changed, and whose sound nobody here made. `heard` is the comment of
    the sound's own file; what that says of synthetic speech is kept."""
    lines = [f"{_LIPS}{version} on {date}", *(line for line in heard.split("\n") if line.startswith(_SPEECH))]
    return {"comment": "\n".join(lines), "software": f"Babelmesh {version}", "digital_source_type": SOURCE_TYPE}


def combined(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """The tags of an original with those of provenance over them. Its comment is kept behind the new one, but for lines
    that are said anew: of synthetic speech, and, where lips were changed, of lips."""
    result = {name: text for name, text in old.items() if name.lower() not in new}
    result.update(new)
    own = next((text for name, text in old.items() if name.lower() == "comment"), "")
    if "comment" in new:
        told = (_SPEECH, _LIPS) if new["comment"].startswith(_LIPS) else (_SPEECH,)
        kept = [line for line in own.split("\n") if not line.startswith(told)]
        result["comment"] = "\n".join([new["comment"], *kept]) if any(kept) else new["comment"]
    return result
