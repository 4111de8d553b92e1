"""Hears English quickly on small machines: Moonshine (N. Jeffries et al., 2024, "Moonshine: Speech Recognition for Live
Transcription and Voice Commands").

Runs checkpoints of transformers' `MoonshineForConditionalGeneration`, such as UsefulSensors/moonshine-tiny. It reads
the waveform itself and works as long as the sound is, with nothing filled up to 30 s. The network gives no times of
words; here they are estimated from its cross-attention, as its publisher's library does. Knows nothing of sessions
(`hearing.py`, `agreement.py`) nor of how windows are joined (`window.py`).
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from ml.device import Placement
from ml.engines.hearing import Recogniser
from ml.engines.interpreting import cuts
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import AsrOptions, EngineSpec
from ml.engines.sphinx_level import FLOOR
from ml.engines.strided import Grid
from ml.engines.whisper_words import FRAME, token_times
from ml.engines.window import Heard, shifted
from ml.errors import EngineFailed, ModelDamaged
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples, Word

WINDOW = 15.0
"""Seconds heard at once. It was trained on up to 30; its publisher's library cuts at 15."""
SHORTEST = 0.1
"""Seconds; shorter sound is filled up with silence, since less does not go through the convolutions."""
PER_SECOND = {"en": 6.5, "es": 6.5}
"""The most tokens that are said of a second of speech, by the model cards: what is longer is a loop."""
PER_SECOND_ELSE = 13.0
"""The same for its other languages, whose words the tokenizer cuts smaller (the library's notes on its models)."""
AT_LEAST = 6
"""Tokens that the shortest sound may have: the cards' rule leaves a third of a second of "Yes." no room for an end."""
ROUNDS = 2
"""A cycle that comes once more than this often at an end that was cut off is a loop."""
LEAST_CUT = 3.0
"""Seconds; a window in which it loses itself is heard again in two pieces, unless it is shorter."""
PIECE = 0.6
"""Share of a window that the larger of the two pieces has at most; they are cut where it is quietest."""
SPACE = "\u2581"


@dataclass(frozen=True, eq=False)
class Decoded:
    """What was said of one window: tokens without marks, and their log-probabilities."""

    tokens: tuple[int, ...]
    likely: tuple[float, ...]
    lost: bool = False
    """Whether it was a loop, so that the rest of the window was not heard."""


def unlooped(tokens: Sequence[int]) -> int:
    """How many tokens are left when the cycle that they end in is said once: all of them where there is none.

    For what did not end by itself: a decoder that has lost the sound says its last words over and over.
    """
    best = len(tokens)
    for size in range(1, len(tokens) // (ROUNDS + 1) + 1):
        run = 0  # tokens at the end that are those of a round before
        while run + size < len(tokens) and tokens[-1 - run] == tokens[-1 - run - size]:
            run += 1
        if run >= ROUNDS * size:
            best = min(best, len(tokens) - run)
    return best


class MoonshineRecogniser(Recogniser):
    """An `Asr` that runs Moonshine."""

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        return cls(spec, MoonshineEar.load(checkpoint, placement, spec.languages))


class MoonshineEar:
    """An `Ear`. One call computes at a time; the others wait."""

    window, detects, takes_notes = WINDOW, False, False
    network: ClassVar[str] = "MoonshineForConditionalGeneration"
    """The class of transformers that computes."""

    def __init__(
        self,
        network: Any,  # noqa: ANN401
        extractor: Any,  # noqa: ANN401
        tokenizer: Any,  # noqa: ANN401
        placement: Placement,
        version: str,
        languages: tuple[str, ...] = ("en",),
    ) -> None:
        """`network` is of the class `network` of transformers, `extractor` a `Wav2Vec2FeatureExtractor`, `tokenizer` a
        `TokenizersBackend`; `languages` are what it was trained on, which it does not say itself. Raises ValueError
        where they do not fit together."""
        self._network, self._extractor, self._tokenizer = network, extractor, tokenizer
        self._placement, self.version, self.languages = placement, version, languages or ("en",)
        config, settings = network.config, network.generation_config
        if len(tokenizer) > config.vocab_size:
            raise ValueError("its tokenizer has more tokens than its network")
        if extractor.sampling_rate != SAMPLE_RATE:
            raise ValueError(f"it hears {extractor.sampling_rate} Hz, not {SAMPLE_RATE}")
        start = settings.decoder_start_token_id
        self._start = settings.bos_token_id if start is None else start
        ends = settings.eos_token_id
        self._ends = tuple(ends) if isinstance(ends, list | tuple) else (ends,)
        if self._start is None or None in self._ends:
            raise ValueError("its settings lack the tokens that begin and end a text")
        marks = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._marks = frozenset({*marks, self._start, *self._ends})
        self._room = int(config.max_position_embeddings) - 1
        self._frame = self.grid(config).stride / SAMPLE_RATE
        self._lock = threading.Lock()

    @classmethod
    def load(cls, checkpoint: Checkpoint, placement: Placement, languages: tuple[str, ...] = ("en",)) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        network = load_network(cls.network, checkpoint, placement)
        extractor = load_part("Wav2Vec2FeatureExtractor", checkpoint)
        tokenizer = load_part("TokenizersBackend", checkpoint)
        version = f"{checkpoint.version}, {placement.device} {placement.dtype}"
        try:
            return cls(network, extractor, tokenizer, placement, version, languages)
        except ValueError as error:
            raise ModelDamaged(
                f"The {checkpoint.name} model contradicts itself: {error}.", f"node models verify {checkpoint.name}"
            ) from error

    @classmethod
    def grid(cls, config: Any) -> Grid:  # noqa: ANN401
        """Where its frames lie in the sound: three convolutions without padding."""
        return Grid.of((127, 7, 3), (64, 3, 2))

    def hear(self, samples: Samples, options: AsrOptions, before: str = "") -> Heard:
        """The words of 16 kHz samples `[N]`. Raises EngineFailed."""
        if not len(samples) or float(np.abs(samples).max()) < FLOOR:  # half a window, perhaps
            return Heard((), options.language)
        missing = round(SHORTEST * SAMPLE_RATE) - len(samples)
        sound = np.pad(samples, (0, max(0, missing)))
        seconds = len(samples) / SAMPLE_RATE
        with self._lock:
            if self._network is None:
                raise EngineFailed("The recogniser is closed.", "Open a new session.")
            encoded = self._encode(sound)
            found = self._decode(encoded, self.limit(len(sound) / SAMPLE_RATE, options.language))
            times = self._times(encoded, found.tokens, seconds) if found.tokens else np.zeros(1)
        if found.lost and seconds >= LEAST_CUT:
            words: tuple[Word, ...] = ()
            for first, last in cuts(samples, PIECE * seconds):
                words += shifted(self.hear(samples[first:last], options).words, first / SAMPLE_RATE)
            return Heard(words, options.language)
        return Heard(self._words(found, times), options.language)

    def limit(self, seconds: float, language: str = "en") -> int:
        """The most tokens, the end among them, that are said of so many seconds."""
        usual = math.ceil(PER_SECOND.get(language, PER_SECOND_ELSE) * seconds) + 1
        return min(self._room, max(AT_LEAST, usual))

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None

    def _encode(self, sound: Samples) -> Any:  # noqa: ANN401
        import torch

        values = self._extractor(sound, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
        dtype = next(self._network.parameters()).dtype
        with torch.inference_mode():
            return self._network.get_encoder()(values.to(self._placement.device, dtype))

    def _given(self, encoded: Any) -> Any:  # noqa: ANN401
        """What the encoder made, for the decoder to read."""
        return encoded

    def _decode(self, encoded: Any, limit: int) -> Decoded:  # noqa: ANN401
        import torch

        config = copy.deepcopy(self._network.generation_config)
        config.update(
            max_length=1 + limit,  # the checkpoint's own would be complained about, beside a max_new_tokens
            max_new_tokens=None,
            do_sample=False,
            num_beams=1,
            pad_token_id=self._ends[0],
            return_dict_in_generate=True,
            output_logits=True,
        )
        prompt = torch.tensor([[self._start]], device=self._placement.device)
        with torch.inference_mode():
            made = self._network.generate(
                encoder_outputs=self._given(encoded), decoder_input_ids=prompt, generation_config=config
            )
        said = made.sequences[0, 1:].tolist()
        end = next((place for place, token in enumerate(said) if token in self._ends), None)
        kept = [place for place, token in enumerate(said[:end]) if token not in self._marks]
        once = len(kept) if end is not None else unlooped([said[place] for place in kept])
        lost, kept = once < len(kept), kept[:once]
        likely = tuple(float(made.logits[place][0].float().log_softmax(-1)[said[place]]) for place in kept)
        return Decoded(tuple(said[place] for place in kept), likely, lost)

    def _times(self, encoded: Any, tokens: tuple[int, ...], seconds: float) -> Any:  # noqa: ANN401
        """Seconds at which each token begins, and the last one ends, `[len(tokens) + 1]`."""
        import torch

        network = self._network
        ids = torch.tensor([[self._start, *tokens, self._ends[0]]], device=self._placement.device)
        usual = network.config._attn_implementation
        network.set_attn_implementation("eager")  # the other kinds do not give their weights away
        try:
            with torch.inference_mode():
                made = network(
                    encoder_outputs=self._given(encoded),
                    decoder_input_ids=ids,
                    use_cache=False,
                    output_attentions=True,
                )
        finally:
            network.set_attn_implementation(usual)
        rows = torch.cat([layer[0] for layer in made.cross_attentions]).float().cpu().numpy()
        frames = max(1, min(rows.shape[-1], round(seconds / self._frame)))
        return token_times(rows, 1, frames) / FRAME * self._frame

    def _words(self, found: Decoded, times: Any) -> tuple[Word, ...]:  # noqa: ANN401
        pieces: list[str] = self._tokenizer.convert_ids_to_tokens(list(found.tokens))
        starts = [place for place, piece in enumerate(pieces) if not place or piece.startswith(SPACE)]
        made = []
        for first, last in zip(starts, [*starts[1:], len(pieces)], strict=False):
            text = str(self._tokenizer.decode(list(found.tokens[first:last]))).strip().replace("\ufffd", "")
            if text:
                sure = float(np.exp(np.mean(found.likely[first:last])))
                made.append(Word(text, float(times[first]), float(times[last]), sure))
        return tuple(made)
