"""How Whisper's decoder is asked for text: greedy or by beams first, and where the text repeats itself or the network
doubts it, by sampling at rising temperatures (A. Radford et al., 2022, section 4.5).

Knows a network and token numbers, no words and no sound.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ml.engines.steps import Size, Steps

REHEARSAL = 6
"""Tokens that a rehearsal makes."""


@dataclass(frozen=True)
class DecodingOptions:
    """`beams` of 1 is greedy. The next of `temperatures` is tried where the text's compression ratio is above
    `repetitive`, or the mean log-probability of its tokens under `doubtful`; both thresholds and `silent` are those of
    the paper."""

    beams: int = 1
    temperatures: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    repetitive: float = 2.4
    doubtful: float = -1.0
    silent: float = 0.6
    longest: int = 224
    """Tokens of one window."""
    seed: int = 0


@dataclass(frozen=True)
class Decoded:
    """Tokens without the end mark, the mean log-probability of them and the end mark, and how likely it is that there
    was no speech at all."""

    tokens: tuple[int, ...]
    mean: float
    no_speech: float
    temperature: float


@dataclass(frozen=True)
class Marks:
    """Token numbers: those never said, those not said first, the end, and the one that stands for silence, with the
    place in the prompt after which it would come."""

    never: tuple[int, ...]
    not_first: tuple[int, ...]
    end: int
    no_speech: int | None
    start_at: int


def repetition(text: str) -> float:
    """How much shorter deflate makes a text: 2 is ordinary, above 2.4 is a loop."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def size_of(network: Any, beams: int) -> Size:  # noqa: ANN401
    """Of the steps of a Whisper: its window and its longest text are always the same."""
    return Size(beams, network.config.max_source_positions, network.config.max_target_positions)


def rehearse(network: Any, prompt: Sequence[int], beams: Iterable[int], steps: Steps) -> str:  # noqa: ANN401
    """Compile the steps of searches with so many beams, by saying something about nothing; see `Steps.rehearse`."""
    import torch

    weight = next(network.parameters())

    def job(size: Size) -> None:
        cache = steps.cache(size)
        with torch.inference_mode():
            encoded = torch.zeros(1, size.source, network.config.d_model, device=weight.device, dtype=weight.dtype)
            for step in range(1 + REHEARSAL):
                ids = torch.tensor([list(prompt if step == 0 else prompt[-1:])] * size.rows, device=weight.device)
                (network if step == 0 else steps.step)(
                    encoder_outputs=(encoded.expand(size.rows, -1, -1),),
                    decoder_input_ids=ids,
                    past_key_values=cache,
                    use_cache=True,
                )

    return steps.rehearse([size_of(network, one) for one in beams], job)


class Decoder:
    """Decodes one window: `encoded` `[1, T, D]` is what the encoder made of it. Not thread-safe."""

    def __init__(self, network: Any, encoded: Any, steps: Steps | None = None) -> None:  # noqa: ANN401
        """`network` is a `WhisperForConditionalGeneration`; `steps` are its own, where they may be compiled."""
        self._network, self._encoded, self._steps = network, encoded, steps

    def decode(
        self, prompt: Sequence[int], marks: Marks, options: DecodingOptions, text: Callable[[Sequence[int]], str]
    ) -> Decoded:
        """The text after `prompt`, at the first temperature that gives a good one, else at the last."""
        found = self._once(prompt, marks, options, options.temperatures[0])
        for temperature in options.temperatures[1:]:
            looped = repetition(text(found.tokens)) > options.repetitive
            doubtful = found.mean < options.doubtful
            if not looped and (not doubtful or found.no_speech > options.silent):
                break
            found = self._once(prompt, marks, options, temperature)
        return found

    def logits(self, tokens: Sequence[int]) -> Any:  # noqa: ANN401
        """What the network would say after each of `tokens`, `[len, V]`, float32."""
        import torch

        with torch.inference_mode():
            ids = torch.tensor([list(tokens)], device=self._encoded.device)
            return (
                self._network(encoder_outputs=(self._encoded,), decoder_input_ids=ids, use_cache=False)
                .logits[0]
                .float()
            )

    def attention(self, tokens: Sequence[int]) -> tuple[Any, list[Any]]:
        """The same, with cross-attention `[heads, len, T]` of each layer of the decoder."""
        import torch

        usual = self._network.config._attn_implementation
        with torch.inference_mode():
            ids = torch.tensor([list(tokens)], device=self._encoded.device)
            self._network.set_attn_implementation("eager")  # the other kinds do not give their weights away
            try:
                made = self._network(
                    encoder_outputs=(self._encoded,), decoder_input_ids=ids, use_cache=False, output_attentions=True
                )
            finally:
                self._network.set_attn_implementation(usual)
        return made.logits[0].float(), [layer[0].float() for layer in made.cross_attentions]

    def _once(self, prompt: Sequence[int], marks: Marks, options: DecodingOptions, temperature: float) -> Decoded:
        import torch
        from transformers import DynamicCache, EncoderDecoderCache

        beams = options.beams if temperature == 0 else 1
        device = self._encoded.device
        encoded = self._encoded.expand(beams, -1, -1)
        steps, size = self._steps, None
        if steps is not None:
            size = steps.fitting(size_of(self._network, beams), exactly=True)
        say = self._network
        cache = steps.cache(size) if steps and size else EncoderDecoderCache(DynamicCache(), DynamicCache())
        dice = torch.Generator().manual_seed(options.seed)
        room = min(options.longest, self._network.config.max_target_positions - len(prompt))
        ids = torch.tensor([list(prompt)] * beams, device=device)
        never = torch.tensor(marks.never, device=device, dtype=torch.long)
        not_first = torch.tensor(marks.not_first, device=device, dtype=torch.long)
        said: list[tuple[int, ...]] = [()] * beams
        scores = torch.tensor([0.0] + [-torch.inf] * (beams - 1), device=device)
        done: list[tuple[float, tuple[int, ...]]] = []
        no_speech = 0.0
        with torch.inference_mode():
            for step in range(room):
                logits = say(
                    encoder_outputs=(encoded,), decoder_input_ids=ids, past_key_values=cache, use_cache=True
                ).logits.float()
                if step == 0 and marks.no_speech is not None:
                    no_speech = float(logits[0, marks.start_at].softmax(-1)[marks.no_speech])
                if steps and size:
                    say = steps.step
                last = logits[:, -1].index_fill(1, never, -torch.inf)
                if step == 0:
                    last = last.index_fill(1, not_first, -torch.inf)
                likely = last.log_softmax(-1)
                if temperature > 0:
                    chosen = torch.multinomial((last[0] / temperature).softmax(-1).cpu(), 1, generator=dice).to(device)
                    scored, places = scores + likely[0, chosen], chosen
                else:
                    scored, places = (scores[:, None] + likely).flatten().topk(beams + 1)
                grown: list[tuple[float, int, tuple[int, ...]]] = []
                for score, place in zip(scored.tolist(), places.tolist(), strict=True):
                    beam, token = divmod(place, likely.shape[1])
                    if len(grown) == beams or score == -torch.inf:
                        continue
                    if token == marks.end:
                        done.append((score / (len(said[beam]) + 1), said[beam]))
                    else:
                        grown.append((score, beam, (*said[beam], token)))
                done = sorted(done, reverse=True)[:beams]
                if not grown or (len(done) == beams and done[-1][0] >= grown[0][0] / (step + 2)):
                    break  # nothing that goes on is better than what is done
                grown += [(-torch.inf, *grown[0][1:])] * (beams - len(grown))
                said = [tokens for _, _, tokens in grown]
                scores = torch.tensor([score for score, _, _ in grown], device=device)
                ids = torch.tensor([[tokens[-1]] for tokens in said], device=device)
                if beams > 1:
                    order: Any = torch.tensor([beam for _, beam, _ in grown], device=device)
                    cache.reorder_cache(order)
            else:
                done += [(float(score) / (len(tokens) + 1), tokens) for score, tokens in zip(scores, said, strict=True)]
        mean, tokens = max(done)
        return Decoded(tokens, mean, no_speech, temperature)
