"""From tokens to tokens: the loop that the encoder-decoder translators of transformers share.

Rows come length-sorted and bounded by tokens from `translator.py`; here one batch is generated (greedy or by beams) and
scored. Scores are read again by one pass over what was generated, one vocabulary at a time: `generate` would keep
those of every beam and step, which for a vocabulary of 256,000 is gigabytes. Knows no tokenizer and no language.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Row = Sequence[int]
SCORED = 64_000_000
"""Numbers of the largest table of logits that is held for scoring: 256 MB in float32."""


@dataclass(frozen=True)
class Search:
    """How to look for a translation. `beams` 1 is greedy; `no_repeat` is the longest run of tokens (n-gram) that may
    come twice, less one, and 0 lets everything repeat; `best` asks for so many hypotheses of each row."""

    beams: int = 1
    no_repeat: int = 0
    best: int = 1


@dataclass(frozen=True)
class Draft:
    """One hypothesis: its tokens without start, language and end; the mean probability of a token as exp(mean log p);
    whether the network ended it by itself."""

    tokens: tuple[int, ...]
    confidence: float
    ended: bool


@dataclass(frozen=True)
class Frame:
    """What a family of networks puts around its tokens, and forbids: `forced` is the token of the target language that
    comes first, where there is one; `never` are tokens that must not be generated."""

    start: int
    end: int
    pad: int
    forced: int | None = None
    never: tuple[int, ...] = ()


def generate(
    network: Any,  # noqa: ANN401 - a GenerationMixin of transformers
    rows: Sequence[Row],
    limits: Sequence[int],
    frame: Frame,
    search: Search,
) -> list[list[Draft]]:
    """The best hypotheses of each row, best first. `limits` are the most tokens of each. Deterministic."""
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    device = next(network.parameters()).device
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[frame.pad] * (width - len(row))] for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
    with torch.inference_mode():
        read = network.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        found = network.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=read),
            attention_mask=mask,
            generation_config=_config(network, max(limits), frame, search),
        )
    prefix = 1 if frame.forced is None else 2
    drafts: list[list[Draft]] = [[] for _ in rows]
    kept = [_tokens(line[prefix:], frame, limits[index // search.best]) for index, line in enumerate(found.tolist())]
    scores = _scores(network, read, mask, [tokens for tokens, _ in kept], [ended for _, ended in kept], frame, search)
    for index, ((tokens, ended), score) in enumerate(zip(kept, scores, strict=True)):
        drafts[index // search.best].append(Draft(tokens, score, ended))
    return drafts


def _config(network: Any, limit: int, frame: Frame, search: Search) -> Any:  # noqa: ANN401
    """The checkpoint's own generation settings, but for what decides length, search and determinism."""
    config = copy.deepcopy(network.generation_config)
    config.update(
        # room for one token more than the limit and an end, so that an end the checkpoint forces there is known as one
        max_length=1 + (frame.forced is not None) + limit + 2,
        min_length=0,
        num_beams=search.beams,
        num_return_sequences=search.best,
        no_repeat_ngram_size=search.no_repeat,
        do_sample=False,
        early_stopping=search.beams > 1,
        length_penalty=1.0,
        decoder_start_token_id=frame.start,
        eos_token_id=frame.end,
        pad_token_id=frame.pad,
        forced_bos_token_id=frame.forced,
        suppress_tokens=list(frame.never),
        return_dict_in_generate=False,
        use_cache=True,
    )
    return config


def _tokens(line: Row, frame: Frame, limit: int) -> tuple[tuple[int, ...], bool]:
    """What a row says, and whether it ended within its own limit, which a longer neighbour does not widen."""
    ended = frame.end in line
    said = [token for token in (line[: line.index(frame.end)] if ended else line) if token != frame.pad]
    return tuple(said[:limit]), ended and len(said) <= limit


def _scores(
    network: Any,  # noqa: ANN401
    read: Any,  # noqa: ANN401
    mask: Any,  # noqa: ANN401
    rows: Sequence[Row],
    ended: Sequence[bool],
    frame: Frame,
    search: Search,
) -> list[float]:
    """exp(mean log p) of each row's tokens and its end, as the bare network sees them; forced tokens do not count.
    `read` is what the encoder made of the sources."""
    import torch

    head = [frame.start] if frame.forced is None else [frame.start, frame.forced]
    vocabulary = network.get_output_embeddings()
    vocabulary = getattr(vocabulary, "out_features", None) or network.config.vocab_size
    longest = max(len(row) for row in rows) + 1 + len(head)
    at_once = max(1, SCORED // (longest * vocabulary))
    found: list[float] = []
    with torch.inference_mode():
        for first in range(0, len(rows), at_once):
            part = range(first, min(first + at_once, len(rows)))
            targets = [[*rows[index], *([frame.end] if ended[index] else [])] for index in part]
            inputs = [[*head, *target[:-1]] for target in targets]
            width = max(len(line) for line in inputs)
            fed = torch.tensor([[*line, *[frame.pad] * (width - len(line))] for line in inputs], device=read.device)
            of = torch.tensor([index // search.best for index in part], device=read.device)
            logits = network(encoder_outputs=(read[of],), attention_mask=mask[of], decoder_input_ids=fed).logits
            for line, target in zip(logits, targets, strict=True):
                if not target:
                    found.append(0.0)
                    continue
                seen = line[len(head) - 1 : len(head) - 1 + len(target)].float().log_softmax(-1)
                wanted = torch.tensor(target, device=read.device)
                mean = seen.gather(1, wanted[:, None]).mean().item()
                found.append(min(1.0, math.exp(mean)) if math.isfinite(mean) else 0.0)
    return found
