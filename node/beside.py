"""What lies beside a result: its report and its subtitles, under which names, and when each line of them is shown.

Knows nothing of how a recording is translated.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ml.audio.atomic import write_whole
from ml.speech.items import Utterance
from ml.speech.subtitles import Cue, cues, to_srt, to_vtt
from node.errors import BadRequest
from node.files import identity
from node.report import Report

if TYPE_CHECKING:
    from node.dubbing import DubOptions


def subtitle_path(output: Path, target: str, language: str, suffix: str) -> Path:
    """`talk.es.wav` gives `talk.en.srt` for English subtitles and `talk.es.srt` for Spanish ones."""
    return output.with_name(f"{output.stem.removesuffix('.' + target)}.{language}.{suffix}")


def captions_of(utterance: Utterance, captions: tuple[list[Cue], list[Cue]]) -> None:
    """Add the subtitles of an utterance, to those of the source and those of the target."""
    if utterance.transcript is not None:
        captions[0].extend(cues(utterance.transcript.text, utterance.start, utterance.end))
    if utterance.translation is not None:
        seconds = utterance.dub.audio.seconds if utterance.dub is not None else utterance.end - utterance.start
        captions[1].extend(cues(utterance.translation.text, utterance.start, utterance.start + seconds))


def later(captions: list[Cue], seconds: float) -> list[Cue]:
    """The same subtitles, so much later."""
    return [replace(cue, start=cue.start + seconds, end=cue.end + seconds) for cue in captions]


def write_subtitles(options: DubOptions, output: Path, language: str, captions: list[Cue]) -> list[str]:
    """Write the subtitles of one language in the formats asked for, and name the files. Raises CannotWrite."""
    written = []
    for wanted, suffix, render in ((options.srt, "srt", to_srt), (options.vtt, "vtt", to_vtt)):
        if wanted:
            path = subtitle_path(output, options.target, language, suffix)
            write_whole(path, render(captions).encode())
            written.append(str(path))
    return written


def check_kept(options: DubOptions, output: Path, source: str | None = None) -> None:
    """Raise BadRequest where a result, its report or its subtitles would be written over a file that is to be kept.

    `source` is the input's language where it is known better than from the options: subtitles have it in their names.
    """
    languages = {options.target, source or options.source}
    suffixes = [suffix for suffix, wanted in (("srt", options.srt), ("vtt", options.vtt)) if wanted]
    written = [output, report_path(output)]
    written += [subtitle_path(output, options.target, code, suffix) for code in languages for suffix in suffixes]
    made = {identity(path) for path in written}
    for path in options.kept:
        if identity(path) in made:
            raise BadRequest(
                f"{path} would be written over by the result, or by what lies beside it.",
                "Name another place for the result with -o, or give that file another name.",
            )


def report_path(output: Path) -> Path:
    """Where the report of a job lies: beside its sound."""
    return output.with_name(output.name + ".json")


def write_report(report: Report) -> Path:
    """Keep the report as JSON beside the sound. Raises CannotWrite."""
    path = report_path(Path(report.output))
    write_whole(path, msgspec.json.format(msgspec.json.encode(report.as_dict()), indent=2) + b"\n")
    return path
