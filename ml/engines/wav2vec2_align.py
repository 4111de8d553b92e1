"""Lays a known text along its recording, word by word and sound by sound, with a network that tells letters or phones.

What is not spelt in letters that the network knows, a number for instance, gets the time between its neighbours. Knows
nothing of how probabilities are made (`wav2vec2.py`) or paths are found (`ctc.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np

from ml.device import Placement
from ml.engines.ctc import Span, align, shortest
from ml.engines.protocols import Alignment, Capabilities, EngineHome, EngineSpec, Tts
from ml.engines.wav2vec2 import CtcNetwork
from ml.engines.window import in_order
from ml.errors import BadAudio, BadText, EngineFailed, UnsupportedLanguage
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio, Delivery, Phoneme, Word

LONGEST = 300.0
"""Seconds that are aligned at once."""
Pronounce = Callable[[str, str], Sequence[str]]
"""The phones (IPA) of a word in a language. Raises UnsupportedLanguage, BadText, Unavailable."""


class Wav2Vec2Aligner:
    """An `Aligner`. One call computes at a time; the others wait."""

    def __init__(self, spec: EngineSpec, network: CtcNetwork, pronounce: Pronounce | None) -> None:
        """`pronounce` is for networks that tell phones, and closed by its `close`, if it has one."""
        self.spec = spec
        self._network, self._pronounce = network, pronounce
        self._closed = False

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        network = CtcNetwork.load(checkpoint, placement)
        return cls(spec, network, EspeakPhones() if network.symbols.delimiter is None else None)

    def capabilities(self) -> Capabilities:
        """Recordings of up to LONGEST seconds."""
        return Capabilities(
            version=self._network.version,
            languages=self.spec.languages,
            formats=(f"float32 mono {SAMPLE_RATE} Hz",),
            longest=LONGEST,
        )

    def align(self, audio: Audio, text: str, language: str) -> Alignment:
        """Where each word of `text` lies, and each phone where the network tells phones.

        Raises UnsupportedLanguage, BadText (nothing to align, or too much for the audio), BadAudio, EngineFailed.
        """
        if self._closed:
            raise EngineFailed("The aligner is closed.", "Open a new session.")
        if self.spec.languages and language not in self.spec.languages:
            raise UnsupportedLanguage(
                f"{self.spec.name} does not align {language!r}.", f"It knows: {', '.join(self.spec.languages)}."
            )
        texts = text.split()
        if not any(c.isalnum() for c in text):
            raise BadText("The text has no word to align.", "Give the words that were said.")
        samples = _checked(audio)
        spelt = [self._symbols(word, language) for word in texts]
        symbols, owners = self._chain(spelt)
        if not symbols:
            raise BadText("The network knows no letter of the text.", "Choose an aligner of its language.")
        likely = self._network.likely(samples)
        if shortest(symbols) > len(likely):
            raise BadText(
                f"The text is too long for {audio.seconds:.2f} s of sound.", "Give only what was said in them."
            )
        try:
            spans = align(likely, symbols, self._network.symbols.blank)
        except ValueError as error:
            raise BadAudio(
                f"The recording cannot be aligned at once: {error}.", "Cut it at pauses and align the parts."
            ) from error
        return self._told(texts, spans, owners, audio.seconds)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        self._closed = True
        self._network.close()
        if isinstance(self._pronounce, EspeakPhones):
            self._pronounce.close()

    def _symbols(self, word: str, language: str) -> list[int]:
        if self._pronounce is None:
            return self._network.symbols.spell(word)
        if not any(c.isalnum() for c in word):
            return []
        phones = self._pronounce(word, language)
        return [number for phone in phones for number in self._network.symbols.spell(phone)]

    def _chain(self, spelt: list[list[int]]) -> tuple[list[int], list[int]]:
        """All symbols in a row with delimiters between words, and whose they are: the word's place, -1 for none."""
        symbols: list[int] = []
        owners: list[int] = []
        delimiter = self._network.symbols.delimiter
        for place, own in enumerate(spelt):
            if own and symbols and delimiter is not None:
                symbols.append(delimiter)
                owners.append(-1)
            symbols += own
            owners += [place] * len(own)
        return symbols, owners

    def _told(self, texts: list[str], spans: list[Span], owners: list[int], seconds: float) -> Alignment:
        frame = self._network.grid.stride / SAMPLE_RATE
        names = self._network.symbols.names
        own: list[list[Span]] = [[] for _ in texts]
        for span, owner in zip(spans, owners, strict=True):
            if owner >= 0:
                own[owner].append(span)
        words: list[Word] = []
        for place, text in enumerate(texts):
            if own[place]:
                sure = float(np.mean([span.confidence for span in own[place]]))
                words.append(Word(text, own[place][0].first * frame, own[place][-1].last * frame, sure))
            else:  # it lies between its neighbours
                start = words[-1].end if words else 0.0
                later = next((spans[0].first * frame for spans in own[place + 1 :] if spans), seconds)
                words.append(Word(text, start, later, 0.0))
        phonemes = (
            ()
            if self._pronounce is None
            else tuple(
                Phoneme(names[span.symbol], span.first * frame, span.last * frame)
                for span, owner in zip(spans, owners, strict=True)
                if owner >= 0
            )
        )
        return Alignment(in_order(words, 0.0, seconds), phonemes)


class EspeakPhones:
    """How espeak-ng says a word, which the phone models were trained on. Started on first use."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._engine: Tts | None = None
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def __call__(self, word: str, language: str) -> tuple[str, ...]:
        """Its phones. Raises Unavailable without espeak-ng, UnsupportedLanguage, BadText."""
        with self._lock:
            if self._engine is None:
                self._engine = _espeak()
            if (word, language) not in self._known:
                if len(self._known) >= 10_000:
                    self._known.clear()
                spoken = self._engine.speak(word, language, Delivery())
                self._known[word, language] = tuple(p.symbol for p in spoken.phonemes if p.symbol)
            return self._known[word, language]

    def close(self) -> None:
        """End the speaker's process; a second call does nothing."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()


def _espeak() -> Tts:
    from pathlib import Path

    from ml.engines import espeak

    started = espeak.start(EngineHome(Path()))  # it fetches nothing, and looks for its library itself
    if not isinstance(started, Tts):
        raise EngineFailed("espeak-ng did not start as a voice.", "Install it anew.")
    return started


def _checked(audio: Audio) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    if audio.rate != SAMPLE_RATE:
        raise BadAudio(f"The aligner hears {SAMPLE_RATE} Hz, not {audio.rate}.", "Resample the recording.")
    if not audio.seconds or not np.isfinite(audio.samples).all():
        raise BadAudio("The recording is empty or holds numbers that are no sound.", "Record it again.")
    if audio.seconds > LONGEST:
        raise BadAudio(
            f"{audio.seconds:.0f} s are too long to be aligned at once.", "Cut it at pauses and align the parts."
        )
    samples: np.ndarray[tuple[int], np.dtype[np.float32]] = audio.samples
    return samples
