"""Text to speech with espeak-ng, which runs in a child process.

espeak-ng is a formant synthesiser: robotic, but clear, quick (RTF below 0.01 through the pipe) and at home in about
130 languages and dialects. The library and its data come with the `espeakng-loader` package, or from Debian's
`libespeak-ng1`. Sounds and words come back with their times. What it cannot do is sound like a person: bringing the
voice nearer to a speaker is the work of `ml.voice`.

This module knows nothing of playing, mixing or fitting speech. Latency figures in `capabilities` are the shortest of
300 calls through the pipe on a 2-core machine; with seven busy processes beside it the medians were 12 and 20 ms.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgpack
import numpy as np
import soxr

from ml.engines import espeak_languages, espeak_text, espeak_voices
from ml.engines.espeak_pitch import CALIBRATION, PitchScale, median_f0
from ml.engines.protocols import Capabilities, Engine, EngineHome, EngineSpec, Need
from ml.engines.worker_pipe import Refused, WorkerPipe
from ml.errors import BadText, EngineFailed, Unavailable
from ml.types import SAMPLE_RATE, Audio, Delivery, Samples, Speech

NORMAL_WPM = 165
"""espeak-ng's words per minute at `Delivery.speed` 1.0; its own default of 175 is a little hurried."""
SLOWEST_WPM, FASTEST_WPM = 80, 320

_LOW_VOICE_UNTIL = 155.0
"""Hz. Below, the language's own (low) voice is used; above, the variant _HIGH_VOICE. They reach 65-172 and 125-325."""
_HIGH_VOICE = "f2"
_CALIBRATION_TEXT = "1 2 3 4 5 6 7 8 9"  # spoken once per voice in its own language to see what its pitch does
_CLOSE_ENOUGH = 0.01
_REMEDY = "pip install espeakng-loader, or: apt install libespeak-ng1"


@dataclass(frozen=True)
class LibraryFiles:
    """The shared library, and the folder that holds `espeak-ng-data` (None: the library knows its own)."""

    library: Path
    data: Path | None
    origin: str


def find_library() -> LibraryFiles | None:
    """The library of the `espeakng-loader` package, else the system's, else None. Loads neither."""
    spec = find_spec("espeakng_loader")
    for folder in map(Path, (spec.submodule_search_locations or ()) if spec else ()):
        library = folder / ("libespeak-ng.dylib" if sys.platform == "darwin" else "libespeak-ng.so")
        if library.is_file() and (folder / "espeak-ng-data").is_dir():
            return LibraryFiles(library, folder, "espeakng-loader")
    for folder in map(Path, ("/usr/lib", "/usr/local/lib", "/usr/lib64", "/opt/homebrew/lib")):
        for pattern in ("libespeak-ng.so.1", "*/libespeak-ng.so.1", "libespeak-ng.1.dylib"):
            for library in sorted(folder.glob(pattern)):
                data = (at for at in (library.parent, Path("/usr/share")) if (at / espeak_voices.FOLDER).is_dir())
                return LibraryFiles(library, next(data, None), "system")
    return None


class EspeakTts:
    """The `Tts` engine. Safe to call from several threads; calls take turns in the one child process."""

    def __init__(self, spec: EngineSpec, files: LibraryFiles, pipe: WorkerPipe) -> None:
        """`pipe` leads to `ml.engines.espeak_worker`. Raises Unavailable when the library does not load."""
        self.spec = spec
        self._pipe = pipe
        self._owned = ExitStack()
        self._lock = threading.Lock()
        self._scales: dict[str, PitchScale | None] = {}
        try:
            facts = pipe.ask({"ask": "describe"})
        except Refused as refused:
            raise Unavailable(f"espeak-ng does not start: {refused.sentence}.", _REMEDY) from refused
        self._version = f"{facts['version']} ({files.origin})"
        self._rate: int = facts["rate"]
        self._voices = espeak_languages.index(facts["voices"])
        self._variants: frozenset[str] = frozenset(facts["variants"])

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._pipe.pid

    @property
    def voices(self) -> Mapping[str, str]:
        """Language tag -> the library's name of the voice that speaks it."""
        return self._voices

    @property
    def variants(self) -> tuple[str, ...]:
        """The names that `Delivery.voice` may have."""
        return tuple(sorted(self._variants))

    def capabilities(self) -> Capabilities:
        """Languages are espeak-ng's own tags, lower case."""
        return Capabilities(
            version=self._version,
            languages=tuple(sorted(self._voices)),
            formats=(f"float32 mono {SAMPLE_RATE} Hz",),
            longest=espeak_text.LONGEST,
            latency={"two_second_sentence": 0.005, "two_second_sentence_at_f0": 0.011, "start": 0.12},
        )

    def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
        """Speak plain text at 16 kHz, at most `espeak_text.LONGEST` characters.

        A wanted F0 is met by measuring the utterance and speaking it again; a value outside what the voice reaches is
        met as nearly as it can, and a voice without pitch ("whisper") keeps none. Raises UnsupportedLanguage; BadText
        for an empty text, one without letters or digits, letters that the voice cannot read, too long a text, an
        unknown voice or an impossible delivery; EngineFailed.
        """
        cleaned = espeak_text.clean(text)
        voice = self._voice(language, delivery)
        rate = _words_per_minute(delivery)
        if delivery.f0_hz is None:
            answer = self._ask(cleaned, voice, rate, 50, 50)
        else:
            answer = self._ask_at_f0(cleaned, voice, rate, delivery.f0_hz, delivery)
        return self._speech(text, language, answer)

    def owns(self, resources: ExitStack) -> None:
        """Take over what is to be freed on `close`, after the child process has ended."""
        self._owned = resources

    def close(self) -> None:
        """End the child process; a second call does nothing."""
        self._pipe.close()
        self._owned.close()

    def _voice(self, language: str, delivery: Delivery) -> str:
        identifier = espeak_languages.find(language, self._voices)
        if delivery.voice is not None:
            if delivery.voice not in self._variants:
                few = ", ".join(name for name in ("f2", "f4", "m3", "klatt4", "Annie") if name in self._variants)
                raise BadText(f"espeak-ng has no voice called {delivery.voice[:40]!r}.", f"Some that it has: {few}.")
            return f"{identifier}+{delivery.voice}"
        if delivery.f0_hz is not None and delivery.f0_hz > _LOW_VOICE_UNTIL and _HIGH_VOICE in self._variants:
            return f"{identifier}+{_HIGH_VOICE}"
        return identifier

    def _ask(self, text: str, voice: str, rate: int, pitch: int, spread: int) -> dict[str, Any]:
        question = {"ask": "speak", "text": text, "voice": voice, "rate": rate, "pitch": pitch, "spread": spread}
        try:
            return self._pipe.ask(question)
        except Refused as refused:
            if refused.code == "long":
                raise BadText(f"{refused.sentence.capitalize()}.", "Give it sentence by sentence.") from refused
            raise EngineFailed(f"espeak-ng: {refused.sentence}.", "Run `node doctor`.") from refused

    def _ask_at_f0(self, text: str, voice: str, rate: int, f0_hz: float, delivery: Delivery) -> dict[str, Any]:
        """Speak so that the median F0 is `f0_hz`: once by the voice's scale, then, unless a rough F0 will do, corrected
        by what was measured.
        """
        scale = self._scale(voice)
        if scale is None:
            return self._ask(text, voice, rate, 50, 50)
        spread = 50 if delivery.f0_spread is None else scale.range_for(delivery.f0_spread, f0_hz)
        pitch = scale.pitch_for(f0_hz)
        answer = self._ask(text, voice, rate, pitch, spread)
        if delivery.rough:
            return answer
        measured = median_f0(_samples(answer), self._rate)
        if measured is None or abs(measured / f0_hz - 1) <= _CLOSE_ENOUGH:
            return answer  # right, or too short to measure: then the voice's scale is the best that is known
        better = scale.pitch_for(f0_hz, (pitch, measured))
        return answer if better == pitch else self._ask(text, voice, rate, better, spread)

    def _scale(self, voice: str) -> PitchScale | None:
        """How this voice's F0 follows the parameter, measured on the first call; None for a voice without pitch."""
        with self._lock:
            if voice not in self._scales:
                spoken = [self._ask(_CALIBRATION_TEXT, voice, NORMAL_WPM, pitch, 50) for pitch in CALIBRATION]
                self._scales[voice] = PitchScale.measured(*(median_f0(_samples(each), self._rate) for each in spoken))
            return self._scales[voice]

    def _speech(self, text: str, language: str, answer: dict[str, Any]) -> Speech:
        sound = soxr.resample(_samples(answer), self._rate, SAMPLE_RATE, quality="HQ").astype(np.float32, copy=False)
        if not sound.any():
            raise BadText(
                f"espeak-ng's voice for {language!r} has no sound for {text[:40]!r}.", "Check the language of the text."
            )
        end = len(sound) / SAMPLE_RATE
        sounds = espeak_text.phonemes(((at / self._rate, symbol) for at, symbol in answer["phonemes"]), end)
        events = [(at / self._rate, position) for at, position, _ in answer["words"]]
        spoken = espeak_text.words(text, events, sounds, end)
        return Speech(Audio(np.clip(sound, -1.0, 1.0)), text, language, self.spec.name, spoken, sounds)


def _words_per_minute(delivery: Delivery) -> int:
    """The library's rate for a delivery. Raises BadText when the delivery's numbers are impossible."""
    numbers = {"speed": delivery.speed, "f0_hz": delivery.f0_hz, "f0_spread": delivery.f0_spread}
    for name, value in numbers.items():
        least_is_zero = name == "f0_spread"
        if value is not None and not (np.isfinite(value) and (value > 0 or (least_is_zero and value == 0))):
            raise BadText(f"A delivery cannot have {name} = {value}.", "Give a positive, finite number.")
    return round(min(max(NORMAL_WPM * delivery.speed, SLOWEST_WPM), FASTEST_WPM))


def _samples(answer: dict[str, Any]) -> Samples:
    """The answer's 16-bit sound as float32 `[N]`."""
    return np.frombuffer(answer["pcm"], np.int16).astype(np.float32) / 32768.0


def worker_command(files: LibraryFiles) -> tuple[list[str], dict[str, str]]:
    """The command line and environment of the child process."""
    # -S leaves site-packages' start-up files out, -P the current folder; PYTHONPATH names the two places it needs.
    argv = [sys.executable, "-S", "-P", "-m", "ml.engines.espeak_worker", str(files.library)]
    roots = [str(Path(__file__).parents[2]), str(Path(msgpack.__file__).parents[1])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(roots)}
    return [*argv, *([str(files.data)] if files.data else [])], env


def start(home: EngineHome) -> Engine:
    """Start espeak-ng. Raises Unavailable when its library is not installed or does not load."""
    files = find_library()
    if files is None:
        raise Unavailable("espeak-ng is not installed.", _REMEDY)
    with ExitStack() as stack:
        if files.data is not None:
            folder = stack.enter_context(TemporaryDirectory(prefix="babelmesh-espeak-"))
            files = replace(files, data=espeak_voices.lay_out(files.data, Path(folder)))
        argv, env = worker_command(files)
        pipe = stack.enter_context(closing(WorkerPipe("espeak-ng", argv, env)))
        engine = EspeakTts(SPEC, files, pipe)
        engine.owns(stack.pop_all())
        return engine


SPEC = EngineSpec(
    name="espeak-ng",
    task="tts",
    summary="Formant synthesis in about 130 languages and dialects: robotic but clear, with the time of every sound",
    languages=(),
    licence="GPL-3.0-or-later (runs as a child process)",
    factory=start,
    needs=(Need("espeak-ng", "python", lambda home: find_library() is not None, _REMEDY),),
    isolation="process",
)
