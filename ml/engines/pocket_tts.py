"""Text to speech in anybody's voice, heard while it is still being made: Pocket TTS (Kyutai 2026).

Runs checkpoints of transformers' `PocketTTSForConditionalGeneration`; the folder holds two parts more:

    audio_tokenizer/       its `PocketTTSAudioTokenizerModel`; one without an encoder speaks, but clones no voice
    voices/*.safetensors   voices by name, each one tensor of latents [T, 32]; the first by name is the default

transformers' own `generate` hands nothing out before all of it is done, so the loop is here: the voice is computed
once and kept as a prefix of keys and values, a latent frame is drawn every 80 ms of sound, and frames are decoded in
blocks. The decoder looks back only, so a block is decoded with some frames before it and the rest is thrown away.
Knows nothing of who asks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from ml.audio.stretch import stretch
from ml.device import Placement
from ml.engines.loading import load_network, load_part
from ml.engines.pocket_frames import MASKS, Frames, Voices, read_voices
from ml.engines.protocols import Capabilities, EngineSpec
from ml.engines.speaking import LONGEST, PAUSE, checked, spoken_pieces
from ml.errors import BadText, EngineFailed, ModelDamaged, Unavailable
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio, Delivery, Samples, Speech

FIRST, BLOCK = 2, 16
"""Frames (80 ms each) that are decoded at once: first few, so that sound begins early, then as many as there are."""
CONTEXT = 32
"""Frames before them that the decoder is shown: what its two layers of attention reach, 15.6 frames each. Half of that
would be quicker, and no longer exact."""
PIECE = 50
"""Tokens of text that are spoken at once, as many as the publisher speaks."""


class PocketVoice:
    """A `StreamingTts`. One frame is computed at a time; several texts may be under way."""

    def __init__(
        self,
        spec: EngineSpec,
        version: str,
        frames: Frames,
        voices: Voices,
        processor: Any,  # noqa: ANN401
        placement: Placement,
    ) -> None:
        """`frames` makes and sounds latents, `voices` are those it knows, `processor` is a `PocketTTSProcessor`."""
        self.spec = spec
        self._version, self._processor, self._placement = version, processor, placement
        self._frames: Frames | None = frames
        self._voices = voices
        self._clones = frames.hears
        self._lock = threading.Lock()

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        network = load_network("PocketTTSForConditionalGeneration", checkpoint, placement, absent=MASKS)
        part = checkpoint.part("audio_tokenizer")
        if part is None:
            place = checkpoint.folder / "audio_tokenizer"
            raise Unavailable(f"The {checkpoint.name} model has no audio_tokenizer.", f"Put one into {place}.")
        codec = load_network("PocketTTSAudioTokenizerModel", part, placement, absent=("encoder.", "decoder."))
        tokenizer = load_part("AutoTokenizer", checkpoint)
        extractor = load_part("PocketTTSFeatureExtractor", checkpoint)
        if not getattr(tokenizer, "chat_template", None):
            raise ModelDamaged(f"The {checkpoint.name} model has no chat_template.jinja.", "Fetch it again.")
        from transformers import PocketTTSProcessor

        processor = PocketTTSProcessor(extractor, tokenizer, chat_template=tokenizer.chat_template)
        if network.config.latent_dim != codec.config.latent_dim or codec.decoder is None:
            raise ModelDamaged(f"The audio_tokenizer of {checkpoint.name} is not its own.", "Fetch it again.")
        voices = read_voices(checkpoint, network.config.latent_dim)
        return cls(spec, checkpoint.version, Frames(network, codec, placement), voices, processor, placement)

    def capabilities(self) -> Capabilities:
        """The checkpoint's languages; own voice where its codec has an encoder."""
        return Capabilities(
            version=f"{self._version}, {self._placement.device} {self._placement.dtype}",
            languages=self.spec.languages,
            formats=(f"float32 mono {SAMPLE_RATE} Hz",),
            longest=LONGEST,
            times=False,
            clones=self._clones,
        )

    def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
        """What `stream` gives, in one. Raises as `stream`."""
        parts = [piece.samples for piece in self.stream(text, language, delivery)]
        return Speech(Audio(np.concatenate(parts)), text, language, self.spec.name)

    def stream(self, text: str, language: str, delivery: Delivery) -> Iterator[Audio]:
        """Pieces of 16 kHz sound, the first after two frames; at another pace than the network's own, the first after a
        sentence. Raises UnsupportedLanguage, BadText, BadAudio (for the reference), EngineFailed."""
        cleaned = checked(text, language, delivery, self.spec.languages, self.spec.name)
        voice = self._latents(delivery)
        return self._streamed(cleaned, voice, delivery.speed)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._frames = None

    def _latents(self, delivery: Delivery) -> Any:  # noqa: ANN401
        if delivery.reference is not None and self._clones:
            with self._lock:
                return self._open().heard(delivery.reference, self._processor.feature_extractor)
        names = sorted(self._voices)
        if delivery.voice is not None and delivery.voice not in names:
            raise BadText(f"{self.spec.name} has no voice {delivery.voice[:40]!r}.", f"It has {', '.join(names[:8])}.")
        if not names:
            raise BadText(f"{self.spec.name} has no voice of its own.", "Give a recording of the voice to speak in.")
        return self._voices[delivery.voice or names[0]]

    def _open(self) -> Frames:
        if self._frames is None:
            raise EngineFailed("The voice is closed.", "Open a new session.")
        return self._frames

    def _streamed(self, text: str, voice: Any, speed: float) -> Iterator[Audio]:  # noqa: ANN401
        for index, piece in enumerate(self._pieces(text)):
            if index:
                yield Audio(np.zeros(round(PAUSE * SAMPLE_RATE), np.float32))
            sound = self._sounded(piece, voice)
            if speed == 1.0:
                yield from (Audio(samples) for samples in sound if len(samples))
            else:
                yield Audio(stretch(np.concatenate(list(sound)), speed))

    def _pieces(self, text: str) -> list[str]:
        """Sentences, as many at once as have `PIECE` tokens. Unlike the processor's own `split_text`, it also cuts what
        has no full stop."""

        def size(part: str) -> int:
            return len(self._processor.tokenizer(part, add_special_tokens=False).input_ids)

        found: list[str] = []
        for piece in spoken_pieces(text, lambda part: size(part) <= PIECE):
            together = f"{found[-1]} {piece}" if found else piece
            if found and size(together) <= PIECE:
                found[-1] = together
            else:
                found.append(piece)
        return found

    def _sounded(self, piece: str, voice: Any) -> Iterator[Samples]:  # noqa: ANN401
        """The sound of one piece of text, block by block, at 16 kHz."""
        import soxr

        with self._lock:
            frames = self._open()
            state = frames.begin(*self._prompt(piece), voice)
        resampler = soxr.ResampleStream(frames.rate, SAMPLE_RATE, 1, "float32")
        fade = np.linspace(0, 1, round(self._processor.fade_in_duration * frames.rate), dtype=np.float32)
        done, ended = 0, False
        while not ended:
            with self._lock:
                frames = self._open()
                while not (ended := state.ended) and len(state.latents) - done < min(BLOCK, max(FIRST, done)):
                    frames.step(state)
                samples = frames.sound(state.latents, done, CONTEXT)
            if not np.isfinite(samples).all():
                raise EngineFailed("The network made numbers that are no sound.", "Run it in float32, or verify it.")
            if not done:
                samples[: len(fade)] *= fade[: len(samples)]
            done = len(state.latents)
            yield np.clip(resampler.resample_chunk(samples, last=ended), -1.0, 1.0)

    def _prompt(self, piece: str) -> tuple[Any, int]:
        """Token ids of a piece of text as the checkpoint's template has it, and the frames that follow its end."""
        said = [{"role": "user", "content": [{"type": "text", "text": piece}]}]
        prompt = self._processor.apply_chat_template(said)
        ids = self._processor.tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids
        words = len(self._processor.tokenizer.decode(ids[0], skip_special_tokens=True).split())
        short = words <= self._processor.short_text_max_words
        tail = self._processor.frames_after_eos_short_text if short else self._processor.frames_after_eos
        return ids, int(tail)
