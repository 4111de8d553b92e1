"""One job of the household: a recording in, the same recording in another language out.

Puts the stages of `ml.speech` together, runs them side by side, keeps what each has done, writes sound, subtitles and
report. The sound appears when all of it is
done, or not at all. Knows nothing of how progress or reports are shown.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ml.audio.endpoint import Endpointer
from ml.audio.read import blocks, probe
from ml.audio.vad import SileroActivity, SileroNetwork
from ml.audio.write import AudioWriter
from ml.engines.protocols import AsrOptions
from ml.errors import BadAudio
from ml.speech.items import Utterance
from ml.speech.recognise import Recognise
from ml.speech.segment import Segmenter, Slots
from ml.speech.speak import Speak
from ml.speech.stage import Stage
from ml.speech.subtitles import Cue, cues, to_srt, to_vtt
from ml.speech.timeline import Timeline
from ml.speech.tint import AsSpoken, Matcher, Tint
from ml.speech.translate import Translate
from ml.voice.match import MatchOptions, Method, VoiceMatcher
from ml.voice.profile import VoiceProfile, build_profile
from node.engines import EngineNames, Engines, Languages, describe, source_language
from node.files import write_text
from node.jobs import Remembering, ResultStore
from node.listening import Heard, speech_of
from node.report import EngineLine, Report, Tally, UtteranceLine, VoiceLine, median_of, utterance_line
from node.runner import run
from node.voices import VoiceShelf

REFERENCE_SECONDS = 30.0
"""How much of the input's own speech is listened to for the voice when no profile is named."""


@dataclass(frozen=True)
class DubOptions:
    """What the user asked for. Languages are ISO 639-1 codes; `notes` and `grammar` are texts, not paths."""

    target: str
    source: str = "auto"
    voice: str | None = None
    own_voice: bool = True
    method: Method = "transport"
    keep_background: bool = False
    srt: bool = False
    vtt: bool = False
    notes: str | None = None
    grammar: str | None = None
    engines: EngineNames = field(default_factory=EngineNames)

    @property
    def languages(self) -> Languages:
        """What it is from and to."""
        return Languages(self.source, self.target)


class Progress(Protocol):
    """Told how far each stage is, in seconds of the input; `total` is None while unknown."""

    def __call__(self, stage: str, done: float, total: float | None) -> None:
        """One step."""
        ...


class Dubbing:
    """Translates recordings, one at a time, with the engines of one set of options."""

    def __init__(self, options: DubOptions, engines: Engines, voices: VoiceShelf, store: ResultStore) -> None:
        """`engines` are running; `store` keeps what is done until a job is finished."""
        if engines.asr is None or engines.tts is None:
            raise ValueError("a dubbing needs ears and a mouth")
        self._options, self._engines, self._voices, self._store = options, engines, voices, store
        self._asr, self._tts = engines.asr, engines.tts
        self._finished: list[str] = []
        self.source, self._source_note = source_language(options.source, self._asr)
        self._warnings = list(engines.warnings)
        with ThreadPoolExecutor(1) as pool:
            ready = pool.submit(self._asr.prepare, self._asr_options())
            self._translate = Translate(engines.mt, self.source, options.target)
            self._network = SileroNetwork.load()
            ready.result()

    def dub(self, source: Path, output: Path, progress: Progress, cold_start: float = 0.0) -> Report:
        """Translate one recording. Raises BadAudio when there is no speech in it, and what the engines raise."""
        began = time.perf_counter()
        length = probe(source).seconds
        warnings = list(self._warnings)
        voice, matcher = self._voice(source, progress, length, warnings)
        tally = Tally()
        remembering = [
            Remembering(stage, self._store)
            for stage in (
                Recognise(self._asr, self._asr_options()),
                self._translate,
                Speak(self._tts, self._options.target, matcher.delivery),
                Tint(matcher),
            )
        ]
        stages: list[Stage[Any, Any]] = [Segmenter(SileroActivity(self._network), Endpointer()), Slots(), *remembering]
        lines: list[UtteranceLine] = []
        captions: tuple[list[Cue], list[Cue]] = ([], [])
        heard = Heard()

        def observe(stage: str, item: Any, seconds: float) -> None:  # noqa: ANN401
            tally.add(stage, item, seconds)
            progress(stage, item.end if isinstance(item, Utterance) else heard.seconds, length)

        again = blocks(source) if self._options.keep_background else nullcontext()
        with AudioWriter(output) as writer, blocks(source) as sound, again as background:
            timeline = Timeline(background)

            def lay(utterance: Utterance) -> None:
                for block in timeline.place(utterance):
                    writer.write(block)
                done = [stage.name for stage in remembering if utterance.index in stage.recalled]
                lines.append(utterance_line(utterance, tally.by_utterance.get(utterance.index, {}), done))
                _caption(utterance, captions)

            asyncio.run(run(heard.through(sound), stages, lay, observe))
            if not lines:
                raise BadAudio(f"There is no speech in {source}.", "Check the recording's level and its sound track.")
            for block in timeline.finish(heard.seconds):
                writer.write(block)
            warnings.extend(sound.warnings)
        if not any(line.target_text for line in lines):
            warnings.append("No words were recognised: the result is silent. A clearer recording or --notes may help.")
        report = Report(
            input=str(source),
            output=str(output),
            source=self.source,
            target=self._options.target,
            source_note=self._source_note,
            input_seconds=round(heard.seconds, 3),
            seconds=round(time.perf_counter() - began, 3),
            cold_start=round(cold_start, 3),
            engines=self._engine_lines(),
            voice=voice_line(voice, lines) if voice else None,
            utterances=tuple(lines),
            compute={stage: round(seconds, 4) for stage, seconds in tally.by_stage.items()},
            clipped=writer.clipped,
            subtitles=self._write_subtitles(output, captions),
            warnings=tuple(warnings),
            resumed=sum(1 for line in lines if line.resumed),
        )
        for stage in remembering:
            self._finished.extend(stage.keys)
        return report

    def forget(self) -> None:
        """Drop what was kept of the recordings that are done; until then a stopped batch finds all of it again."""
        self._store.drop(self._finished)
        self._finished.clear()

    def _asr_options(self) -> AsrOptions:
        return AsrOptions(self.source, live=False, notes=self._options.notes, grammar=self._options.grammar)

    def _voice(
        self, source: Path, progress: Progress, length: float | None, warnings: list[str]
    ) -> tuple[VoiceUsed | None, Matcher]:
        """The voice to speak in: a profile by name, or the input's own speaker."""
        options = self._options
        if not options.own_voice:
            return None, AsSpoken()
        if options.voice is not None:
            profile, name = self._voices.get(options.voice), options.voice
        else:
            speech = speech_of(
                source, self._network, REFERENCE_SECONDS, lambda done: progress("know the voice", done, length)
            )
            if not speech:
                raise BadAudio(f"There is no speech in {source}.", "Check the recording's level and its sound track.")
            profile, name = (
                build_profile(speech, self._engines.speaker, self._tts, options.target),
                "the input's speaker",
            )
        if not profile.trusted:
            warnings.append(
                f"The voice is known from {profile.seconds:.1f} s of speech only; from 10 s on it can be trusted."
            )
        matcher = voice_matcher(profile, self._engines, options)
        return VoiceUsed(name, profile, options.method), matcher

    def _engine_lines(self) -> tuple[EngineLine, ...]:
        engines = self._engines
        lines = [
            describe(self._asr, "asr", engines),
            describe(engines.mt, "mt", engines, self._translate.route),
            describe(self._tts, "tts", engines),
        ]
        if engines.speaker is not None:
            lines.append(describe(engines.speaker, "speaker", engines))
        return tuple(lines)

    def _write_subtitles(self, output: Path, captions: tuple[list[Cue], list[Cue]]) -> tuple[str, ...]:
        written = []
        for language, entries in zip((self.source, self._options.target), captions, strict=True):
            for wanted, suffix, render in ((self._options.srt, "srt", to_srt), (self._options.vtt, "vtt", to_vtt)):
                if wanted:
                    path = subtitle_path(output, self._options.target, language, suffix)
                    write_text(path, render(entries))
                    written.append(str(path))
        return tuple(written)


@dataclass(frozen=True, eq=False)
class VoiceUsed:
    """The voice a job speaks in."""

    name: str
    profile: VoiceProfile
    method: str


def voice_line(voice: VoiceUsed, lines: list[UtteranceLine]) -> VoiceLine:
    """The report's line about the voice: medians over the utterances."""

    def median(name: str) -> float | None:
        return median_of([line.likeness[name] for line in lines if line.likeness])

    return VoiceLine(
        name=voice.name,
        method=voice.method,
        seconds=round(voice.profile.seconds, 2),
        trusted=voice.profile.trusted,
        f0_hz=voice.profile.f0_median,
        f0_dub_hz=median("f0_after"),
        similarity_before=median("similarity_before"),
        similarity_after=median("similarity_after"),
        ceiling=voice.profile.ceiling,
    )


def voice_matcher(profile: VoiceProfile, engines: Engines, options: DubOptions) -> VoiceMatcher:
    """What brings the synthetic voice nearer to a profile. Raises Unavailable when the method is not installed."""
    if engines.tts is None:
        raise ValueError("a voice needs a mouth")
    return VoiceMatcher(profile, engines.tts, options.target, MatchOptions(options.method), engines.speaker)


def subtitle_path(output: Path, target: str, language: str, suffix: str) -> Path:
    """`talk.es.wav` gives `talk.en.srt` for English subtitles and `talk.es.srt` for Spanish ones."""
    return output.with_name(f"{output.stem.removesuffix('.' + target)}.{language}.{suffix}")


def _caption(utterance: Utterance, captions: tuple[list[Cue], list[Cue]]) -> None:
    if utterance.transcript is not None:
        captions[0].extend(cues(utterance.transcript.text, utterance.start, utterance.end))
    if utterance.translation is not None:
        seconds = utterance.dub.audio.seconds if utterance.dub is not None else utterance.end - utterance.start
        captions[1].extend(cues(utterance.translation.text, utterance.start, utterance.start + seconds))


def report_path(output: Path) -> Path:
    """Where the report of a job lies: beside its sound."""
    return output.with_name(output.name + ".json")


def write_report(report: Report) -> Path:
    """Keep the report as JSON beside the sound."""
    path = report_path(Path(report.output))
    write_text(path, msgspec.json.format(msgspec.json.encode(report.as_dict()), indent=2).decode() + "\n")
    return path
