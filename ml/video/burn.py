"""Subtitles burnt into pictures: drawn at the foot, white with a black rim, for players that show no soft ones.

PyAV's build of libav has no filter that draws text, so Pillow does. A font that lacks a letter would draw boxes: one
that has all letters is looked for among those of the machine, and its absence is said. Knows nothing of files of video.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.errors import Unavailable
from ml.languages import find, known
from ml.speech.subtitles import Cue
from ml.video.encode import Area
from ml.video.pixels import Bytes

_SIZE, _LEAST = 0.05, 10
"""Height of the letters in parts of the shorter side of the picture, and at least that many pixels."""
_FOOT, _WIDEST = 0.06, 0.9
"""Room below the text, in parts of the height, and the widest line in parts of the width."""
_RIM = 12
"""Letters are so many times as high as their rim is wide."""
_JOINED = ("ARABIC", "HEBREW", "SYRIAC", "DEVANAGARI", "BENGALI", "TAMIL", "TELUGU", "THAI", "KHMER", "MYANMAR")
"""Scripts, by the names of their letters, that need more than one letter after the other."""

_LETTERS = {
    "Arab": 0x639, "Armn": 0x531, "Beng": 0x995, "Cyrl": 0x416, "Deva": 0x915, "Ethi": 0x12A0, "Geor": 0x10D0,
    "Grek": 0x3A9, "Gujr": 0xA95, "Guru": 0xA15, "Hang": 0xD55C, "Hans": 0x6C49, "Hant": 0x6F22, "Hebr": 0x5D0,
    "Jpan": 0x3042, "Khmr": 0x1780, "Knda": 0xC95, "Laoo": 0xE81, "Mlym": 0xD15, "Mymr": 0x1000, "Orya": 0xB15,
    "Sinh": 0xD9A, "Taml": 0xB95, "Telu": 0xC15, "Tfng": 0x2D30, "Thai": 0xE01, "Tibt": 0xF40,
}  # fmt: skip
"""One letter of each script (ISO 15924) that languages are written in, but for Latin."""


class Captions:
    """Draws the texts of a video of one size, each while it is on screen."""

    def __init__(self, cues: Sequence[Cue], width: int, height: int, aspect: float = 1.0) -> None:
        """A pixel is `aspect` times as wide as high where it is shown, and letters are drawn to look right there.

        Raises Unavailable where no font has all letters, or the scripts cannot be laid out here.
        """
        from PIL import ImageFont

        self._cues = sorted((cue for cue in cues if cue.text.strip()), key=lambda cue: cue.start)
        self._reach = list(accumulate((cue.end for cue in self._cues), max))
        """For each text when it and all before are over."""
        self._width, self._height = max(1, round(width * aspect)), height
        self._squeeze = width / self._width
        text = "".join(cue.text for cue in cues)
        _check_layout(text)
        self._size = max(_LEAST, round(_SIZE * min(self._width, height)))
        self._font = ImageFont.truetype(str(font_for(text)), self._size)
        self._drawn: tuple[Cue, tuple[int, int, npt.NDArray[np.uint8]] | None] | None = None

    def draw(self, time: float, picture: Bytes) -> Area | None:
        """Draw what is on screen at `time` seconds into `picture` `[H, W, 3]`; return where, None: nothing."""
        cue = self._at(time)
        if cue is None:
            return None
        if self._drawn is None or self._drawn[0] is not cue:
            self._drawn = cue, self._render(cue.text)
        if self._drawn[1] is None:
            return None
        left, top, layer = self._drawn[1]
        height, width = layer.shape[:2]
        part = picture[top : top + height, left : left + width]
        share = layer[..., 3:].astype(np.uint16)
        part[...] = (layer[..., :3] * share + part * (255 - share) + 127) // 255
        return left, top, width, height

    def count(self, times: Iterable[float]) -> int:
        """Of how many pictures, shown at these times, a text is on screen."""
        return sum(self._at(time) is not None for time in times)

    def _at(self, time: float) -> Cue | None:
        """What is on screen; of several the one that came first."""
        for cue in self._cues[bisect_right(self._reach, time) :]:
            if cue.start > time:
                break
            if time < cue.end:
                return cue
        return None

    def _render(self, text: str) -> tuple[int, int, npt.NDArray[np.uint8]] | None:
        """Where the text goes, and its layer `[h, w, 4]` of RGB and share."""
        from PIL import Image, ImageDraw

        rim = max(1, self._size // _RIM)
        layer = Image.new("RGBA", (self._width, self._height), (0, 0, 0, 0))
        draw = ImageDraw.Draw(layer)
        lines = "\n".join(self._wrapped(text))
        foot = self._height * (1 - _FOOT)
        draw.multiline_text(
            (self._width / 2, foot),
            lines,
            "white",
            self._font,
            anchor="md",
            align="center",
            stroke_width=rim,
            stroke_fill="black",
        )
        box = layer.getbbox()
        if box is None:
            return None
        text_layer = layer.crop(box)
        if self._squeeze != 1:
            text_layer = text_layer.resize((max(1, round(text_layer.width * self._squeeze)), text_layer.height))
        return round(box[0] * self._squeeze), box[1], np.asarray(text_layer, np.uint8)

    def _wrapped(self, text: str) -> Iterable[str]:
        """Lines that fit; a word that does not is broken."""
        for line in text.strip().splitlines():
            current = ""
            for word in _words(line):
                if current and self._font.getlength((current + word).rstrip()) > _WIDEST * self._width:
                    yield current.rstrip()
                    current = ""
                current += word
            yield current.rstrip()


def check_language(language: str) -> None:
    """Raise Unavailable where texts of a language cannot be drawn here: to be asked before hours of work, not after.

    Asks for one letter of its script; a font may still lack others. A language that is not known passes.
    """
    if known(language):
        script = find(language).codes.get("nllb", "").rpartition("_")[2]
        sample = chr(_LETTERS.get(script, ord("a")))
        _check_layout(sample)
        font_for(sample)


def font_for(text: str) -> Path:
    """A font file that has all letters of a text: DejaVu Sans, or one of the machine.

    Raises Unavailable, naming letters that are missing.
    """
    from matplotlib import font_manager

    wanted = {ord(letter) for letter in text if not letter.isspace() and unicodedata.category(letter) != "Cf"}
    dejavu = Path(font_manager.findfont("DejaVu Sans"))
    least = wanted - _letters(dejavu)
    if not least:
        return dejavu
    for path in sorted(map(Path, font_manager.findSystemFonts()), key=lambda path: ("Noto" not in path.name, path)):
        if not wanted - _letters(path):
            return path
    raise Unavailable(
        f"No font on this machine has letters for {_shown(least)}, so they cannot be drawn into pictures.",
        "Install one (on Debian: apt install fonts-noto), or write soft subtitles, which players draw themselves.",
    )


def _letters(path: Path) -> set[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return set(FT2Font(str(path)).get_charmap())
    except (OSError, RuntimeError):
        return set()


def _shown(letters: set[int]) -> str:
    return " ".join(chr(letter) for letter in sorted(letters)[:8])


def _check_layout(text: str) -> None:
    from PIL import features

    if features.check("raqm") and features.check("fribidi"):
        return
    for letter in text:
        if unicodedata.name(letter, "").split(" ")[0] in _JOINED:
            script = unicodedata.name(letter).split(" ")[0].capitalize()
            raise Unavailable(
                f"{script} letters cannot be laid out here: Pillow has no Raqm and FriBiDi.",
                "Install them (on Debian: apt install libraqm0 libfribidi0), or write soft subtitles.",
            )


def _words(line: str) -> Iterable[str]:
    """Where a line may be broken: after spaces, and between ideographs."""
    word = ""
    for letter in line:
        word += letter
        if letter.isspace() or unicodedata.east_asian_width(letter) in "WF":
            yield word
            word = ""
    if word:
        yield word
