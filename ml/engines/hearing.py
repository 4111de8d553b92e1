"""What recognisers that hear windows of sound have in common: the `Asr` around an ear, and utterances heard whole.

A recording longer than the ear's window is heard in windows that overlap, and what two of them share is said once.
Knows no model; how a live utterance is heard is in `agreement.py`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ml.engines.agreement import BEFORE, Hear, LiveSession
from ml.engines.protocols import AsrOptions, AsrSession, Capabilities, EngineSpec
from ml.engines.sphinx_level import FLOOR, check_samples
from ml.engines.window import AUTO, Ear, Heard, in_order, join, shifted, spell, transcript
from ml.errors import BadText, EngineFailed, UnsupportedLanguage
from ml.types import SAMPLE_RATE, Samples, Transcript, Word

OVERLAP = 1 / 6
"""Share of a window that the next one hears again (5 s of 30)."""
LONGEST_NOTES = 100_000
"""Characters."""


class Recogniser:
    """An `Asr` around an ear. As thread-safe as the ear; each session belongs to its caller."""

    def __init__(self, spec: EngineSpec, ear: Ear) -> None:
        """`ear` is closed with the recogniser."""
        self.spec = spec
        self._ear: Ear | None = ear
        self._able = Capabilities(
            version=ear.version,
            languages=ear.languages,
            formats=(f"float32 mono {SAMPLE_RATE} Hz",),
            detects=ear.detects,
        )

    def capabilities(self) -> Capabilities:
        """The ear's languages; any length."""
        return self._able

    def prepare(self, options: AsrOptions) -> None:
        """Nothing is left to load. Raises what `listen` would."""
        self._check(options)

    def listen(self, options: AsrOptions) -> AsrSession:
        """Begin an utterance. Raises UnsupportedLanguage, BadText, EngineFailed."""
        ear = self._check(options)
        language = None if options.language == AUTO else options.language

        def hear(samples: Samples, before: str, known: str | None) -> Heard:
            if not len(samples) or float(np.abs(samples).max()) < FLOOR:
                return Heard((), known or "")
            heard = ear.hear(samples, replace(options, language=known or AUTO), before)
            return replace(heard, words=in_order(heard.words, 0.0, len(samples) / SAMPLE_RATE))

        if options.live:
            return LiveSession(hear, self.spec.name, language, ear.window)
        return WholeSession(hear, self.spec.name, language, ear.window)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        ear, self._ear = self._ear, None
        if ear is not None:
            ear.close()

    def _check(self, options: AsrOptions) -> Ear:
        if self._ear is None:
            raise EngineFailed(f"{self.spec.name} is closed.", "Open a new session.")
        check_options(options, self.spec.name, self._able, takes_notes=self._ear.takes_notes)
        return self._ear


def check_options(options: AsrOptions, name: str, able: Capabilities, *, takes_notes: bool) -> None:
    """Whether a recogniser can listen so. Raises UnsupportedLanguage, BadText."""
    if options.grammar is not None:
        raise BadText(f"{name} takes no grammar.", "Use the recogniser pocketsphinx, or leave the grammar out.")
    if options.notes is not None and not takes_notes:
        raise BadText(f"{name} makes no use of notes.", "Leave them out, or choose another recogniser.")
    if options.notes is not None and len(options.notes) > LONGEST_NOTES:
        raise BadText(
            f"The notes have {len(options.notes)} characters.", f"{LONGEST_NOTES} are taken: leave out the rest."
        )
    if options.language not in able.languages and not (options.language == AUTO and able.detects):
        known = ", ".join((*able.languages, *([AUTO] if able.detects else [])))
        raise UnsupportedLanguage(f"{name} does not understand speech in {options.language!r}.", f"It knows: {known}.")


class WholeSession:
    """An utterance heard window by window as it comes, and told at its end."""

    def __init__(self, hear: Hear, engine: str, language: str | None, window: float) -> None:
        """`language` None leaves it to the recogniser, which hears `window` seconds at most."""
        self._hear, self._engine, self._language = hear, engine, language
        self._window = int(window * SAMPLE_RATE)
        self._overlap = round(self._window * OVERLAP)
        self._pieces: list[Samples] = []
        self._waiting = self._first = 0
        self._shared = 0.0  # seconds: until where the windows so far have heard
        self._words: tuple[Word, ...] = ()
        self._ended = False

    def accept(self, samples: Samples) -> None:
        """Take the next samples `[N]`; full windows are heard at once. Raises BadAudio, EngineFailed."""
        block = check_samples(samples)
        self._open()
        self._pieces.append(block.copy())
        self._waiting += len(block)
        if self._waiting <= self._window:
            return
        audio = np.concatenate(self._pieces)
        while len(audio) > self._window:
            self._take(audio[: self._window])
            step = self._window - self._overlap
            audio, self._first = audio[step:], self._first + step
        self._pieces, self._waiting = [audio.copy()], len(audio)

    def partial(self) -> None:
        """Nothing: the session is not live."""
        self._open()

    def pause(self) -> float:
        """Nothing is known before the end."""
        self._open()
        return 0.0

    def finish(self) -> Transcript:
        """The words of the whole utterance. Raises EngineFailed."""
        self._open()
        samples = self._first + self._waiting
        self._take(np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.float32))
        self.abandon()
        words = in_order(self._words, 0.0, samples / SAMPLE_RATE)
        return transcript(words, samples, self._engine, self._language or "", final=True)

    def abandon(self) -> None:
        """Drop the utterance; does nothing after the end."""
        self._ended = True
        self._pieces = []

    def _take(self, samples: Samples) -> None:
        start = self._first / SAMPLE_RATE
        before = [word for word in self._words if word.end <= start][-BEFORE:]
        heard = self._hear(samples, spell(before, self._language or ""), self._language)
        words = shifted(heard.words, start)
        self._words = join(self._words, words, start, self._shared) if self._shared else words
        self._shared = start + len(samples) / SAMPLE_RATE
        if self._language is None and words:
            self._language = heard.language  # of the first words, and kept

    def _open(self) -> None:
        if self._ended:
            raise EngineFailed("This utterance has ended.", "Call listen() for the next one.")
