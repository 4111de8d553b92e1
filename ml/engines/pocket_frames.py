"""Pocket TTS frame by frame: a voice and a text go in, one latent of 80 ms comes out per step, and blocks of latents
become sound.

The rules of beginning, ending and drawing noise are those of transformers' `PocketTTSGenerationMixin`. Not thread-safe:
the caller takes turns. Knows neither texts nor pieces of them.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ml.device import Placement
from ml.engines.speaking import heard
from ml.errors import EngineFailed, ModelDamaged
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio, Samples

Voices = Mapping[str, Any]
"""Latents `[T, D]` by the voice's name."""
MASKS = ("loss_weighting.", "latent_stats_num_updates")
"""Used in training alone, and absent from published checkpoints."""
SEED = 0
SHORTEST, LONGEST = 1.0, 30.0
"""Seconds of a voice that are listened to."""
KEPT = 4
"""Voices whose prefixes are kept."""


@dataclass
class State:
    """A text under way: what the network remembers, and the latents `[D]` so far."""

    cache: Any
    noise: Any
    budget: int
    tail: int
    outputs: Any = None
    latents: list[Any] = field(default_factory=list)
    left: int | None = None
    """Frames that follow after the end was heard; None before."""
    ended: bool = False


class Frames:
    """The network and its codec."""

    def __init__(self, network: Any, codec: Any, placement: Placement) -> None:  # noqa: ANN401
        """`network` is a `PocketTTSForConditionalGeneration`, `codec` its `PocketTTSAudioTokenizerModel`."""
        self._network, self._codec, self._placement = network, codec, placement
        self.rate = int(codec.config.sampling_rate)
        self.hears = codec.encoder is not None
        generation = network.generation_config
        self._threshold = float(_or(getattr(generation, "eos_threshold", None), -4.0))
        self._earliest = int(_or(getattr(generation, "min_frames_before_eos", None), 6))
        self._steps = int(_or(getattr(generation, "num_flow_steps", None), 1))
        warmth = float(_or(generation.temperature, 1.0))
        self._spread = math.sqrt(warmth) if generation.do_sample else 0.0
        self._prefixes: OrderedDict[str, Any] = OrderedDict()

    def heard(self, reference: Audio, extractor: Any) -> Any:  # noqa: ANN401
        """Latents `[T, D]` of a recording of a voice at 16 kHz, its first half minute. Raises BadAudio."""
        import soxr
        import torch

        samples = heard(reference, SHORTEST, "Pocket TTS")[: round(LONGEST * SAMPLE_RATE)]
        sound = np.asarray(soxr.resample(samples, SAMPLE_RATE, self.rate), np.float32)
        given = extractor(sound, sampling_rate=self.rate, return_tensors="pt")
        dtype = next(self._codec.parameters()).dtype
        with torch.inference_mode():
            made = self._codec.encode(
                given["input_values"].to(self._placement.device, dtype),
                given["padding_mask"].to(self._placement.device),
            )
        return made.latents[0][made.latents_mask[0].bool()].float().cpu()

    def begin(self, ids: Any, tail: int, voice: Any) -> State:  # noqa: ANN401
        """A text of token ids `[1, N]` in a voice `[T, D]`; `tail` frames follow its end."""
        import torch

        config = self._network.config
        special = (
            config.audio_prompt_bos_token_id,
            config.audio_prompt_token_id,
            config.audio_bos_token_id,
            config.audio_latent_token_id,
        )
        if int(ids[0, -1]) != config.audio_bos_token_id:
            raise EngineFailed("The checkpoint's template does not end with the first audio token.", "Verify it.")
        count = int((~torch.isin(ids, torch.tensor(special))).sum())
        state = State(
            cache=copy.deepcopy(self._prefix(voice)),
            noise=torch.Generator().manual_seed(SEED),
            budget=math.ceil((count / 3 + 2) * config.frame_rate),
            tail=tail,
        )
        with torch.inference_mode():
            state.outputs = self._network(
                input_ids=ids.to(self._placement.device), past_key_values=state.cache, use_cache=True
            )
        return state

    def step(self, state: State) -> None:
        """One latent more. Does nothing after the end."""
        import torch

        if state.ended:
            return
        network, config = self._network, self._network.config
        with torch.inference_mode():
            condition = state.outputs.last_hidden_state[:, -1]
            ending = float(state.outputs.logits[0, -1, 0]) > self._threshold
            noise = torch.randn(1, config.latent_dim, generator=state.noise) * self._spread
            latent = network.sample_latent(condition, noise.to(condition.device, condition.dtype), self._steps)
            if state.left is None and ending and len(state.latents) >= self._earliest:
                state.left = state.tail
            state.latents.append(network.denormalize_latents(latent)[0])
            state.ended = state.left == 0 or len(state.latents) >= state.budget
            if state.left:
                state.left -= 1
            if not state.ended:
                place = torch.full((1, 1), config.audio_latent_token_id, device=self._placement.device)
                state.outputs = network(
                    input_ids=place, audio_latents=latent[:, None], past_key_values=state.cache, use_cache=True
                )
            else:
                state.outputs = state.cache = None

    def sound(self, latents: list[Any], first: int, context: int) -> Samples:
        """Sound of the latents from `first` on, at the codec's rate, decoded with up to `context` before them."""
        import torch

        start = max(0, first - context)
        if first >= len(latents):
            return np.zeros(0, np.float32)
        dtype = next(self._codec.parameters()).dtype
        with torch.inference_mode():
            block = torch.stack(latents[start:])[None].to(self._placement.device, dtype)
            values = self._codec.decode(block).audio_values[0, 0].float().cpu().numpy()
        size = int(self._codec.config.frame_size)
        made: Samples = values[(first - start) * size : (len(latents) - start) * size].copy()
        return made

    def _prefix(self, voice: Any) -> Any:  # noqa: ANN401
        """Keys and values of a voice, computed once."""
        import torch

        latents = voice.to(torch.float32)
        key = hashlib.sha256(latents.numpy().tobytes()).hexdigest()
        if key in self._prefixes:
            self._prefixes.move_to_end(key)
            return self._prefixes[key]
        config = self._network.config
        ids = [config.audio_prompt_bos_token_id, *[config.audio_prompt_token_id] * len(latents)]
        with torch.inference_mode():
            made = self._network(
                input_ids=torch.tensor([ids], device=self._placement.device),
                audio_prompt_latents=latents[None].to(self._placement.device),
                use_cache=True,
            ).past_key_values
        self._prefixes[key] = made
        if len(self._prefixes) > KEPT:
            self._prefixes.popitem(last=False)
        return made


def read_voices(checkpoint: Checkpoint, size: int) -> Voices:
    """The voices in `voices/` of a checkpoint, latents `[T, size]`. Raises ModelDamaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found = {}
    for path in sorted((checkpoint.folder / "voices").glob("*.safetensors")):
        mend = f"node models verify {checkpoint.name}"
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ModelDamaged(f"The voice {path.name} of {checkpoint.name} cannot be read.", mend) from error
        latents = next(iter(tensors.values())) if len(tensors) == 1 else None
        if latents is None or latents.ndim != 2 or latents.shape[1] != size or not bool(latents.isfinite().all()):
            raise ModelDamaged(f"The voice {path.name} of {checkpoint.name} holds no latents [T, {size}].", mend)
        found[path.stem] = latents.float()
    return found


def _or(value: Any, otherwise: float) -> Any:  # noqa: ANN401
    return otherwise if value is None else value
