"""MADLAD-400 translators (S. Kudugunta et al., 2023): T5 networks that are told the target by a first token, `<2es>`.

The source's language is not told: the network reads about 400. The published `google/madlad400-*-mt` lack the tensor
`shared.weight`, and hold the embeddings as `decoder.embed_tokens.weight` beside an own `lm_head.weight`; some versions
of transformers 5 then read sentences with the output's matrix and say nothing (huggingface/transformers #48154), so
that is looked at after loading. Words are read from `tokenizer.json` as it was published: `T5Tokenizer` of
transformers 5 takes T5's own numbers for the unknown token and the end, which are others here. Knows no sentence ends
and no batches: `translator.py` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import permutations
from typing import Any

from ml.device import Placement
from ml.engines.generation import Frame, Search, generate, rehearse
from ml.engines.loading import load_network, load_part
from ml.engines.marian import options_of, room, said, version
from ml.engines.protocols import EngineSpec
from ml.engines.steps import Steps
from ml.engines.translator import Said, Translator
from ml.errors import ModelDamaged
from ml.languages import find, languages
from ml.models.checkpoint import Checkpoint

MOST = 512
"""Tokens of the longest translation; T5 has no positions that would bound it."""
_TAG = re.compile(r"<(?=(?:2\w+|/?s|unk|pad)>)")
"""The beginning of what would be a token of the model; its vocabulary matches even "</s>" in a text."""


class MadladBody:
    """A `T5ForConditionalGeneration` with its words; a `Body` of `Translator`."""

    def __init__(self, network: Any, tokenizer: Any, targets: dict[str, int], steps: Steps) -> None:  # noqa: ANN401
        """`targets` are the tokens of the languages, by BCP 47; `steps` are the network's, and closed with it."""
        self._network, self._tokenizer, self._targets, self._steps = network, tokenizer, targets, steps
        self._end, self._pad = network.config.eos_token_id, network.config.pad_token_id
        start = network.config.decoder_start_token_id
        never = (self._pad, *targets.values())
        self._frame = Frame(self._pad if start is None else start, self._end, self._pad, never=never)

    def pairs(self) -> Iterable[tuple[str, str]]:
        """Every language to every other."""
        return permutations(sorted(self._targets), 2)

    def length(self, sentence: str) -> int:
        """Tokens, target and end included."""
        return len(self._pieces(sentence)) + 2

    def say(self, sentences: Sequence[str], source: str, target: str, search: Search) -> list[list[Said]]:
        """The best hypotheses of each."""
        first = self._targets[target if target in self._targets else find(target).tag]
        rows = [[first, *self._pieces(sentence), self._end] for sentence in sentences]
        drafts = generate(self._network, rows, [room(row, MOST) for row in rows], self._frame, search, self._steps)
        return [[said(draft, self._words(draft.tokens)) for draft in several] for several in drafts]

    def rehearse(self, beams: int) -> str:
        """Compile what can be."""
        return rehearse(self._network, self._frame, beams, self._steps)

    def close(self) -> None:
        """Let the weights go."""
        self._steps.close()
        self._network = None

    def _pieces(self, sentence: str) -> list[int]:
        """Tokens of the text; a "<2fr>" or "</s>" of its own is set apart: it chooses no language, and ends nothing."""
        apart = _TAG.sub("< ", sentence)
        found: list[int] = self._tokenizer(apart, add_special_tokens=False, split_special_tokens=True).input_ids
        return found

    def _words(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.strip()


class MadladTranslator(Translator):
    """The engine of the kind "madlad"."""

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> MadladTranslator:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        for name in ("config.json", "tokenizer.json"):
            checkpoint.file(name)
        words = load_part("PreTrainedTokenizerFast", checkpoint)
        vocabulary = words.get_vocab()
        network = load_network("T5ForConditionalGeneration", checkpoint, placement)
        _reads_with_its_embeddings(network, checkpoint)
        targets = {
            one.tag: index
            for one in languages()
            for index in [vocabulary.get(f"<2{one.codes.get('madlad', one.tag.replace('-', '_'))}>")]
            if index is not None
        }
        if not targets:
            raise ModelDamaged(
                f"The {checkpoint.name} model names no target languages (<2es>).", "It is not a MADLAD translator."
            )
        body = MadladBody(network, words, targets, Steps(network, placement))
        return cls(spec, version(checkpoint, placement), body, options_of(network))


def _reads_with_its_embeddings(network: Any, checkpoint: Checkpoint) -> None:  # noqa: ANN401
    """Raises ModelDamaged where encoder and decoder got different tables, which no T5 has."""
    import torch

    one, other = network.encoder.embed_tokens.weight, network.decoder.embed_tokens.weight
    if one.data_ptr() != other.data_ptr() and not torch.equal(one, other):
        raise ModelDamaged(
            f"The {checkpoint.name} model was loaded with its output matrix for its input.",
            "Use transformers 5.23 or newer: pip install -c constraints.txt transformers",
        )
