"""Gets to know a voice: from the owner's recordings to a profile on the shelf.

Listens, measures, forgets the sound again unless asked to keep it. Knows nothing of how facts are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from ml.audio.read import probe
from ml.audio.vad import SileroNetwork
from ml.audio.write import AudioWriter
from ml.engines.protocols import SpeakerEncoder, Tts
from ml.engines.registry import Registry
from ml.errors import BadAudio
from ml.types import Audio
from ml.voice.profile import build_profile
from node.dubbing import Progress
from node.errors import BadRequest
from node.files import find_inputs
from node.listening import speech_of
from node.voices import VoiceShelf

ENOUGH_SECONDS = 120.0
"""Speech beyond this is not listened to: a profile does not get better from it."""


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

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table: what and its value, in words."""
        yield "speech heard", f"{self.seconds:.1f} s"
        yield "trusted", "yes" if self.trusted else "not yet: give 10 s of speech or more"
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


def voice_facts(name: str, voices: VoiceShelf) -> VoiceFacts:
    """The facts of a profile on the shelf. Raises NotFound."""
    profile = voices.get(name)
    kept = voices.recordings(name)
    return VoiceFacts(
        name=name,
        seconds=round(profile.seconds, 2),
        trusted=profile.trusted,
        f0_median=profile.f0_median,
        f0_spread=profile.f0_spread,
        rate=profile.rate,
        base_voice=profile.variant,
        ceiling=profile.ceiling,
        file=str(voices.path(name)),
        bytes=voices.path(name).stat().st_size,
        recordings_kept=len(list(kept.glob("*.flac"))) if kept.is_dir() else 0,
    )


class Enrolment:
    """Makes voice profiles."""

    def __init__(self, registry: Registry, voices: VoiceShelf) -> None:
        """Engines are started when the first voice is added."""
        self._registry, self._voices = registry, voices

    def add(
        self,
        name: str,
        recordings: Sequence[Path],
        language: str,
        progress: Progress,
        *,
        replace: bool,
        keep_recordings: bool,
    ) -> VoiceFacts:
        """Make a profile and keep it. Raises BadRequest, BadAudio or Unavailable; nothing has changed then."""
        if self._voices.has(name) and not replace:
            raise BadRequest(f"There is already a voice called {name!r}.", "Use another name, or --replace.")
        network = SileroNetwork.load()
        speech: list[Audio] = []
        for path in find_inputs(recordings):
            length = probe(path).seconds
            left = ENOUGH_SECONDS - sum(audio.seconds for audio in speech)
            if left <= 0:
                break
            speech += speech_of(path, network, left, _telling(progress, path.name, length))
        if not speech:
            raise BadAudio("There is no speech in these recordings.", "Check their level, or give others.")
        encoder = cast(SpeakerEncoder, self._registry.load("speaker"))
        profile = build_profile(speech, encoder, cast(Tts, self._registry.load("tts")), language)
        self._voices.put(name, profile)
        if keep_recordings:
            folder = self._voices.recordings(name)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for number, audio in enumerate(speech):
                with AudioWriter(folder / f"{number:04d}.flac") as writer:
                    writer.write(audio.samples)
        return voice_facts(name, self._voices)


def _telling(progress: Progress, name: str, length: float | None) -> Callable[[float], None]:
    return lambda done: progress(name, done, length)
