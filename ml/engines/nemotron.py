"""Hears with a streaming transducer: NVIDIA's Nemotron speech models, a FastConformer that remembers what it has
computed (V. Noroozi et al., 2023, "Stateful Conformer with Cache-Based Inference for Streaming ASR") and an RNN-T.

Runs checkpoints of transformers' `Nemotron3_5AsrForRNNT` (nvidia/nemotron-3.5-asr-streaming-0.6b, 40 locales, each a
prompt of the encoder's output) and `NemotronAsrStreamingForRNNT` (nvidia/nemotron-speech-streaming-en-0.6b). A chunk of
the sound is heard with the chunks before it; how long it is, is a choice: the longer, the surer and the later. Knows
nothing of utterances.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ml.device import Placement
from ml.engines.hearing import check_options
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import AsrOptions, AsrSession, Capabilities, EngineSpec
from ml.engines.streamed import StreamSession
from ml.engines.transducer import Piece
from ml.engines.window import AUTO
from ml.errors import BadText, EngineFailed, ModelDamaged
from ml.languages import find
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples

FAMILIES = {
    "nemotron3_5_asr": ("Nemotron3_5AsrForRNNT", "Nemotron3_5AsrProcessor"),
    "nemotron_asr_streaming": ("NemotronAsrStreamingForRNNT", "NemotronAsrStreamingProcessor"),
}
"""Network and processor by the checkpoint's `model_type`."""
STEP = 9.0
"""Seconds of a file that are computed at once; what comes out is what single chunks would give."""
BLOCK = 8
"""Frames whose next token is looked for at once."""
_TAG = re.compile(r"<([a-z]{2,3}-[A-Za-z]{2})>")
_LOCALE = re.compile(r"[a-z]{2,3}-[A-Z]{2}")


@dataclass(frozen=True)
class Latency:
    """Seconds from a sound to the chunk that it is in being whole: live, and in a file. Of those that a checkpoint was
    trained with, the next longer is taken, or the longest."""

    live: float = 0.16
    file: float = 1.12


class NemotronRecogniser:
    """An `Asr` that runs them. As thread-safe as the network; each session belongs to its caller."""

    def __init__(self, spec: EngineSpec, ear: NemotronEar, latency: Latency = Latency()) -> None:
        """`ear` is closed with the recogniser."""
        self.spec = spec
        self._ear, self._latency, self._closed = ear, latency, False
        self._able = Capabilities(
            version=ear.version,
            languages=ear.languages,
            formats=(f"float32 mono {SAMPLE_RATE} Hz",),
            detects=ear.detects,
        )

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        return cls(spec, NemotronEar.load(checkpoint, placement, spec.languages))

    def capabilities(self) -> Capabilities:
        """The languages that it has a prompt for, with their regions; any length."""
        return self._able

    def prepare(self, options: AsrOptions) -> None:
        """Nothing is left to load. Raises what `listen` would."""
        if self._closed:
            raise EngineFailed(f"{self.spec.name} is closed.", "Open a new session.")
        check_options(options, self.spec.name, self._able, takes_notes=False)

    def listen(self, options: AsrOptions) -> AsrSession:
        """Begin an utterance. Raises UnsupportedLanguage, BadText, EngineFailed."""
        self.prepare(options)
        stream = self._ear.begin(self._latency.live if options.live else self._latency.file, options.language)
        language = None if options.language == AUTO else options.language
        step = 1 if options.live else max(1, round(STEP / stream.latency))
        return StreamSession(stream, self.spec.name, language, live=options.live, step=step)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        self._closed = True
        self._ear.close()


class NemotronEar:
    """The network and what it is fed with. One call computes at a time; the others wait."""

    def __init__(
        self,
        network: Any,  # noqa: ANN401
        processor: Any,  # noqa: ANN401
        placement: Placement,
        version: str,
        languages: tuple[str, ...],
    ) -> None:
        """`languages` are those that the checkpoint was trained on; none: all that it has prompts for. Raises
        ValueError where network and processor do not fit together."""
        config, encoder = network.config, network.config.encoder_config
        self._network, self._placement, self.version = network, placement, version
        self._extractor, tokenizer = processor.feature_extractor, processor.tokenizer
        self.blank = int(config.blank_token_id)
        self.lookaheads = sorted({int(frames) for frames in processor.supported_num_lookahead_tokens})
        if not 0 <= self.blank < config.vocab_size or len(tokenizer) > config.vocab_size:
            raise ValueError("its tokenizer and blank do not fit its network")
        if not self.lookaheads or not 0 <= self.lookaheads[0] <= self.lookaheads[-1] < encoder.sliding_window:
            raise ValueError("its lookaheads do not fit its window")
        if self._extractor.feature_size != encoder.num_mel_bins or self._extractor.sampling_rate != SAMPLE_RATE:
            raise ValueError("its features do not fit its network")
        self.hop, self.fft = int(self._extractor.hop_length), int(self._extractor.n_fft)
        self.mels = int(encoder.subsampling_factor)  # of one frame
        self.frame = self.hop * self.mels / SAMPLE_RATE
        vocabulary: Mapping[str, int] = tokenizer.get_vocab()
        self.tags = {token: _language(tag[1]) for name, token in vocabulary.items() if (tag := _TAG.fullmatch(name))}
        marks = {self.blank, *tokenizer.all_special_ids, *self.tags}
        self.texts = {token: text.replace("\u2581", " ") for text, token in vocabulary.items() if token not in marks}
        told = getattr(processor, "prompt_dictionary", None)
        if told is not None and not all(0 <= prompt < config.num_prompts for prompt in told.values()):
            raise ValueError("its prompts do not fit its network")
        self._prompts = None if told is None else prompts(told, languages)
        self.languages = languages if told is None else tuple(code for code in self._prompts or () if code != AUTO)
        self.detects = self._prompts is not None and AUTO in self._prompts and bool(self.tags)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, checkpoint: Checkpoint, placement: Placement, languages: tuple[str, ...]) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        kind = str(load_part("AutoConfig", checkpoint).model_type)
        remedy = f"node models verify {checkpoint.name}"
        if kind not in FAMILIES:
            raise ModelDamaged(f"The {checkpoint.name} model is of the type {kind}, not a Nemotron recogniser.", remedy)
        body, parts = FAMILIES[kind]
        network = load_network(body, checkpoint, placement)
        processor = load_part(parts, checkpoint)
        version = f"{checkpoint.version}, {placement.device} {placement.dtype}"
        try:
            return cls(network, processor, placement, version, languages)
        except ValueError as error:
            raise ModelDamaged(f"The {checkpoint.name} model contradicts itself: {error}.", remedy) from error

    def begin(self, latency: float, language: str) -> NemotronStream:
        """A stream of chunks of `latency` seconds, in a language of `languages` or AUTO."""
        enough = (frames for frames in self.lookaheads if (frames + 1) * self.frame >= latency - 1e-6)
        lookahead = next(enough, self.lookaheads[-1])
        return NemotronStream(self, lookahead, None if self._prompts is None else self._prompts[language])

    def hear(self, stream: NemotronStream, samples: Samples) -> list[Piece]:
        """The tokens of the next chunks, tags of languages among them. Raises EngineFailed."""
        import torch

        with self._lock, torch.inference_mode():
            network, device = self._network, self._placement.device
            if network is None:
                raise EngineFailed("The recogniser is closed.", "Open a new session.")
            inputs = self._extractor(samples, sampling_rate=SAMPLE_RATE, center=False, return_tensors="pt")
            prompt = {} if stream.prompt is None else {"prompt_ids": torch.tensor([stream.prompt], device=device)}
            encoded = network.get_audio_features(
                input_features=inputs.input_features.to(device, next(network.parameters()).dtype),
                num_lookahead_tokens=stream.lookahead,
                past_key_values=stream.past,
                padding_cache=stream.padding,
                use_cache=True,
                output_attention_mask=False,
                **prompt,
            )
            stream.past, stream.padding = encoded.past_key_values, encoded.padding_cache
            return self._said(stream, encoded.pooler_output[0])

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None

    def _said(self, stream: NemotronStream, frames: Any) -> list[Piece]:  # noqa: ANN401
        """What is said in encoded frames `[T, D]`, greedily. A block of them is asked at once for the next token, as
        most say none."""
        import torch
        from transformers.models.parakeet import generation_parakeet

        network, device = self._network, self._placement.device
        remember: Any = generation_parakeet.ParakeetRNNTDecoderCache
        if stream.told is None:
            stream.memory = remember(network.config)
            stream.told = network.decoder(torch.tensor([[self.blank]], device=device), cache=stream.memory)
        pieces: list[Piece] = []
        at = stayed = 0
        while at < len(frames):
            logits = network.joint(
                encoder_hidden_states=frames[at : at + BLOCK], decoder_hidden_states=stream.told[0]
            ).float()
            tokens: list[int] = logits.argmax(-1).tolist()
            ahead = next((i for i, token in enumerate(tokens) if token != self.blank), len(tokens))
            at, stayed = at + ahead, 0 if ahead else stayed
            if ahead == len(tokens):
                continue
            place, token = stream.frames + at, tokens[ahead]
            pieces.append(Piece(token, place, place + 1, float(logits[ahead].log_softmax(-1)[token])))
            stream.told = network.decoder(torch.tensor([[token]], device=device), cache=stream.memory)
            stayed += 1
            if stayed >= network.config.max_symbols_per_step:
                at, stayed = at + 1, 0  # it says more and more without going on
        stream.frames += len(frames)
        return pieces


@dataclass
class NemotronStream:
    """A `Stream`: what the network remembers of one utterance, no more of it than its window."""

    ear: NemotronEar
    lookahead: int
    prompt: int | None
    frames: int = 0
    past: Any = field(default=None, repr=False)
    padding: Any = field(default=None, repr=False)
    memory: Any = field(default=None, repr=False)
    told: Any = field(default=None, repr=False)
    language: str | None = None

    @property
    def before(self) -> int:
        """Half a window of the spectrum, so that its first lies around the first sample."""
        return self.ear.fft // 2

    @property
    def frame(self) -> float:
        """Seconds of a frame."""
        return self.ear.frame

    @property
    def latency(self) -> float:
        """Seconds of a chunk."""
        return (self.lookahead + 1) * self.ear.frame

    def reach(self, chunks: int) -> tuple[int, int]:
        """Samples looked at and done with; the first chunk begins with a frame of a single spectrum."""
        spectra = chunks * (self.lookahead + 1) * self.ear.mels - (0 if self.frames else self.ear.mels - 1)
        return (spectra - 1) * self.ear.hop + self.ear.fft, spectra * self.ear.hop

    def take(self, samples: Samples, chunks: int) -> list[Piece]:
        """What is said in the next chunks. Raises EngineFailed."""
        pieces = self.ear.hear(self, samples[: self.reach(chunks)[0]])
        for piece in pieces:
            if self.language is None and piece.token in self.ear.tags:
                self.language = self.ear.tags[piece.token] or None
        return [piece for piece in pieces if piece.token in self.ear.texts]

    def text(self, token: int) -> str:
        """What a token stands for."""
        return self.ear.texts[token]


def prompts(told: Mapping[str, int], languages: tuple[str, ...]) -> dict[str, int]:
    """The prompt of each language by its code, of the regions that have their own, and of AUTO.

    `told` is the checkpoint's dictionary of codes and locales; a language that has only locales there takes the first.
    Raises ValueError for a language without any.
    """
    bases = dict.fromkeys(key.partition("-")[0] for key in told)
    wanted = languages or tuple(code for code in bases if _language(code))
    made: dict[str, int] = {}
    for code in wanted:
        regions = [told[key] for key in told if key.startswith(f"{code}-")]
        if code not in told and not regions:
            raise ValueError(f"it has no prompt for {code}")
        made[code] = told[code] if code in told else min(regions)
    for key, prompt in told.items():
        if key == AUTO or (_LOCALE.fullmatch(key) and _language(key) in wanted and prompt not in made.values()):
            made[key] = prompt
    return made


def _language(code: str) -> str:
    """The language of a locale, or nothing where it is unknown here."""
    try:
        return "" if code == AUTO else find(code).tag
    except BadText:
        return ""
