"""Says a recording again in the voice of somebody who was enrolled here: the same words, another voice.

Speech is cut out of the recording at its pauses and converted piece by piece, so memory does not grow; what lies
between the pieces becomes silence of the same length. The voice is heard in the recordings that its profile keeps, or
in others, which must be like that profile. Knows no engine by name, and nothing of how facts are shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from ml.audio.endpoint import Endpointer, EndpointOptions
from ml.audio.read import blocks, probe
from ml.audio.vad import SileroActivity, SileroNetwork
from ml.engines.choice import Wish
from ml.engines.protocols import SpeakerEncoder, VoiceConverter
from ml.engines.registry import Registry
from ml.errors import BadAudio, EngineFailed, ModelDamaged, OutOfMemory, Unavailable
from ml.speech.items import InputEnded, SpeechClosed
from ml.speech.segment import Segmenter
from ml.types import SAMPLE_RATE, Audio, Samples
from ml.voice.profile import VoiceProfile
from node.dubbing import Progress
from node.errors import BadRequest
from node.files import same_file
from node.listening import speech_of
from node.marking import MarkedWriter, converted
from node.voices import VoiceShelf

REFERENCE_SECONDS = 15.0
"""Speech of the voice that is listened to; engines hear it again for every piece."""
LEAST_REFERENCE = 2.0
"""Seconds of speech below which a voice is not known by ear."""
LONGEST_PIECE = 12.0
"""Seconds of speech that are converted at a time."""
SHORTEST_PIECE = 1.0
"""Seconds; a shorter piece has silence put around it, for engines that hear nothing shorter."""
QUIET = 0.01
"""Of a piece's loudest sample: what is below, at its ends, may be the silence that was put around it (-40 dB)."""
JUDGED_SECONDS = 30.0
"""Speech that likeness is measured on."""
SAME_VOICE, SLACK = 0.85, 0.05
"""Cosine to the profile, or how far below the profile's own likeness to itself if that is less, above which recordings
are taken to be of the voice that was enrolled.

Measured with the encoder that comes with the project, 30 s of speech to a profile, 15 s of other words by 34 people in
the same sitting: all 34 are known as themselves (the least cosine 0.930), and 29 of 1122 pairs of two people are taken
for one, all of them among 24 who spoke single words into telephones and laptops; among ten readers none of 90. By the
second figure encoders whose cosines are lower throughout have a measure too; it was not measured with them.
"""


@dataclass(frozen=True)
class ConvertOptions:
    """Whose voice, by which engine (None: the best that is installed), heard in what (none: what the profile keeps)."""

    voice: str
    engine: str | None = None
    like: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Reference:
    """What the voice is heard in, and where it came from, in words."""

    audio: Audio
    source: str


@dataclass(frozen=True)
class Conversion:
    """What came out. Similarities are cosines to the voice's profile, None where nothing could measure them; `ceiling`
    is the real speaker's to themselves. `silent` are the seconds (from, to) of speech that the engine failed at."""

    input: str
    output: str
    voice: str
    engine: str
    version: str
    licence: str
    reason: str
    reference: str
    reference_seconds: float
    seconds_before: float
    seconds: float
    pieces: int
    silent: tuple[tuple[float, float], ...]
    similarity_before: float | None
    similarity_after: float | None
    ceiling: float | None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass
class _Heard:
    """What was said and made so far, as much as is listened to for likeness."""

    before: list[Samples]
    after: list[Samples]
    pieces: int = 0
    seconds: float = 0.0

    def keep(self, said: Samples, made: Samples) -> None:
        if sum(map(len, self.before)) < JUDGED_SECONDS * SAMPLE_RATE:
            self.before.append(said)
            self.after.append(made)


def convert(
    source: Path, target: Path, options: ConvertOptions, registry: Registry, voices: VoiceShelf, progress: Progress
) -> Conversion:
    """Convert a recording of any length. The result appears when all of it is done, or not at all.

    A piece that the engine fails at is silent, and told. Raises NotFound for an unknown voice, Unavailable with the
    way to get an engine, BadRequest, BadAudio, EngineFailed when no piece could be converted, CannotWrite.
    """
    for given in (source, *options.like):
        if same_file(target, given):
            raise BadRequest(f"The result would overwrite the recording {given}.", "Give the result another name.")
    profile = voices.get(options.voice)
    length = probe(source).seconds
    pick = registry.pick(Wish("conversion"), options.engine)
    converter = cast(VoiceConverter, pick.engine)
    encoder, trouble = _encoder(registry, profile)
    warnings = [*pick.troubles, *([trouble] if trouble else [])]
    network = SileroNetwork.load()
    reference = _reference(options, voices, network)
    if options.like:
        _same_voice(options.voice, reference, profile, encoder, trouble)
    heard, silent, failure = _Heard([], []), [], None
    with registry.lend(converter), MarkedWriter(target, converted(source)) as writer:
        at = 0.0
        for event in _speech(source, network):
            if isinstance(event, InputEnded):
                _rest(writer, event.seconds - at)
                heard.seconds = event.seconds
                continue
            _rest(writer, event.start - at)
            heard.pieces += 1
            try:
                made = _converted(event.audio, converter, reference.audio)
            except OutOfMemory:
                raise
            except (BadAudio, EngineFailed) as error:
                failure = error
                silent.append((round(event.start, 2), round(event.end, 2)))
                made = np.zeros(len(event.audio.samples), np.float32)
            else:
                heard.keep(event.audio.samples, made)
            writer.write(made)
            at = event.end
            progress("converting", at, length)
        if not heard.pieces:
            raise BadAudio(f"There is no speech in {source}.", "Check its level, or give another recording.")
        if failure is not None and len(silent) == heard.pieces:
            raise failure
    if failure is not None:
        said = f"{len(silent)} of {heard.pieces} pieces of speech could not be converted and are silent"
        warnings.append(f"{said}: {failure.whole}")
    return Conversion(
        input=str(source),
        output=str(target),
        voice=options.voice,
        engine=converter.spec.name,
        version=converter.capabilities().version,
        licence=converter.spec.licence,
        reason=pick.why,
        reference=reference.source,
        reference_seconds=round(reference.audio.seconds, 2),
        seconds_before=round(heard.seconds, 3),
        seconds=round(writer.seconds, 3),
        pieces=heard.pieces,
        silent=tuple(silent),
        similarity_before=_likeness(heard.before, profile, encoder),
        similarity_after=_likeness(heard.after, profile, encoder),
        ceiling=profile.ceiling,
        warnings=tuple(warnings),
    )


def _speech(path: Path, network: SileroNetwork) -> Iterator[SpeechClosed | InputEnded]:
    """The speech of a recording in pieces of at most `LONGEST_PIECE`, cut at pauses or where it is quietest."""
    segmenter = Segmenter(SileroActivity(network), Endpointer(EndpointOptions(max_utterance=LONGEST_PIECE)))
    with blocks(path) as sound:
        for block in sound:
            yield from (event for event in segmenter.process(block) if isinstance(event, SpeechClosed))
    yield from (event for event in segmenter.flush() if isinstance(event, SpeechClosed | InputEnded))


def _rest(writer: MarkedWriter, seconds: float) -> None:
    """Silence, in blocks of a second at most."""
    left = round(seconds * SAMPLE_RATE)
    while left > 0:
        writer.write(np.zeros(min(left, SAMPLE_RATE), np.float32))
        left -= SAMPLE_RATE


def _converted(piece: Audio, converter: VoiceConverter, reference: Audio) -> Samples:
    """A piece in another voice. A short one gets silence around it, which the result is rid of again.

    Of the result no more than the share of that silence is cut off, and nothing that sounds: an engine may shorten
    silence. Raises what the engine raises.
    """
    short = max(0, round(SHORTEST_PIECE * SAMPLE_RATE) - len(piece.samples))
    around = (short // 2, short - short // 2)
    padded = replace(piece, samples=np.pad(piece.samples, around))
    made = converter.convert(padded, reference).samples
    level = np.abs(made)
    loud = np.flatnonzero(level > QUIET * level.max(initial=0.0))
    if not short or not len(loud):
        return made
    before, after = (round(length * len(made) / len(padded.samples)) for length in around)
    return made[min(before, int(loud[0])) : max(len(made) - after, int(loud[-1]) + 1)]


def _reference(options: ConvertOptions, voices: VoiceShelf, network: SileroNetwork) -> Reference:
    """Raises BadRequest where the voice keeps no sound and none was given, BadAudio where there is too little."""
    paths: Sequence[Path] = options.like
    told = "the recordings given"
    if not paths:
        paths = sorted(voices.recordings(options.voice).glob("*.flac"))
        told = "the recordings kept with the voice"
    if not paths:
        raise BadRequest(
            f"The voice {options.voice} keeps no sound, and an engine that converts has to hear it.",
            f"Give a recording of that voice: --like RECORDING. Or keep some: node voice add {options.voice} "
            "RECORDING... --replace --keep-recordings",
        )
    found: list[Samples] = []
    for path in paths:
        have = sum(map(len, found)) / SAMPLE_RATE
        if have >= REFERENCE_SECONDS:
            break
        found += [one.samples for one in speech_of(path, network, REFERENCE_SECONDS - have, lambda seconds: None)]
    joined = np.concatenate(found) if found else np.zeros(0, np.float32)
    audio = Audio(joined[: round(REFERENCE_SECONDS * SAMPLE_RATE)])
    if audio.seconds < LEAST_REFERENCE:
        raise BadAudio(
            f"{audio.seconds:.1f} s of speech in {told} are too little to hear a voice in.",
            f"Give {LEAST_REFERENCE:g} s or more, best {REFERENCE_SECONDS:g}: --like RECORDING",
        )
    return Reference(audio, told)


def _encoder(registry: Registry, profile: VoiceProfile) -> tuple[SpeakerEncoder | None, str]:
    """The encoder that the profile was made with, or None and why there is none."""
    if profile.embedding is None or profile.encoder is None:
        return None, "Likeness is not measured: the voice was enrolled without a speaker encoder."
    try:
        return cast(SpeakerEncoder, registry.load("speaker", profile.encoder)), ""
    except (Unavailable, ModelDamaged, EngineFailed) as error:
        return None, f"Likeness is not measured: {error.whole}"


def _same_voice(
    name: str, reference: Reference, profile: VoiceProfile, encoder: SpeakerEncoder | None, trouble: str
) -> None:
    """Raise BadRequest unless the reference sounds like the voice that was enrolled."""
    like = _likeness([reference.audio.samples], profile, encoder)
    if like is None:
        raise BadRequest(
            f"Nothing can tell here whether the recordings given are of the voice {name}. {trouble}".strip(),
            f"Keep recordings with the voice instead: node voice add {name} RECORDING... --replace --keep-recordings",
        )
    least = SAME_VOICE if profile.ceiling is None else min(SAME_VOICE, profile.ceiling - SLACK)
    if like < least:
        raise BadRequest(
            f"The recordings given do not sound like the voice {name}: a cosine of {like:.2f}, not of {least:.2f}.",
            "Give recordings of that voice, or enrol the one you mean, with that person's leave: node voice add",
        )


def _likeness(speech: Sequence[Samples], profile: VoiceProfile, encoder: SpeakerEncoder | None) -> float | None:
    """Cosine to the profile; None where nothing can tell, or there is too little speech."""
    if encoder is None or profile.embedding is None or not speech:
        return None
    try:
        embedding = encoder.embed(Audio(np.concatenate(speech)[: round(JUDGED_SECONDS * SAMPLE_RATE)]))
    except BadAudio:
        return None
    return round(float(embedding @ profile.embedding), 4)
