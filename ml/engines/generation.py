"""From tokens to tokens: the loop that the encoder-decoder translators of transformers share.

Rows come length-sorted and bounded by tokens from `translator.py`; here one batch is generated (greedy or by beams) and
scored. Scores are read again by one pass over what was generated, one vocabulary at a time: `generate` would keep
those of every beam and step, which for a vocabulary of 256,000 is gigabytes. Where steps were compiled (`steps.py`), a
batch that fits is padded to their size. Knows no tokenizer and no language.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ml.engines.steps import Size, Steps

Row = Sequence[int]
SCORED = 64_000_000
"""Numbers of the largest table of logits that is held for scoring: 256 MB in float32."""
REHEARSED = (1, 8)
"""How many texts at once ..."""
LONGEST = 64
"""... of at most how many tokens steps are compiled for: a sentence of live speech, and a batch of sentences."""
REHEARSAL = 6
"""Tokens that a rehearsal makes."""


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
    steps: Steps | None = None,
) -> list[list[Draft]]:
    """The best hypotheses of each row, best first. `limits` are the most tokens of each. Deterministic. `steps` are
    those of the network, where they may be compiled."""
    config = _config(network, max(limits), frame, search)
    if steps is None:
        return _drafts(network, rows, limits, frame, search, _read(network, rows, frame, config))
    size = steps.fitting(Size(len(rows) * search.beams, max(map(len, rows)), config.max_length))
    return steps.run(
        lambda: _drafts(network, rows, limits, frame, search, _read(network, rows, frame, config, steps, size))
    )


def rehearse(network: Any, frame: Frame, beams: int, steps: Steps) -> str:  # noqa: ANN401
    """Compile the steps of translations with so many beams. Says why not, where they are not; see `Steps.rehearse`."""
    width = min(LONGEST, int(getattr(network.config, "max_position_embeddings", None) or LONGEST))
    length = 3 * width  # twice as long and some more, as `room` of marian.py lets it be

    def job(size: Size) -> object:
        config = _config(network, REHEARSAL, frame, Search(beams))
        config.min_length = REHEARSAL
        return _read(network, [[frame.end]], frame, config, steps, size)

    return steps.rehearse([Size(texts * beams, width, length) for texts in REHEARSED], job)


@dataclass(frozen=True)
class _Found:
    """What the encoder made of the sources `[N, T, D]`, their mask `[N, T]`, and the rows that were generated."""

    read: Any
    mask: Any
    lines: list[list[int]]


def _read(
    network: Any,  # noqa: ANN401
    rows: Sequence[Row],
    frame: Frame,
    config: Any,  # noqa: ANN401
    steps: Steps | None = None,
    size: Size | None = None,
) -> _Found:
    """Encode and generate; in the size of compiled steps where one is given, with the first row again as padding."""
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    device = next(network.parameters()).device
    width = max(len(row) for row in rows)
    full = list(rows)
    if size is not None:
        width = size.source
        full += [rows[0]] * (size.rows // config.num_beams - len(rows))
    ids = torch.tensor([[*row, *[frame.pad] * (width - len(row))] for row in full], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in full], device=device)
    with torch.inference_mode():
        read = network.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        given = {"encoder_outputs": BaseModelOutput(last_hidden_state=read), "attention_mask": mask}
        if steps is None or size is None:
            found = network.generate(**given, generation_config=config)
        else:
            with steps.leading():
                found = network.generate(**given, generation_config=config, past_key_values=steps.cache(size))
    return _Found(read, mask, found[: len(rows) * config.num_return_sequences].tolist())


def _drafts(
    network: Any,  # noqa: ANN401
    rows: Sequence[Row],
    limits: Sequence[int],
    frame: Frame,
    search: Search,
    found: _Found,
) -> list[list[Draft]]:
    prefix = 1 if frame.forced is None else 2
    drafts: list[list[Draft]] = [[] for _ in rows]
    kept = [_tokens(line[prefix:], frame, limits[index // search.best]) for index, line in enumerate(found.lines)]
    tokens, ends = [tokens for tokens, _ in kept], [ended for _, ended in kept]
    scores = _scores(network, found.read, found.mask, tokens, ends, frame, search)
    for index, ((said, ended), score) in enumerate(zip(kept, scores, strict=True)):
        drafts[index // search.best].append(Draft(said, score, ended))
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
        disable_compile=True,  # what is compiled is `steps`
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
