"""Marian translators: OPUS-MT of the Helsinki group (J. Tiedemann, S. Thottingal, 2020, "OPUS-MT").

A checkpoint is `config.json`, the weights, `source.spm`, `target.spm` and `vocab.json` (or one vocabulary a side), as
`Helsinki-NLP/opus-mt-*` has them. Models of several targets are told which by a first token, `>>spa<<`, that their
vocabulary names. Directions come from the catalogue's `pairs`. Text is cut into pieces by sentencepiece directly, so
nothing a text holds ("</s>", ">>fra<<") is taken for a token of the model. Knows no sentence ends and no batches:
`translator.py` does.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from ml.device import Placement
from ml.engines.generation import Draft, Frame, Search, generate, rehearse
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import EngineSpec
from ml.engines.steps import Steps
from ml.engines.translator import Said, Translator, TranslatorOptions
from ml.errors import EngineFailed, ModelDamaged, UnsupportedLanguage
from ml.languages import opus_codes
from ml.models.checkpoint import Checkpoint

ABSENT = ("model.encoder.embed_positions.", "model.decoder.embed_positions.")
"""Sinusoids, which older checkpoints hold and the class makes itself."""


class MarianText:
    """The words of a Marian checkpoint as tokens and back."""

    def __init__(self, checkpoint: Checkpoint, targets: Iterable[str]) -> None:
        """Reads the tokenizer; `targets` are the languages that it must be able to ask for. Raises ModelDamaged."""
        for name in ("config.json", "source.spm", "target.spm", "vocab.json"):
            checkpoint.file(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # transformers recommends sacremoses, which its tokenizer does not use
            self._tokenizer = load_part("MarianTokenizer", checkpoint)
        self.end, self.pad = self._tokenizer.eos_token_id, self._tokenizer.pad_token_id
        known = set(self._tokenizer.supported_language_codes)
        self._first: dict[str, tuple[int, ...]] = {}
        wanted = tuple(dict.fromkeys(targets))
        for target in wanted:
            token = next((f">>{code}<<" for code in opus_codes(target) if f">>{code}<<" in known), None)
            if token is not None:
                self._first[target] = (self._tokenizer.encoder[token],)
            elif not known or len(wanted) == 1:
                self._first[target] = ()
            else:
                raise ModelDamaged(
                    f"The {checkpoint.name} model has no token for {target!r}; it has {', '.join(sorted(known)[:8])}.",
                    "Correct `pairs` of its entry in the catalogue.",
                )

    def encode(self, sentence: str, target: str) -> list[int]:
        """The language's token where there is one, the pieces, the end."""
        if target not in self._first:
            raise UnsupportedLanguage(f"This model does not translate to {target!r}.", "Choose another model.")
        pieces = self._tokenizer.spm_source.encode(sentence, out_type=str)
        unknown = self._tokenizer.encoder[self._tokenizer.unk_token]
        ids = [self._tokenizer.encoder.get(piece, unknown) for piece in pieces]
        return [*self._first[target], *ids, self.end]

    def decode(self, tokens: Sequence[int]) -> str:
        """The words of generated tokens."""
        vocabulary = self._tokenizer.decoder
        pieces = [vocabulary[token] for token in tokens if token in vocabulary and token not in (self.end, self.pad)]
        text: str = self._tokenizer.spm_target.decode([piece for piece in pieces if piece != self._tokenizer.unk_token])
        return text.replace("▁", " ").strip()

    def written(self, tokens: Sequence[int]) -> list[str]:
        """Source tokens as strings, for runtimes that take those."""
        names = {index: piece for piece, index in self._tokenizer.encoder.items()}
        return [names[token] for token in tokens]

    def read(self, pieces: Sequence[str]) -> list[int]:
        """Target tokens of strings."""
        vocabulary = getattr(self._tokenizer, "target_encoder", None) or self._tokenizer.encoder
        return [vocabulary[piece] for piece in pieces if piece in vocabulary]


class MarianBody:
    """A `MarianMTModel` with its words; a `Body` of `Translator`."""

    def __init__(
        self,
        network: Any,  # noqa: ANN401
        text: MarianText,
        pairs: Sequence[tuple[str, str]],
        steps: Steps,
    ) -> None:
        """`network` computes on its own device; `steps` are its own, and closed with it."""
        self._network, self._text, self._pairs, self._steps = network, text, pairs, steps
        start = network.config.decoder_start_token_id
        self._frame = Frame(start, text.end, text.pad, never=(text.pad,))
        self._most = network.config.max_position_embeddings - 2

    def pairs(self) -> Iterable[tuple[str, str]]:
        """Those of the catalogue."""
        return self._pairs

    def length(self, sentence: str) -> int:
        """Tokens, end included."""
        return len(self._text.encode(sentence, self._pairs[0][1]))

    def say(self, sentences: Sequence[str], source: str, target: str, search: Search) -> list[list[Said]]:
        """The best hypotheses of each."""
        rows = [self._text.encode(sentence, target) for sentence in sentences]
        limits = [room(row, self._most) for row in rows]
        drafts = generate(self._network, rows, limits, self._frame, search, self._steps)
        return [[said(draft, self._text.decode(draft.tokens)) for draft in several] for several in drafts]

    def rehearse(self, beams: int) -> str:
        """Compile what can be."""
        return rehearse(self._network, self._frame, beams, self._steps)

    def close(self) -> None:
        """Let the weights go."""
        self._steps.close()
        self._network = None


class MarianTranslator(Translator):
    """The engine of the kind "marian"."""

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> MarianTranslator:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        pairs = directions(spec)
        text = MarianText(checkpoint, [target for _, target in pairs])
        network = load_network("MarianMTModel", checkpoint, placement, absent=ABSENT)
        body = MarianBody(network, text, pairs, Steps(network, placement))
        return cls(spec, version(checkpoint, placement), body, options_of(network))


def directions(spec: EngineSpec) -> tuple[tuple[str, str], ...]:
    """The pairs of the catalogue's entry. Raises EngineFailed where it says none."""
    if not spec.pairs:
        raise EngineFailed(f"The entry of {spec.name} says no pairs.", 'Add `pairs = ["en-es"]` to it.')
    return spec.pairs


def options_of(network: Any) -> TranslatorOptions:  # noqa: ANN401
    """Beams as the publishers set them (at most 4), sentences that the positions hold."""
    beams = min(4, int(getattr(network.generation_config, "num_beams", None) or 4))
    most = int(getattr(network.config, "max_position_embeddings", 0) or 512)
    return TranslatorOptions(beams=beams, longest_sentence=min(200, most // 2))


def room(row: Sequence[int], most: int) -> int:
    """The longest translation of a row: twice as long, and some more for short ones."""
    return min(most, 2 * len(row) + 16)


def said(draft: Draft, text: str) -> Said:
    """A draft with its words."""
    return Said(text, draft.confidence, len(draft.tokens), draft.ended)


def version(checkpoint: Checkpoint, placement: Placement) -> str:
    """What translated, for reports."""
    return f"{checkpoint.version}, {placement.device} {placement.dtype}"
