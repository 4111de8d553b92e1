"""`node translate`: recordings, folders, pipes or text into another language.

Parses, asks the household, prints. Knows nothing of engines or sound.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cli.common import Common, household
from cli.errors import BadUsage
from cli.lipsync import LipWishes, check_shown, film_options
from cli.render import progress_bars, show_error, show_line, show_report, write_json

if TYPE_CHECKING:
    from node.app import Node
    from node.dubbing import DubOptions
    from node.film.burning import Burning, BurnOptions
    from node.film.filming import FilmOptions
    from node.film.revoicing import Screen
    from node.report import Report

Switch = Parameter(negative="", show_default=False)

SOUND_OR_JSON = "Sound and JSON cannot both go to standard output."


@Parameter(name="*")
@dataclass(frozen=True)
class Wishes:
    """What can be asked of a translation."""

    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None
    "Result (.wav .flac .mp3 .opus .m4a; .mp4 .mkv of a video), a folder for several, or - [default: beside the input]."

    to: str | None = None
    "Target language, such as es, ca, fr, it, pt."

    from_: Annotated[str, Parameter(name="--from")] = "auto"
    "Language of the input, or auto; of a text where its words or the translator tell it."

    voice: str | None = None
    "Speak in the voice of this profile (see: node voice). Without it the input's own speaker is the reference."

    own_voice: bool = True
    "Tint the synthetic voice with the speaker's."

    method: Literal["transport", "neighbours", "world"] = "transport"
    "How the voice is matched: transport, neighbours (the first method), or world (needs babelmesh[world])."

    srt: Annotated[bool, Switch] = False
    "Also write SRT subtitles in both languages."

    vtt: Annotated[bool, Switch] = False
    "Also write WebVTT subtitles in both languages."

    burn: Annotated[bool, Switch] = False
    "Draw subtitles in the new language into the pictures of a video, for players that show no tracks of them."

    keep_background: Annotated[bool, Switch] = False
    "Keep the original sound, quieter while the dub speaks."

    notes: Path | None = None
    "Text file in the speaker's own words (a script, a list of names) that the recogniser learns from."

    grammar: Path | None = None
    "JSGF grammar file: the recogniser hears nothing else."

    glossary: Path | None = None
    "File of terms and their translations, a pair in each line, a tab or a comma between; fetched translators only."

    text: str | None = None
    "Translate this text instead of a recording; - reads standard input."

    say: Annotated[bool, Switch] = False
    "With --text: also speak the translation into the output file."

    asr: str | None = None
    "Recogniser by name (see: node doctor)."

    mt: str | None = None
    "Translator by name."

    tts: str | None = None
    "Synthesiser by name."

    ast: str | None = None
    "Go straight from speech to the other language with this engine; then there is no transcript."

    watermark: bool = True
    "Mark the result as synthetic speech, inaudibly. Only your own enrolled voice (--voice) may speak without."

    isolate: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    "Run this fetched engine in a process of its own (repeatable): its crash costs one utterance, and not the job."


def translate(
    *inputs: Path, wishes: Wishes | None = None, lips: LipWishes | None = None, common: Common | None = None
) -> int:
    """Translate recordings into another language, in a voice tinted with the speaker's; and the lips of videos with it.

    Parameters
    ----------
    inputs
        Recordings (WAV, FLAC, MP3, Opus, M4A), videos (MP4, MKV, WebM, MOV), folders, or - for standard input.
    """
    wishes, common = wishes or Wishes(), common or Common()
    if (wishes.text is None) == (not inputs):
        raise BadUsage(
            "Say what to translate: recordings or --text, one of the two.", "node translate talk.wav --to es"
        )
    _check_wishes(wishes, lips or LipWishes())
    with household(common, wishes.isolate) as node:
        if wishes.text is not None:
            return _text(node, wishes, common)
        return _recordings(node, inputs, wishes, lips or LipWishes(), common)


def _check_wishes(wishes: Wishes, lips: LipWishes) -> None:
    """Raise BadUsage for what a text has no use for, or a recording, and for what excludes each other."""
    if wishes.voice is not None and not wishes.own_voice and (wishes.text is None or wishes.say):
        raise BadUsage(
            "--voice names the voice to speak in, and --no-own-voice asks for the engine's own.",
            "Leave one of them out.",
        )
    if wishes.text is None:
        if wishes.say:
            raise BadUsage("--say is for --text: a translated recording is spoken anyway.", "Leave --say out.")
        if lips.lips == "off" and (lips.preview or lips.sheet):
            raise BadUsage(
                "With --lips off there is no before and after to look at.", "Leave --preview and --sheet out."
            )
        return
    if wishes.ast is not None:
        raise BadUsage(
            f"--ast hears speech, and --text is none: {wishes.ast} has nothing to do.",
            "Leave --ast out; a translator of texts is chosen with --mt.",
        )
    only_sound = {
        "--asr": wishes.asr,
        "--srt": wishes.srt,
        "--vtt": wishes.vtt,
        "--burn": wishes.burn,
        "--notes": wishes.notes,
        "--grammar": wishes.grammar,
        "--keep-background": wishes.keep_background,
        **_given(lips),
    }
    if idle := _named(only_sound):
        raise BadUsage(f"{idle} for recordings, and not for --text.", "Leave that out.")
    only_speech = {
        "--tts": wishes.tts,
        "--voice": wishes.voice,
        "--method": wishes.method != Wishes.method,
        "--no-own-voice": not wishes.own_voice,
        "--no-watermark": not wishes.watermark,
    }
    if not wishes.say and (idle := _named(only_speech)):
        raise BadUsage(f"{idle} for speech, and a text's translation is only printed.", "Add --say, or leave that out.")
    if wishes.output is not None and not wishes.say:
        raise BadUsage(
            "A text's translation is printed, and only speech goes to --output.", "Add --say, or leave -o out."
        )


def _named(options: Mapping[str, object]) -> str:
    """Those of the options that are given, with their verb: "--srt and --vtt are"; "" where none is."""
    given = [option for option, value in options.items() if value]
    if not given:
        return ""
    listed = " and ".join(filter(None, (", ".join(given[:-1]), given[-1])))
    return f"{listed} {'is' if len(given) == 1 else 'are'}"


@dataclass(frozen=True)
class _Pictures:
    """What is asked of the pictures of videos: new lips, None without; and whether subtitles are drawn into them."""

    lips: FilmOptions | None
    burn: BurnOptions | None


def _pictures(wishes: Wishes, lips: LipWishes) -> _Pictures:
    from node.film.burning import BurnOptions

    return _Pictures(film_options(lips), BurnOptions(lips.quality, lips.hardware) if wishes.burn else None)


def _given(lips: LipWishes) -> dict[str, bool]:
    """Each option of lips, and whether it is given."""
    options = {"hardware": "--no-hardware"}
    return {options.get(item.name, f"--{item.name}"): getattr(lips, item.name) != item.default for item in fields(lips)}


def _check_lips(lips: LipWishes, outputs: Iterable[Path]) -> None:
    """Raise BadUsage for wishes of lips where no result has pictures."""
    from cli.pipes import VIDEOS

    named = list(outputs)
    if lips == LipWishes() or lips.lips == "off" or any(path.suffix.lower() in VIDEOS for path in named):
        return
    raise BadUsage(
        f"{_named(_given(lips))} for videos, and {named[0].name} is none.",
        "Leave that out, or give a video and let the result be one.",
    )


def _check_burn(target: str, outputs: Iterable[Path]) -> None:
    """Raise BadUsage where there are no pictures to draw into, Unavailable where no font has the letters."""
    from cli.pipes import VIDEOS
    from ml.video.burn import check_language

    sound = next((path for path in outputs if path.suffix.lower() not in VIDEOS), None)
    if sound is not None:
        raise BadUsage(
            f"--burn draws into pictures, and {sound.name} has none.",
            "Leave --burn out, or give videos and let the result be one; --srt writes subtitles as files.",
        )
    check_language(target)


def _options(node: Node, wishes: Wishes) -> DubOptions:
    from ml.languages import canonical
    from node.dubbing import DubOptions
    from node.engines import EngineNames
    from node.files import read_glossary, read_guide

    said = node.config
    target = wishes.to or said.translate.target
    if target is None:
        raise BadUsage("Say into which language.", "node translate ... --to es")
    target, source = canonical(target), canonical(wishes.from_)
    names = said.engines
    if wishes.ast is not None and (wishes.asr or wishes.mt):
        raise BadUsage("With --ast there is neither recogniser nor translator.", "Leave --asr and --mt out, or --ast.")
    straight = wishes.ast or (None if wishes.asr or wishes.mt else names.ast)
    return DubOptions(
        target=target,
        source=source,
        voice=wishes.voice or said.voice.profile,
        own_voice=wishes.own_voice,
        method=wishes.method,
        keep_background=wishes.keep_background or said.translate.keep_background,
        srt=wishes.srt or said.translate.srt,
        vtt=wishes.vtt or said.translate.vtt,
        notes=read_guide(wishes.notes),
        grammar=read_guide(wishes.grammar),
        engines=EngineNames(wishes.asr or names.asr, wishes.mt or names.mt, wishes.tts or names.tts, straight),
        glossary=read_glossary(wishes.glossary),
        watermark=wishes.watermark,
        kept=tuple(path for path in (wishes.notes, wishes.grammar, wishes.glossary) if path is not None),
    )


def _recordings(node: Node, inputs: tuple[Path, ...], wishes: Wishes, lips: LipWishes, common: Common) -> int:
    from cli.pipes import VIDEOS, plan
    from ml.errors import MlError
    from node.beside import check_kept, write_report
    from node.errors import NodeError
    from node.film.revoicing import dub_video
    from node.film.showing import Shown
    from node.history import note_job

    options, asked = _options(node, wishes), _pictures(wishes, lips)
    reports: list[Report] = []
    failures: list[dict[str, str]] = []
    forgotten: str | None = None
    with plan(inputs, wishes.output, options.target) as jobs, ExitStack() as opened:
        _check_lips(lips, (output for _, output in jobs.pairs))
        if asked.burn is not None:
            _check_burn(options.target, (output for _, output in jobs.pairs))
        if asked.lips is not None and asked.lips.shown != Shown() and len(jobs.pairs) > 1:
            raise BadUsage("A preview or a sheet is of one video.", "Translate the videos one by one.")
        if asked.lips is not None:
            for source, output in jobs.pairs:
                check_shown(asked.lips, output, source)
        if jobs.to_stdout:
            options = _for_stdout(options, wishes, common)
        options = replace(options, kept=(*options.kept, *(source for source, _ in jobs.pairs)))
        for _, output in jobs.pairs:
            check_kept(options, output)
        aloud = node.registry.listen()
        dubbing, cold_start = node.dubbing(options)
        for _, output in jobs.pairs:  # again, now that more is known of the source's language
            check_kept(options, output, dubbing.source)
        screen: Screen | Burning | None = None
        if any(output.suffix.lower() in VIDEOS for _, output in jobs.pairs):
            screen = _screen(node, asked, opened)
        for source, output in jobs.pairs:
            try:
                with progress_bars(source.name) as progress:
                    if output.suffix.lower() in VIDEOS:
                        report = dub_video(dubbing, screen, source, output, progress, cold_start)
                    else:
                        report = dubbing.dub(source, output, progress, cold_start)
                if not jobs.to_stdout:
                    write_report(report)
            except (MlError, NodeError) as error:
                if jobs.piped:
                    error.sentence = error.sentence.replace(str(source), "standard input")
                if len(jobs.pairs) == 1:
                    raise
                failures.append({"input": str(source), "error": error.sentence, "remedy": error.remedy})
                show_error(error.sentence, error.remedy, as_json=False)
                continue
            cold_start = 0.0
            reports.append(report)
            # One sentence is enough when the history cannot be written to.
            forgotten = forgotten or note_job(node.config, report, "standard input" if jobs.piped else None)
            told = aloud()
            if jobs.to_stdout:
                for warning in report.warnings:
                    if warning not in told:
                        show_line(f"Note: {warning}", error=True)
            elif not common.json:
                show_report(report, told)
        dubbing.forget()
    if forgotten:
        show_line(forgotten, error=True)
    if common.json:
        write_json({"reports": [report.as_dict() for report in reports], "errors": failures})
    return 2 if failures else 0


def _for_stdout(options: DubOptions, wishes: Wishes, common: Common) -> DubOptions:
    """What is done where the sound goes to standard output, which holds nothing else: no subtitles, and that is told
    where the settings ask for them. Raises BadUsage where the user asks for more."""
    if common.json:
        raise BadUsage(SOUND_OR_JSON, "Name a file with -o.")
    if wishes.srt or wishes.vtt:
        raise BadUsage("Subtitles have no place on standard output beside the sound.", "Name a file with -o.")
    if options.srt or options.vtt:
        show_line("Note: Sound goes to standard output alone: there are no subtitles as in the settings.", error=True)
    return replace(options, srt=False, vtt=False)


def _screen(node: Node, asked: _Pictures, opened: ExitStack) -> Screen | Burning | None:
    """What becomes of the pictures of all videos, closed with `opened`; None where they are copied. What it needs and
    is not here is told now, before the first of them is translated."""
    from node.film.burning import Burning
    from node.film.revoicing import Screen

    if asked.lips is None:
        return Burning(asked.burn, node.config.jobs) if asked.burn else None
    filming = opened.enter_context(closing(node.filming(asked.lips)))
    return Screen(filming, node.ways, burn=asked.burn is not None)


def _typed() -> str:
    """The text on standard input. Raises BadUsage where it is none."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise BadUsage("Standard input is not UTF-8 text.", "Give it as plain text in UTF-8.") from error


def _text(node: Node, wishes: Wishes, common: Common) -> int:
    from cli.common import STDIO
    from node.texts import say_text, translate_text

    if common.json and wishes.say and wishes.output == STDIO:
        raise BadUsage(SOUND_OR_JSON, "Name a file with -o.")
    text = _typed() if wishes.text == str(STDIO) else wishes.text or ""
    options = _options(node, wishes)
    if wishes.say:
        from cli.pipes import speech_output

        with speech_output(wishes.output, options.target) as path:
            result = say_text(node, text, options, path)
    else:
        result = translate_text(node, text, options)
    if common.json:
        write_json(result.as_dict())
    elif not (wishes.say and wishes.output == STDIO):
        sys.stdout.write(result.text + "\n")
        if result.output is not None:
            show_line(f"Written: {result.output}", error=True)
        if result.remark:
            show_line(f"Note: {result.remark}", error=True)
        if result.missed_terms:
            missed = ", ".join(result.missed_terms)
            show_line(f"Note: Terms of the glossary that the translation has not: {missed}.", error=True)
    return 0
