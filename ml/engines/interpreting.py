"""What engines have in common that turn speech straight into text of another language: the `Ast` around an interpreter.

Long speech is cut where it is quietest, since a sentence of another language cannot be joined from two halves by what
they share. Silence gives no text. Codes of languages are those of `ml/languages.py`. Knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ml.engines.protocols import Capabilities, EngineSpec
from ml.engines.sphinx_level import FLOOR
from ml.engines.window import UNSPACED
from ml.errors import BadAudio, EngineFailed, UnsupportedLanguage
from ml.languages import find
from ml.types import SAMPLE_RATE, Audio, Samples, Translation

UNDETERMINED = "und"
"""BCP 47 for a language that nobody told and the engine need not know."""
SHORTEST = 0.1
"""Seconds."""
SEEK = 1 / 3
"""Share of a window, at its end, in which a quiet place to cut is looked for."""
QUIET, STEP = 0.2, 0.02
"""Seconds of sound that are compared for their level, and how far apart."""


@dataclass(frozen=True)
class Said:
    """A text in the target language; `confidence` is the geometric mean of its tokens' probabilities; `source` the
    language that was heard, empty where the interpreter does not tell; `heard` its words, where it tells."""

    text: str
    confidence: float
    source: str = ""
    heard: str = ""


class Interpreter(Protocol):
    """A network that translates single windows of speech. Called by several threads; locks inside."""

    window: float
    """Seconds that it hears at once at most."""
    pairs: tuple[tuple[str, str], ...]
    """(source, target) in BCP 47."""
    detects: bool
    """Whether it can do without being told the source."""
    version: str

    def interpret(self, samples: Samples, source: str | None, target: str, before: str) -> Said:
        """Translate 16 kHz samples `[N]`; `before` is the translation of what was said just before them. Raises
        EngineFailed."""
        ...

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        ...


class SpeechTranslator:
    """An `Ast` around an interpreter. As thread-safe as the interpreter."""

    def __init__(self, spec: EngineSpec, interpreter: Interpreter) -> None:
        """`interpreter` is closed with the translator."""
        self.spec = spec
        self._interpreter: Interpreter | None = interpreter
        self._pairs = frozenset(interpreter.pairs)
        self._able = Capabilities(
            version=interpreter.version,
            languages=tuple(sorted({code for pair in interpreter.pairs for code in pair})),
            formats=(f"float32 mono {SAMPLE_RATE} Hz",),
            pairs=interpreter.pairs,
            detects=interpreter.detects,
        )

    def capabilities(self) -> Capabilities:
        """The interpreter's pairs; any length."""
        return self._able

    def translate_speech(self, audio: Audio, source: str | None, target: str) -> Translation:
        """Translate 16 kHz speech of any length. Raises UnsupportedLanguage, BadAudio, EngineFailed."""
        interpreter = self._interpreter
        if interpreter is None:
            raise EngineFailed(f"{self.spec.name} is closed.", "Open a new session.")
        heard_as, said_in = self._languages(source, target)
        samples = _checked(audio)
        found: list[Said] = []
        for first, last in cuts(samples, interpreter.window):
            piece = samples[first:last]
            if float(np.abs(piece).max()) < FLOOR:
                continue
            said = interpreter.interpret(piece, heard_as, said_in, found[-1].text if found else "")
            if said.text:
                found.append(said)
                heard_as = heard_as or said.source or None  # told by the first words, and kept
        between = "" if said_in in UNSPACED else " "
        weight = sum(len(said.text) for said in found)
        spoken = heard_as or UNDETERMINED
        return Translation(
            text=between.join(said.text for said in found),
            source_text=("" if spoken in UNSPACED else " ").join(said.heard for said in found if said.heard),
            source=spoken,
            target=said_in,
            engine=self.spec.name,
            route=(spoken, said_in),
            confidence=sum(said.confidence * len(said.text) for said in found) / weight if weight else 0.0,
        )

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        interpreter, self._interpreter = self._interpreter, None
        if interpreter is not None:
            interpreter.close()

    def _languages(self, source: str | None, target: str) -> tuple[str | None, str]:
        said_in = find(target).tag
        if source is None:
            if not self._able.detects:
                sources = ", ".join(sorted({pair[0] for pair in self._pairs}))
                raise UnsupportedLanguage(
                    f"{self.spec.name} does not tell languages apart.", f"Say which it is, one of: {sources}."
                )
            if not any(pair[1] == said_in for pair in self._pairs):
                raise self._unsupported(source, target)
            return None, said_in
        heard_as = find(source).tag
        if (heard_as, said_in) not in self._pairs:
            raise self._unsupported(source, target)
        return heard_as, said_in

    def _unsupported(self, source: str | None, target: str) -> UnsupportedLanguage:
        targets = sorted({pair[1] for pair in self._pairs if source is None or pair[0] == find(source).tag})
        into = f"From it, it goes to: {', '.join(targets)}." if targets else "It does not hear that language."
        what = f"speech in {source!r}" if source else "speech"
        return UnsupportedLanguage(f"{self.spec.name} does not translate {what} to {target!r}.", into)


def cuts(samples: Samples, window: float) -> Iterator[tuple[int, int]]:
    """Where speech is cut into pieces of `window` seconds or less, as sample numbers; each cut is the quietest place of
    the last third of its window."""
    longest, wide, step = (round(seconds * SAMPLE_RATE) for seconds in (window, QUIET, STEP))
    first = 0
    while len(samples) - first > longest:
        start = first + longest - round(longest * SEEK)
        power = np.concatenate([[0.0], np.cumsum(samples[start : first + longest].astype(np.float64) ** 2)])
        levels = power[wide::step] - power[:-wide:step]
        last = start + int(np.argmin(levels)) * step + wide // 2
        yield first, last
        first = last
    yield first, len(samples)


def _checked(audio: Audio) -> Samples:
    if audio.rate != SAMPLE_RATE:
        raise BadAudio(f"Speech is translated at {SAMPLE_RATE} Hz, not {audio.rate}.", "Resample the recording.")
    if audio.seconds < SHORTEST:
        raise BadAudio(f"{audio.seconds:.2f} s are too short to hold a word.", f"Give {SHORTEST:g} s or more.")
    if not np.isfinite(audio.samples).all():
        raise BadAudio("The recording holds numbers that are no sound.", "Record it again.")
    return audio.samples
