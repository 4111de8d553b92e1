"""Text to speech in anybody's voice and 17 languages, heard while it is still being made: XTTS v2 (E. Casanova et al.,
2024), run by the package coqui-tts.

The network and the way from text to tokens are the package's; which files become the network is in `xtts_files.py`.
Long texts are cut at sentence ends, under the number of characters that the package gives for each language. A stream
gives a piece of sound for every 20 tokens, 0.93 s. The package decodes all tokens of a sentence anew for each piece, so
a sentence of n pieces costs n(n+1)/2 decodings of one, n being 31 at most; `speak` decodes each sentence once. It
computes in float32. Knows nothing of who asks.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from ml.device import Placement
from ml.engines.protocols import Capabilities, EngineSpec
from ml.engines.speaking import LONGEST, PAUSE, checked, heard, seeded, spoken_pieces
from ml.engines.xtts_files import Settings, Voice, network_of, settings_of, voices_of
from ml.errors import BadText, EngineFailed, Unavailable
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio, Delivery, Samples, Speech

SHORTEST = 1.0
"""Seconds of a voice that it can be told from; the publisher advises six."""
TOKENS, OVERLAP = 20, 1024
"""Tokens that are drawn before they are sounded, and samples over which two pieces are faded: the package's own."""
REMEMBERED = 4
"""Voices whose latents are kept: one speaks many sentences."""
SEED = 0
_WITHOUT_SPACES = ("zh", "ja")
_UNSAYABLE = (ArithmeticError, ValueError, LookupError, TypeError, NotImplementedError)
"""What the package raises for a text that it cannot turn into words."""


class XttsVoice:
    """A `StreamingTts`. One piece is computed at a time; several texts may be under way."""

    def __init__(
        self,
        spec: EngineSpec,
        version: str,
        network: Any,  # noqa: ANN401
        settings: Settings,
        voices: dict[str, Voice],
        placement: Placement,
    ) -> None:
        """`network` is the package's `Xtts`, loaded; `voices` are those it knows by name."""
        self.spec = spec
        self._version, self._settings, self._voices, self._placement = version, settings, voices, placement
        self._network: Any = network
        self._tokenizer = network.tokenizer
        limits = self._tokenizer.char_limits
        told = tuple(dict.fromkeys(code.partition("-")[0] for code in settings.languages))
        self._limits = {code: int(limits[code]) for code in told if code in limits}
        self._known: dict[bytes, Voice] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, OutOfMemory."""
        placement = replace(placement, dtype="float32")
        settings = settings_of(checkpoint)
        network = network_of(checkpoint, settings, placement)
        return cls(spec, checkpoint.version, network, settings, voices_of(checkpoint, settings), placement)

    def capabilities(self) -> Capabilities:
        """The languages that config.json names."""
        return Capabilities(
            version=f"{self._version}, {self._placement.device} {self._placement.dtype}",
            languages=tuple(self._limits),
            formats=(f"float32 mono {SAMPLE_RATE} Hz",),
            longest=LONGEST,
            times=False,
            clones=True,
        )

    def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
        """What `stream` gives, in one, without the joints between its pieces. Raises as `stream`."""
        parts = [piece.samples for piece in self._begun(text, language, delivery, 0)]
        return Speech(Audio(np.concatenate(parts)), text, language, self.spec.name)

    def stream(self, text: str, language: str, delivery: Delivery) -> Iterator[Audio]:
        """Pieces of 16 kHz sound, the first after 20 tokens. Raises UnsupportedLanguage, BadText, BadAudio (for the
        reference), Unavailable (a language whose own package is not here), EngineFailed."""
        return self._begun(text, language, delivery, TOKENS)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None
            self._known.clear()

    def _begun(self, text: str, language: str, delivery: Delivery, tokens: int) -> Iterator[Audio]:
        cleaned = checked(text, language, delivery, tuple(self._limits), self.spec.name)
        code = language.replace("_", "-").partition("-")[0].lower()
        pieces = self._pieces(cleaned, code)
        how = _How(code, self._voice(delivery), delivery.speed, tokens)
        return self._streamed(pieces, how)

    def _voice(self, delivery: Delivery) -> Voice:
        if delivery.reference is not None:
            return self._heard(heard(delivery.reference, SHORTEST, self.spec.name))
        names = sorted(self._voices)
        if delivery.voice is not None and delivery.voice not in names:
            has = f"It has {', '.join(names[:8])}." if names else "Give a recording of the voice to speak in."
            raise BadText(f"{self.spec.name} has no voice {delivery.voice[:40]!r}.", has)
        if not names:
            raise BadText(f"{self.spec.name} has no voice of its own.", "Give a recording of the voice to speak in.")
        return self._voices[delivery.voice or names[0]]

    def _heard(self, samples: Samples) -> Voice:
        """The voice of a recording, as the package hears one: `max_ref_len` seconds of it for the decoder, and
        `gpt_cond_len` in parts of `gpt_cond_chunk_len` for the rest."""
        import torch

        key = hashlib.sha256(samples.tobytes()).digest()
        told = self._settings
        with self._lock, torch.inference_mode():
            network = self._open()
            if key not in self._known:
                sound = torch.from_numpy(samples)[None, : told.max_ref_len * SAMPLE_RATE].to(self._placement.device)
                embedding = network.get_speaker_embedding(sound, SAMPLE_RATE)
                latents = network.get_gpt_cond_latents(
                    sound, SAMPLE_RATE, length=told.gpt_cond_len, chunk_length=told.gpt_cond_chunk_len
                )
                while len(self._known) >= REMEMBERED:
                    self._known.pop(next(iter(self._known)))
                self._known[key] = (latents, embedding)
            return self._known[key]

    def _open(self) -> Any:  # noqa: ANN401
        if self._network is None:
            raise EngineFailed("The voice is closed.", "Open a new session.")
        return self._network

    def _pieces(self, text: str, code: str) -> list[str]:
        """Sentences, as many at once as the language's limit allows; those too long are cut. Unlike the package's own
        cutting, it needs no spaCy."""

        def fits(part: str) -> bool:
            most = self._settings.model_args.gpt_max_text_tokens
            return len(part) <= self._limits[code] and len(self._tokenizer.encode(part.lower(), lang=code)) < most

        found: list[str] = []
        between = "" if code in _WITHOUT_SPACES else " "
        try:
            for piece in spoken_pieces(text, fits):
                together = f"{found[-1]}{between}{piece}" if found else piece
                if found and fits(together):
                    found[-1] = together
                else:
                    found.append(piece)
        except ImportError as error:
            raise Unavailable(
                f"{self.spec.name} needs one package more for {code}: {error}",
                f'pip install -c constraints.txt "coqui-tts[{code}]"',
            ) from error
        except _UNSAYABLE as error:  # a number of sixty digits, any number in Hindi
            told = str(error)[:200] or "its package does not know how"
            raise BadText(f"{self.spec.name} cannot say that in {code}: {told}.", "Write numbers in words.") from error
        return found

    def _streamed(self, pieces: list[str], how: _How) -> Iterator[Audio]:
        for index, piece in enumerate(pieces):
            if index:
                yield Audio(np.zeros(round(PAUSE * SAMPLE_RATE), np.float32))
            yield from (Audio(samples) for samples in self._sounded(piece, how) if len(samples))

    def _sounded(self, piece: str, how: _How) -> Iterator[Samples]:
        """The sound of one piece of text at 16 kHz, as many tokens at a time as were asked for."""
        import soxr

        told = self._settings
        latents, embedding = how.voice
        turn = _Turn()
        with self._computing(turn) as network:
            pieces = network.inference_stream(
                piece,
                how.code,
                latents,
                embedding,
                stream_chunk_size=how.tokens,
                overlap_wav_len=OVERLAP,
                temperature=told.temperature,
                length_penalty=told.length_penalty,
                repetition_penalty=told.repetition_penalty,
                top_k=told.top_k,
                top_p=told.top_p,
                do_sample=True,
                speed=how.speed,
            )
        resampler = soxr.ResampleStream(told.model_args.output_sample_rate, SAMPLE_RATE, 1, "float32")
        ended = False
        while not ended:
            with self._computing(turn):
                made = next(pieces, None)
                sound = np.zeros(0, np.float32) if made is None else made.float().cpu().numpy().reshape(-1)
            ended = made is None
            if not np.isfinite(sound).all():
                raise EngineFailed("The network made numbers that are no sound.", "Verify the model.")
            yield np.clip(resampler.resample_chunk(np.ascontiguousarray(sound), last=ended), -1.0, 1.0)

    @contextmanager
    def _computing(self, turn: _Turn) -> Iterator[Any]:
        """The network, for one step of one text: with that text's own noise, and its own prefix, which the package
        keeps in the network."""
        import torch

        with self._lock, torch.inference_mode(), turn.noise:
            network = self._open()
            inner = network.gpt.gpt_inference
            inner.cached_prefix_emb = turn.prefix
            try:
                yield network
            finally:
                turn.prefix, inner.cached_prefix_emb = inner.cached_prefix_emb, None


@dataclass(frozen=True, eq=False)
class _How:
    """What all pieces of a text share; `tokens` are sounded at a time, 0 for all of a piece."""

    code: str
    voice: Voice
    speed: float
    tokens: int


class _Turn:
    """What one text keeps between its steps."""

    def __init__(self) -> None:
        self.noise = seeded(SEED)
        self.prefix: Any = None
