"""One job of the household: a recording in, the same recording in another language out.

Puts the stages of `ml.speech` together, runs them side by side, keeps what each has done, writes sound, subtitles and
report. The sound appears when all of it is
done, or not at all. Knows nothing of how progress or reports are shown.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ml.audio.endpoint import Endpointer
from ml.audio.read import blocks, probe
from ml.audio.vad import SileroActivity, SileroNetwork
from ml.audio.write import AudioWriter
from ml.engines.protocols import AsrOptions, Engine, Task
from ml.errors import BadAudio, BadText
from ml.speech.interpret import Interpret
from ml.speech.items import Utterance
from ml.speech.recognise import Recognise
from ml.speech.segment import Segmenter, Slots
from ml.speech.settle import Settle
from ml.speech.speak import Speak
from ml.speech.stage import Stage, UtteranceStage
from ml.speech.subtitles import Cue
from ml.speech.timeline import Timeline
from ml.speech.tint import AsSpoken, Matcher, Tint
from ml.speech.translate import Translate, TranslateEach
from ml.voice.match import MatchOptions, Method, VoiceMatcher
from ml.voice.profile import VoiceProfile, build_profile
from node.beside import captions_of, check_kept, later, write_subtitles
from node.engines import EngineNames, Engines, Languages, describe, source_language, spoken_language
from node.jobs import Remembering, ResultStore, mishaps
from node.laid import Laid
from node.listening import Heard, speech_of
from node.marking import Origin, check_unmarked, marked_from, marking
from node.report import EngineLine, Report, Tally, UtteranceLine, VoiceLine, median_of, remarks, utterance_line
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
    glossary: Mapping[str, str] | None = None
    """Terms of the source, and how they must be translated."""
    watermark: bool = True
    """Mark the result as synthetic speech; only an enrolled `voice` may speak without."""
    kept: tuple[Path, ...] = ()
    """Files of the user that nothing is written over: inputs, notes and the like."""

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
        if engines.tts is None:
            raise ValueError("a dubbing needs a mouth")
        if not options.watermark:
            check_unmarked(options.voice if options.own_voice else None)
        self._options, self._engines, self._voices, self._store = options, engines, voices, store
        self._tts = engines.tts
        self._finished: list[str] = []
        self._warnings = list(engines.warnings)
        self.source: str | None = None
        """The input's language; None: the engine tells it, utterance by utterance."""
        self._source_note: str | None = None
        self._route: tuple[str, ...] = ()
        self._hearing = self._straight() if engines.ast is not None else self._by_words()

    def dub(
        self,
        source: Path,
        output: Path,
        progress: Progress,
        cold_start: float = 0.0,
        laid: Laid | None = None,
        *,
        start: float = 0.0,
    ) -> Report:
        """Translate one recording. With `laid` its sound goes there instead, and `output` only names what lies beside;
        `start` is the second at which the sound begins on the time line of the subtitles.

        Raises BadAudio when there is no speech in it, BadRequest where something would be written over what is to be
        kept, CannotWrite, and what the engines raise.
        """
        began = time.perf_counter()
        check_kept(self._options, output, self.source)
        length = probe(source).seconds
        warnings = list(self._warnings)
        voice, matcher = self._voice(source, progress, length, warnings)
        tally = Tally()
        each = self._each()
        speaking: list[UtteranceStage] = [Speak(self._tts, self._options.target, matcher.delivery), Tint(matcher)]
        if each is not None:
            speaking.insert(0, each)
        ears, mouth = ([Remembering(one, self._store) for one in part] for part in (self._hearing, speaking))
        remembering = [*ears, *mouth]
        settling = [Settle(each.settle)] if each else []
        cutting = (Segmenter(SileroActivity(self._network), Endpointer()), Slots())
        stages: list[Stage[Any, Any]] = [*cutting, *ears, *settling, *mouth]
        lines: list[UtteranceLine] = []
        captions: tuple[list[Cue], list[Cue]] = ([], [])
        heard = Heard()

        def observe(stage: str, item: Any, seconds: float) -> None:  # noqa: ANN401
            tally.add(stage, item, seconds)
            progress(stage, item.end if isinstance(item, Utterance) else heard.seconds, length)

        again = blocks(source) if self._options.keep_background else nullcontext()
        origin = Origin(self.source or "und", self._options.target, source, marked=self._options.watermark)
        marks = marking(origin)
        writing = AudioWriter(output if laid is None else laid.sound, tags=marks.tags)
        with writing as writer, blocks(source) as sound, again as background:
            timeline = Timeline(background)

            def lay(utterance: Utterance) -> None:
                if utterance.dub is not None:
                    spoken = marked_from(utterance.dub.audio, marks.mark, utterance.start)
                    utterance = replace(utterance, dub=replace(utterance.dub, audio=spoken))
                for block in timeline.place(utterance):
                    writer.write(block)
                done = [stage.name for stage in remembering if utterance.index in stage.recalled]
                lines.append(utterance_line(utterance, tally.by_utterance.get(utterance.index, {}), done))
                captions_of(utterance, captions)
                if laid is not None:
                    laid.add(utterance)

            asyncio.run(run(heard.through(sound), stages, lay, observe))
            if not lines:
                raise BadAudio(f"There is no speech in {source}.", "Check the recording's level and its sound track.")
            for block in timeline.finish(heard.seconds):
                writer.write(block)
            warnings.extend(sound.warnings)
        if not any(line.target_text for line in lines):
            notes = "" if self._engines.ast else " or --notes"
            warnings.append(f"No words were recognised: the result is silent. A clearer recording{notes} may help.")
        captions = later(captions[0], start), later(captions[1], start)
        spoken = (each.source if each else self.source) or _heard_in(lines)
        warnings.extend((*self._engines.said(), *mishaps(remembering)))
        lost = {index for stage in remembering for index in stage.lost}
        warnings.extend(remarks([line for line in lines if line.index not in lost], self._options.target, spoken))
        report = Report(
            input=str(source),
            output=str(output),
            source=spoken,
            target=self._options.target,
            source_note=self._told(spoken) if each and each.source else self._source_note,
            input_seconds=round(heard.seconds, 3),
            seconds=round(time.perf_counter() - began, 3),
            cold_start=round(cold_start, 3),
            engines=self._engine_lines(each),
            voice=voice_line(voice, lines) if voice else None,
            utterances=tuple(lines),
            compute={stage: round(seconds, 4) for stage, seconds in tally.by_stage.items()},
            clipped=writer.clipped,
            subtitles=self._write_subtitles(output, spoken, captions, warnings),
            warnings=tuple(warnings),
            resumed=sum(1 for line in lines if line.resumed),
            watermark=marks.mark.job if marks.mark else None,
            tags=marks.tags,
        )
        for stage in remembering:
            self._finished.extend(stage.keys)
        return report

    def forget(self) -> None:
        """Drop what was kept of the recordings that are done; until then a stopped batch finds all of it again."""
        self._store.drop(self._finished)
        self._finished.clear()

    def _by_words(self) -> tuple[UtteranceStage, ...]:
        """From sound to words to words of the other language; all that is slow to load is loaded."""
        asr, mt, options = self._engines.asr, self._engines.mt, self._options
        if asr is None or mt is None:
            raise ValueError("a dubbing needs ears and a translator")
        source, self._source_note = source_language(options.source, asr)
        self.source = source
        wishes = AsrOptions(source or "auto", live=False, notes=options.notes, grammar=options.grammar)
        with ThreadPoolExecutor(1) as pool:
            ready = pool.submit(asr.prepare, wishes)
            translate = Translate(mt, source, options.target, options.glossary) if source else None
            self._network = SileroNetwork.load()
            ready.result()
        if translate is None:
            return (Recognise(asr, wishes),)
        self._route = translate.route
        return Recognise(asr, wishes), translate

    def _each(self) -> TranslateEach | None:
        """What translates a recording whose language is only known when it is heard."""
        engines, options = self._engines, self._options
        if engines.ast is not None or self.source is not None:
            return None
        if engines.translator is None:
            raise ValueError("a dubbing from any language needs a way to choose its translator")
        return TranslateEach(engines.translator, options.target, options.glossary)

    def _told(self, language: str) -> str:
        ears = self._engines.asr.spec.name if self._engines.asr else ""
        return f"The input is taken as {language!r}: {ears} heard it in most of the first utterances."

    def _straight(self) -> tuple[UtteranceStage, ...]:
        """From sound straight to words of the other language."""
        ast, options = self._engines.ast, self._options
        if ast is None:
            raise ValueError("a dubbing needs an interpreter")
        if options.notes is not None or options.grammar is not None:
            raise BadText(
                f"{ast.spec.name} makes no transcript, so it takes neither notes nor a grammar.",
                "Leave them out, or translate with a recogniser (without --ast).",
            )
        if options.glossary:
            raise BadText(
                f"{ast.spec.name} takes no glossary.",
                "Leave it out, or translate with a recogniser and a translator (without --ast).",
            )
        self.source, self._source_note = spoken_language(options.source, ast, options.target)
        self._network = SileroNetwork.load()
        return (Interpret(ast, self.source, options.target),)

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
            name = "the input's speaker"
            try:
                profile = build_profile(speech, self._engines.speaker, self._tts, options.target)
            except BadAudio:
                warnings.append("There is too little speech to know the voice: spoken in the engine's own voice.")
                return None, AsSpoken()
        if not profile.trusted:
            heard = heard_seconds(profile)
            warnings.append(f"The voice is known from {heard:.1f} s of speech only; from 10 s on it can be trusted.")
        matcher = voice_matcher(profile, self._engines, options)
        return VoiceUsed(name, profile, options.method), matcher

    def _engine_lines(self, each: TranslateEach | None) -> tuple[EngineLine, ...]:
        engines = self._engines
        mt, route = (each.mt or engines.mt, each.route) if each else (engines.mt, self._route)
        taking: tuple[tuple[Task, Engine | None], ...] = (
            ("asr", engines.asr),
            ("mt", mt),
            ("ast", engines.ast),
            ("tts", engines.tts),
            ("speaker", engines.speaker),
        )
        found = [
            describe(engine, task, engines, route if task == "mt" else ())
            for task, engine in taking
            if engine is not None
        ]
        if mt is not engines.mt:  # another one than was taken before anything was heard
            why = f"the best that translates from {route[0]!r}, which was heard"
            found = [replace(line, why=why) if line.task == "mt" else line for line in found]
        return tuple(found)

    def _write_subtitles(
        self, output: Path, source: str, captions: tuple[list[Cue], list[Cue]], warnings: list[str]
    ) -> tuple[str, ...]:
        written: list[str] = []
        check_kept(self._options, output, source)  # again, for a language that was only heard
        both = list(zip((source, self._options.target), captions, strict=True))
        if self._engines.ast is not None and not captions[0]:
            both = both[1:]
            if self._options.srt or self._options.vtt:
                warnings.append(
                    f"{self._engines.ast.spec.name} does not tell what was said, only what it means in"
                    f" {self._options.target!r}: there are no subtitles of the source."
                )
        for language, entries in both:
            written += write_subtitles(self._options, output, language, entries)
        return tuple(written)


@dataclass(frozen=True, eq=False)
class VoiceUsed:
    """The voice a job speaks in."""

    name: str
    profile: VoiceProfile
    method: str


def heard_seconds(profile: VoiceProfile) -> float:
    """How much speech a voice is known from, as it is told everywhere."""
    return round(profile.seconds, 2)


def voice_line(voice: VoiceUsed, lines: list[UtteranceLine]) -> VoiceLine:
    """The report's line about the voice: medians over the utterances."""

    def median(name: str) -> float | None:
        return median_of([line.likeness[name] for line in lines if line.likeness])

    return VoiceLine(
        name=voice.name,
        method=voice.method,
        seconds=heard_seconds(voice.profile),
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


def _heard_in(lines: Sequence[UtteranceLine]) -> str:
    """The language that most utterances were heard in, where the engine told; else "und"."""
    told = Counter(line.route[0] for line in lines if line.route)
    return told.most_common(1)[0][0] if told else "und"
