"""Gets to know a voice: from the owner's speech to a profile on the shelf, and to frames that the node learns from.

Listens, measures, forgets the sound again unless asked to keep it. Knows nothing of how facts are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, cast

from ml.audio.atomic import telling
from ml.audio.logmel import LogMel, log_mel
from ml.audio.read import probe
from ml.audio.vad import SileroNetwork
from ml.audio.write import AudioWriter
from ml.engines.protocols import SpeakerEncoder, Tts
from ml.engines.registry import Registry
from ml.errors import BadAudio
from ml.types import Audio, Samples
from ml.voice.profile import build_profile
from node.dubbing import Progress, heard_seconds
from node.errors import BadRequest, HomeUnusable, NotFound
from node.files import find_inputs
from node.frames import LIMIT_SECONDS, FrameShelf
from node.listening import Heard, speech_in, utterances
from node.report import counted
from node.voices import VoiceShelf, sound_digest

ENOUGH_SECONDS = 120.0
"""Speech beyond this does not make a profile better."""
MIXED_BELOW = 0.84
"""Likeness of a voice to itself below which the recordings seem to be of several people.

Mean cosine between a piece of 4 s and the other pieces (Resemblyzer), measured on 15 s or more of speech: 34 people, 68
profiles of 15 to 67 s, all between 0.870 and 0.949; pairs and threes of them, 76 profiles, 73 of them between 0.69 and
0.84, the other three (two pairs) up to 0.891. The spread of F0 tells less: people alone reach 0.32, and half of the
mixtures have less than 0.27.
"""
MIXED_SECONDS = 15.0
"""Speech below which that is not judged: the measure was not taken there."""


@dataclass(frozen=True)
class VoiceFacts:
    """What a person may want to know of a profile. F0 in Hz, `rate` in syllables per second."""

    name: str
    seconds: float
    trusted: bool
    f0_median: float | None
    f0_spread: float | None
    rate: float | None
    base_voice: str | None
    ceiling: float | None
    file: str
    bytes: int
    recordings_kept: int
    training_seconds: float
    training_utterances: int
    training_damaged: int
    mixed: bool = False
    """The recordings seem to hold more than one voice."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table: what and its value, in words."""
        yield "speech heard", f"{self.seconds:.1f} s"
        yield "trusted", "yes" if self.trusted else self._distrusted()
        yield "F0 (median)", f"{self.f0_median:.0f} Hz" if self.f0_median else "unknown"
        yield "F0 (spread)", f"{self.f0_spread:.2f} (standard deviation of ln F0)" if self.f0_spread else "unknown"
        yield "rate", f"{self.rate:.1f} syllables a second" if self.rate else "unknown"
        yield "base voice", self.base_voice or "the language's own"
        yield (
            "likeness to self",
            f"{self.ceiling:.2f} (cosine; a dub cannot be expected to pass it)" if self.ceiling else "-",
        )
        yield "file", f"{self.file} ({self.bytes / 1000:.0f} kB; statistics, no sound)"
        yield "recordings kept", str(self.recordings_kept)
        yield "speech to learn from", self.training()

    def training(self) -> str:
        """What the node can learn from, in words."""
        if not self.training_utterances:
            return "none"
        text = f"{self.training_seconds:.1f} s in {counted(self.training_utterances, 'utterance')}"
        if self.training_damaged:
            were = "was" if self.training_damaged == 1 else "were"
            text += f" ({counted(self.training_damaged, 'damaged file')} {were} set aside)"
        return text

    def _distrusted(self) -> str:
        return f"not yet: make it anew from 10 s or more: node voice add {self.name} RECORDING... --replace"


@dataclass(frozen=True)
class EnrolOptions:
    """How a voice is added. `language` is what its synthetic base voice is chosen for."""

    language: str = "es"
    replace: bool = False
    """Make the voice anew: its profile and its speech."""
    more: bool = False
    """The voice is here already: keep its profile, and add to the speech that it is learned from."""
    keep_recordings: bool = False
    training: bool = True
    """Keep the speech as log-mel frames, which can be turned back into sound, for this node to learn from."""


def voice_facts(name: str, voices: VoiceShelf, frames: FrameShelf) -> VoiceFacts:
    """The facts of a voice on the shelf. Raises NotFound."""
    profile = voices.get(name)
    return VoiceFacts(
        name=name,
        seconds=heard_seconds(profile),
        trusted=profile.trusted,
        f0_median=profile.f0_median,
        f0_spread=profile.f0_spread,
        rate=profile.rate,
        base_voice=profile.variant,
        ceiling=profile.ceiling,
        file=str(voices.path(name)),
        bytes=voices.path(name).stat().st_size,
        recordings_kept=len(voices.kept(name)),
        training_seconds=round(frames.seconds(name), 2),
        training_utterances=frames.count(name),
        training_damaged=frames.damaged(name),
        mixed=seems_mixed(profile.seconds, profile.ceiling),
    )


def seems_mixed(seconds: float, ceiling: float | None) -> bool:
    """Whether so many seconds of speech, as like to themselves as `ceiling` says, seem to be of several people."""
    return ceiling is not None and seconds >= MIXED_SECONDS and ceiling < MIXED_BELOW


def forget_voice(name: str, voices: VoiceShelf, frames: FrameShelf) -> None:
    """Forget a voice: its frames, its kept recordings and its profile. Raises NotFound when there is none of them, and
    HomeUnusable where one of them cannot be deleted; then the same can be tried again."""
    had_frames = frames.path(name).is_dir()
    frames.remove(name)
    if voices.has(name) or voices.recordings(name).is_dir() or not had_frames:
        voices.remove(name)


class Enrolment:
    """Adds voices, and speech to voices."""

    def __init__(self, registry: Registry, voices: VoiceShelf, frames: FrameShelf) -> None:
        """Engines are started when a profile is made."""
        self._registry, self._voices, self._frames = registry, voices, frames

    def add(self, name: str, recordings: Sequence[Path], options: EnrolOptions, progress: Progress) -> VoiceFacts:
        """Learn a voice from recordings. Raises BadRequest, NotFound, BadAudio, CannotWrite, HomeUnusable or
        Unavailable; nothing has changed then, and the same can be tried again. Only where kept recordings of a voice
        that is replaced cannot be deleted, which is HomeUnusable too, the voice is new already."""
        self._check(name, options)
        network = SileroNetwork.load()
        return self._keep(name, self._speech(find_inputs(recordings), network, progress), options)

    def listen(
        self, name: str, sound: Iterable[Samples], seconds: float, options: EnrolOptions, progress: Progress
    ) -> VoiceFacts:
        """The same from a microphone: `sound` is 16 kHz samples, `seconds` how long it will last."""
        self._check(name, options)
        network = SileroNetwork.load()
        counted = Heard()

        def passing() -> Iterator[Samples]:
            for block in counted.through(sound):
                progress("listening", counted.seconds, seconds)
                yield block

        return self._keep(name, utterances(passing(), network), options)

    def _check(self, name: str, options: EnrolOptions) -> None:
        here = self._voices.has(name)
        if options.more and options.replace:
            raise BadRequest("A voice is either replaced or given more speech.", "Leave out --more or --replace.")
        if options.more and not options.training:
            raise BadRequest(
                "More speech is only for learning.", "Leave out --no-training, or use --replace to make the voice anew."
            )
        if here and not (options.replace or options.more):
            raise BadRequest(
                f"There is already a voice called {name!r}.",
                "--more gives it more speech to learn from, --replace makes it anew; or use another name.",
            )
        if options.more and not here:
            raise NotFound(f"There is no voice called {name!r} here.", "Leave out --more to make it.")
        _refuse_unwritable(self._voices.path(name).parent)

    def _speech(self, paths: Sequence[Path], network: SileroNetwork, progress: Progress) -> Iterator[Audio]:
        for path in paths:
            length = probe(path).seconds

            def telling(done: float, name: str = path.name, length: float | None = length) -> None:
                progress(name, done, length)

            yield from speech_in(path, network, telling)

    def _keep(self, name: str, speech: Iterable[Audio], options: EnrolOptions) -> VoiceFacts:
        for_profile, for_training = _gather(speech, options)
        if not for_profile:
            raise BadAudio("There is no speech in what was heard.", "Check its level, or give other recordings.")
        profile = None
        if not options.more:
            encoder = cast(SpeakerEncoder, self._registry.load("speaker"))
            profile = build_profile(for_profile, encoder, cast(Tts, self._registry.load("tts")), options.language)
        kept = for_profile if options.keep_recordings else ()
        there = self._voices.kept(name)
        former, beside = (there, ()) if options.replace else ((), there)
        with self._frames.adding(name, for_training, instead=options.replace), self._recording(name, kept, beside):
            if profile is not None:  # the last and the smallest: with it there is a voice, and all that belongs to it
                self._voices.put(name, profile)
        _delete(name, former)
        return voice_facts(name, self._voices, self._frames)

    @contextmanager
    def _recording(self, name: str, speech: Sequence[Audio], beside: Sequence[Path] = ()) -> Iterator[None]:
        """Keep the sound beside what is kept already, but for sound that is in one of the files `beside` or came
        before; it goes again when it cannot be kept whole, or when the block raises."""
        folder = self._voices.recordings(name)
        new = not folder.is_dir()
        written: list[Path] = []
        known = {sound_digest(file) for file in beside} - {None}
        try:
            for audio in speech:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                written.append(self._free(name))
                with AudioWriter(written[-1]) as writer:
                    writer.write(audio.samples)
                if (digest := sound_digest(written[-1])) in known:
                    written.pop().unlink()
                elif digest is not None:
                    known.add(digest)
            yield
        except BaseException:
            with suppress(OSError):
                for file in written:
                    file.unlink(missing_ok=True)
                if new:
                    folder.rmdir()
            raise

    def _free(self, name: str) -> Path:
        """An empty file for the next recording, after the last of those that are kept: nobody else has it."""
        numbers = (int(file.stem) for file in self._voices.kept(name) if file.stem.isdecimal())
        number = max(numbers, default=-1) + 1
        while True:
            file = self._voices.recordings(name) / f"{number:04d}.flac"
            with telling(file):
                try:
                    file.touch(0o600, exist_ok=False)
                except FileExistsError:  # another command keeps recordings of this voice now
                    number += 1
                else:
                    return file


def _delete(name: str, recordings: Sequence[Path]) -> None:
    """Delete recordings of the former voice. Raises HomeUnusable."""
    try:
        for file in recordings:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise HomeUnusable(
            f"The voice {name!r} is new, but recordings of the former one stay: {error.strerror}.",
            f"Check the rights of {recordings[0].parent}, and delete them.",
        ) from error


def _refuse_unwritable(folder: Path) -> None:
    """Raise HomeUnusable, before any work is done, when nothing can be kept in `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise HomeUnusable(
            f"A voice cannot be kept in {folder}: {error.strerror}.", "Make it yours to write to, or use --home FOLDER."
        ) from error


def _gather(speech: Iterable[Audio], options: EnrolOptions) -> tuple[list[Audio], list[LogMel]]:
    """The first two minutes as sound, for the profile, and all of it up to the shelf's limit as frames."""
    sound: list[Audio] = []
    frames: list[LogMel] = []
    heard = 0.0
    wanted = LIMIT_SECONDS if options.training else ENOUGH_SECONDS
    for audio in speech:
        if heard < ENOUGH_SECONDS:
            sound.append(audio)
        if options.training:
            frames.append(log_mel(audio.samples))
        heard += audio.seconds
        if heard >= wanted:
            break
    return sound, frames
