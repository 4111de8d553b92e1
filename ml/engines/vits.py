"""Text to speech in one pass: VITS (Kim, Kong and Son 2021), with the times of its words from its own durations.

Runs checkpoints of transformers' `VitsModel` that read letters, such as the thousand languages of facebook/mms-tts-*
(Pratap et al. 2023). Those that read phonemes are refused: their tokenizer would run espeak-ng, which is under the GPL,
inside this process. Numbers are spelt out in English; in other languages they are refused, because those vocabularies
have no digits and transformers would leave them out without a word. Knows nothing of who asks.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple, Self

import numpy as np

from ml.device import Placement
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import Capabilities, EngineSpec
from ml.engines.speaking import LONGEST, PAUSE, checked, finished, joined, seeded, spoken_pieces
from ml.errors import BadText, EngineFailed, Unavailable
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio, Delivery, Speech, Word

SEED = 0
PIECE = 300
"""Characters that are spoken at once."""
RUNAWAY = 120.0
"""Seconds that no such piece takes: durations that come to more are those of a network gone wrong."""


class Spelt(NamedTuple):
    """A word as it was given, and where its letters lie among those that the network reads."""

    text: str
    start: int
    end: int


class VitsVoice:
    """A `Tts`. One call computes at a time; the others wait."""

    def __init__(
        self,
        spec: EngineSpec,
        version: str,
        network: Any,  # noqa: ANN401
        tokenizer: Any,  # noqa: ANN401
        placement: Placement,
        romanise: Callable[[str], str] | None = None,
    ) -> None:
        """`network` is a `VitsModel`, `tokenizer` its `VitsTokenizer`; `romanise` writes other scripts in Latin
        letters, for checkpoints that read those alone."""
        self.spec = spec
        self._version, self._network, self._tokenizer, self._placement = version, network, tokenizer, placement
        self._romanise = romanise
        config = network.config
        self._rate, self._hop = int(config.sampling_rate), int(np.prod(config.upsample_rates))
        self._pace, self._speakers = float(config.speaking_rate), int(config.num_speakers)
        self._lock = threading.Lock()
        self._log_durations: Any = None
        network.duration_predictor.register_forward_hook(self._keep_durations)

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        tokenizer = load_part("VitsTokenizer", checkpoint)
        if tokenizer.phonemize:
            raise Unavailable(
                f"The {checkpoint.name} model reads phonemes, which needs a GPL library inside this process.",
                "Choose a VITS that reads letters, such as one of mms-tts.",
            )
        romanise: Callable[[str], str] | None = None
        if tokenizer.is_uroman:
            if find_spec("uroman") is None:
                raise Unavailable(
                    f"The {checkpoint.name} model reads Latin letters only, and uroman is not installed.",
                    "pip install uroman",
                )
            romanise = import_module("uroman").Uroman().romanize_string
        network = load_network("VitsModel", checkpoint, placement)
        return cls(spec, checkpoint.version, network, tokenizer, placement, romanise)

    def capabilities(self) -> Capabilities:
        """The checkpoint's language, and times of words; `voice` is a speaker's number where it has several."""
        return Capabilities(
            version=f"{self._version}, {self._placement.device} {self._placement.dtype}",
            languages=self.spec.languages,
            formats=(f"float32 mono {SAMPLE_RATE} Hz",),
            longest=LONGEST,
        )

    def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
        """Speak one text at 16 kHz, a long one sentence by sentence. Raises UnsupportedLanguage, BadText,
        EngineFailed."""
        cleaned = checked(text, language, delivery, self.spec.languages, self.spec.name)
        speaker = self._speaker(delivery.voice)
        pieces = [self._spelt(p, language) for p in spoken_pieces(cleaned, lambda part: len(part) <= PIECE)]
        audios: list[Audio] = []
        words: list[Word] = []
        place = 0.0
        for letters, spelt in pieces:
            audio, times = self._said(letters, delivery.speed, speaker)
            for word in spelt:
                start, end = times[2 * word.start + 1], times[2 * word.end]
                words.append(Word(word.text, place + float(start), place + min(float(end), audio.seconds)))
            audios.append(audio)
            place += audio.seconds + PAUSE
        return Speech(joined(audios), text, language, self.spec.name, tuple(words))

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None

    def _speaker(self, voice: str | None) -> int | None:
        if voice is None:
            return 0 if self._speakers > 1 else None
        if voice.isdecimal() and int(voice) < self._speakers:
            return int(voice)
        several = f"Name one by its number, 0 to {self._speakers - 1}." if self._speakers > 1 else "It has one voice."
        raise BadText(f"{self.spec.name} has no voice {voice!r}.", several)

    def _spelt(self, piece: str, language: str) -> tuple[str, list[Spelt]]:
        """What the network reads of a piece, and the words in it. Raises BadText for a word that it cannot read."""
        letters, words = "", []
        for word in piece.split():
            read = self._letters(word, language)
            if not read:
                continue
            start = len(letters) + bool(letters)
            letters = f"{letters} {read}" if letters else read
            words.append(Spelt(word, start, len(letters)))
        if not words:
            raise BadText(f"{self.spec.name} can read nothing of {piece[:40]!r}.", "Write it in the voice's alphabet.")
        return letters, words

    def _letters(self, word: str, language: str) -> str:
        """A word in the letters that the network knows; "" for one without letters."""
        if any(c.isdigit() for c in word) and language.lower().startswith("en"):
            from transformers.models.speecht5.number_normalizer import EnglishNumberNormalizer

            spell: Any = EnglishNumberNormalizer
            word = spell()(word)
        if self._romanise is not None and not word.isascii():
            word = self._romanise(word)
        known = self._tokenizer.encoder
        written = word if not self._tokenizer.normalize else word.lower()
        kept = []
        for character in unicodedata.normalize("NFC", written):
            if character in known or character in "ţț":  # the tokenizer knows the second as the first
                kept.append(character)
                continue
            plain = [c for c in unicodedata.normalize("NFKD", character) if c in known]
            if not plain and character.isalnum():
                raise BadText(
                    f"{self.spec.name} cannot read {character!r} in {word[:40]!r}.",
                    "Write it out in the voice's letters.",
                )
            kept += plain
        return str(self._tokenizer.prepare_for_tokenization("".join(kept))[0]).strip()

    def _said(self, letters: str, speed: float, speaker: int | None) -> tuple[Audio, np.ndarray[Any, Any]]:
        """The sound of some letters, and the seconds at which their tokens begin, with the end of the last."""
        import torch

        ids = self._tokenizer(letters, return_tensors="pt").input_ids
        if ids.shape[1] != 2 * len(letters) + 1:
            raise EngineFailed(f"{self.spec.name} does not read {letters[:40]!r} letterwise.", "Choose another.")
        with self._lock:
            if self._network is None:
                raise EngineFailed("The voice is closed.", "Open a new session.")
            with torch.inference_mode(), seeded(SEED):
                made = self._network(
                    ids.to(self._placement.device), speaker_id=speaker, speaking_rate=self._pace * speed
                )
                frames = torch.ceil(torch.exp(self._log_durations) * (1.0 / (self._pace * speed)))[0, 0]
            self._log_durations = None
        samples = made.waveform[0].float().cpu().numpy()
        ends = np.cumsum(frames.double().cpu().numpy()) * self._hop / self._rate
        return finished(samples, self._rate), np.concatenate([[0.0], ends])

    def _keep_durations(self, module: Any, given: Any, made: Any) -> None:  # noqa: ANN401
        """Called by the network between its durations and its sound."""
        seconds = float(made.exp().sum()) * self._hop / self._rate
        if not seconds < RUNAWAY:
            raise EngineFailed(
                f"{self.spec.name} would speak a sentence for {seconds:.0f} s.", "Give shorter sentences, or verify it."
            )
        self._log_durations = made
