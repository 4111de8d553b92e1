"""`node lipsync`: another sound for a video, and lips that say it.

Parses, asks the household, prints. Knows nothing of faces.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cli.common import Common, household
from cli.errors import BadUsage
from cli.pipes import VIDEOS, WRITABLE
from cli.render import face_lines, film_line, progress_bars, show_line, write_json
from node.files import same_file

if TYPE_CHECKING:
    from node.app import Node
    from node.film.filming import FilmOptions
    from node.film.revoicing import Words

MOST_DIGITS = 9
"""Of the number of a face."""


@Parameter(name="*")
@dataclass(frozen=True)
class LipWishes:
    """What can be asked of lips."""

    lips: Literal["bank", "warp", "wav2lip", "off"] = "bank"
    "How: bank takes mouths from the same video, warp moves pixels, wav2lip draws with your weights, off leaves them."

    quality: Literal["fast", "balanced", "quality"] = "balanced"
    "How much work lips and pictures are worth."

    face: str = "speaking"
    "Whose lips: speaking, largest, all, or the number of a face."

    hardware: bool = True
    "Let a graphics card encode, where one can."

    gpu: Annotated[bool, Parameter(negative="", show_default=False)] = False
    "Move pixels on the graphics card, with bank and warp; by default the CPU does, and wav2lip takes what is there."

    preview: Path | None = None
    "Also write a video of before and after side by side (.mp4, .mkv)."

    sheet: Path | None = None
    "Also write a contact sheet of faces before and after (.png)."

    wav2lip: str | None = None
    "With --lips wav2lip: a model of your catalogue, or a file such as wav2lip_gan.pth [default: your best model]."

    score: Annotated[bool, Parameter(negative="", show_default=False)] = False
    "Score how new lips and sound belong together, with SyncNet's weights from your catalogue."

    syncnet: str | None = None
    "Score with these weights: a model of your catalogue, or a file such as syncnet_v2.model."


def film_options(wishes: LipWishes) -> FilmOptions | None:
    """The options of a filming; None where lips stay as they are. Raises BadUsage."""
    from node.film.filming import FilmOptions
    from node.film.showing import Shown

    if wishes.wav2lip is not None and wishes.lips != "wav2lip":
        raise BadUsage("--wav2lip names weights that --lips wav2lip draws with.", "Say both: --lips wav2lip")
    if wishes.gpu and wishes.lips not in ("bank", "warp"):
        raise BadUsage(f"--lips {wishes.lips} moves no pixels.", "Leave --gpu out: wav2lip takes a GPU itself.")
    score = wishes.score or wishes.syncnet is not None
    if wishes.lips == "off":
        if score:
            raise BadUsage("Without lips there is nothing to score.", "Leave --lips off out, or --score and --syncnet.")
        return None
    face: int | Literal["speaking", "largest", "all"]
    if wishes.face in ("speaking", "largest", "all"):
        face = wishes.face  # type: ignore[assignment]
    elif wishes.face.isdecimal() and len(wishes.face) <= MOST_DIGITS:
        face = int(wishes.face)
    else:
        told = wishes.face if len(wishes.face) <= 40 else wishes.face[:40] + "..."
        raise BadUsage(f"{told!r} is no face.", "Give speaking, largest, all or a number: --face largest")
    if wishes.sheet is not None and wishes.sheet.suffix.lower() != ".png":
        raise BadUsage(f"A contact sheet is a PNG, not {wishes.sheet.name}.", "Name it in .png: --sheet lips.png")
    shown = Shown(wishes.preview, wishes.sheet)
    return FilmOptions(
        renderer=wishes.lips,
        preset=wishes.quality,
        face=face,
        hardware=wishes.hardware,
        shown=shown,
        wav2lip=wishes.wav2lip or "",
        score=score,
        syncnet=wishes.syncnet or "",
        gpu=wishes.gpu,
    )


def check_shown(options: FilmOptions, result: Path, *inputs: Path) -> None:
    """Raise BadUsage where what is to be looked at would overwrite an input or the result, CannotWrite where it cannot
    be written: to be asked before long work, not after."""
    shown = options.shown
    for path in (shown.preview, shown.sheet):
        if path is not None and any(same_file(path, other) for other in (result, *inputs)):
            what = "a recording" if path.suffix.lower() in WRITABLE else "a video"
            raise BadUsage(f"{path} cannot be both {what} and what shows its lips.", "Give it another name.")
    shown.check()


def lipsync(
    video: Path,
    sound: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    text: str | None = None,
    language: str = "en",
    wishes: LipWishes | None = None,
    common: Common | None = None,
) -> int:
    """Put another sound into a video, and lips that say it.

    Parameters
    ----------
    video
        A video in which somebody's face can be seen.
    sound
        What is to be said: a recording, heard from the first picture on.
    output
        The result (.mp4, .mkv) [default: beside the video, talk.lips.mp4 for talk.mp4].
    text
        The words of the sound, or @FILE; with them lips are far better than by the sound alone.
    language
        The language of the text.
    """
    wishes, common = wishes or LipWishes(), common or Common()
    options = film_options(wishes)
    if options is None:
        raise BadUsage("Without lips there is nothing to do here.", "Leave --lips off out.")
    target = output or _beside(video)
    for given in (video, sound):
        if same_file(target, given):
            raise BadUsage(f"The result would overwrite its own input {given}.", "Name another file with -o.")
    check_shown(options, target, video, sound)
    with household(common) as node:
        from node.film.revoicing import lipsync as put

        words = _words(node, text, language)
        told = node.registry.listen()
        with closing(node.filming(options)) as filming, progress_bars(video.name) as progress:
            facts = put(filming, video, sound, target, progress, words)
        before = told()
    if common.json:
        write_json({"input": str(video), "sound": str(sound), "output": str(target), **facts.as_dict()})
        return 0
    for line in (film_line(facts), *face_lines(facts)):
        show_line(line)
    for note in (note for note in facts.notes if note not in before):
        show_line(f"Note: {note}")
    show_line("Written: " + ", ".join([str(target), *facts.beside]))
    return 0


def _beside(video: Path) -> Path:
    """`talk.mp4` gives `talk.lips.mp4`, `talk.mov` too; where both are there, `talk.mp4.lips.mp4` and
    `talk.mov.lips.mp4`."""
    from node.film.revoicing import is_video

    suffix = _written_as(video)
    alike = (path for path in video.parent.glob(f"{escape(video.stem)}.*") if path.stem == video.stem)
    others = (path for path in alike if path.name != video.name and path.suffix.lower() not in WRITABLE)
    if any(_written_as(path) == suffix and is_video(path) for path in others):
        return video.with_name(f"{video.name}.lips{suffix}")
    return video.with_name(f"{video.stem}.lips{suffix}")


def _written_as(video: Path) -> str:
    """The extension of what is made of a video: its own where it can be written."""
    return video.suffix.lower() if video.suffix.lower() in VIDEOS else ".mp4"


def _words(node: Node, text: str | None, language: str) -> Words | None:
    """What is said, where the user told."""
    if text is None:
        return None
    from node.files import read_guide
    from node.film.revoicing import Words

    if text.startswith("@"):
        text = read_guide(Path(text[1:])) or ""
    return Words(text, language, node.ways(language))
