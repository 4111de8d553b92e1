"""Translators among many languages: NLLB-200 (NLLB team, 2022) and M2M100 (A. Fan et al., 2020).

Both are transformers' `M2M100ForConditionalGeneration`: the source begins with the token of its language, the target is
made to begin with that of its own. They differ in language codes (`eng_Latn`, `__en__`) and files: NLLB's words are
read from its `tokenizer.json` as it was published, M2M100's from `sentencepiece.bpe.model` and `vocab.json`. A text's
own "</s>" or "spa_Latn" stays text. Knows no sentence ends and no batches: `translator.py` does.
"""

from __future__ import annotations

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
from ml.languages import find, languages, to_code
from ml.models.checkpoint import Checkpoint

ABSENT = ("model.encoder.embed_positions.", "model.decoder.embed_positions.")
"""Sinusoids, which older checkpoints hold and the class makes itself."""


class ManyBody:
    """An `M2M100ForConditionalGeneration` with its words; a `Body` of `Translator`."""

    def __init__(self, network: Any, tokenizer: Any, languages: dict[str, int], steps: Steps) -> None:  # noqa: ANN401
        """`languages` are the tokens of the languages, by BCP 47; `steps` are the network's, and closed with it."""
        self._network, self._tokenizer, self._languages, self._steps = network, tokenizer, languages, steps
        self._end, self._pad = network.config.eos_token_id, network.config.pad_token_id
        self._never = (self._pad, *languages.values())
        self._most = network.config.max_position_embeddings - 2

    def pairs(self) -> Iterable[tuple[str, str]]:
        """Every language to every other."""
        return permutations(sorted(self._languages), 2)

    def length(self, sentence: str) -> int:
        """Tokens, language and end included."""
        return len(self._pieces(sentence)) + 2

    def say(self, sentences: Sequence[str], source: str, target: str, search: Search) -> list[list[Said]]:
        """The best hypotheses of each."""
        first, forced = self._token(source), self._token(target)
        rows = [[first, *self._pieces(sentence), self._end] for sentence in sentences]
        never = tuple(token for token in self._never if token != forced)
        frame = Frame(self._network.config.decoder_start_token_id, self._end, self._pad, forced, never)
        drafts = generate(self._network, rows, [room(row, self._most) for row in rows], frame, search, self._steps)
        return [[said(draft, self._words(draft.tokens)) for draft in several] for several in drafts]

    def rehearse(self, beams: int) -> str:
        """Compile what can be."""
        frame = Frame(self._network.config.decoder_start_token_id, self._end, self._pad, never=self._never)
        return rehearse(self._network, frame, beams, self._steps)

    def close(self) -> None:
        """Let the weights go."""
        self._steps.close()
        self._network = None

    def _token(self, tag: str) -> int:
        return self._languages[tag if tag in self._languages else find(tag).tag]

    def _pieces(self, sentence: str) -> list[int]:
        """By sentencepiece itself where the tokenizer has it (M2M100), else told to find no tokens in the text."""
        model = getattr(self._tokenizer, "sp_model", None)
        if model is not None:
            ids: list[int] = self._tokenizer.convert_tokens_to_ids(model.encode(sentence, out_type=str))
            return ids
        encoded = self._tokenizer(sentence, add_special_tokens=False, split_special_tokens=True)
        found: list[int] = encoded.input_ids
        return found

    def _words(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.strip()


class NllbTranslator(Translator):
    """The engine of the kind "nllb"."""

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> NllbTranslator:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        return cls(*_parts(spec, checkpoint, placement, "PreTrainedTokenizerFast", "nllb", "{}"))


class M2m100Translator(Translator):
    """The engine of the kind "m2m100"."""

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> M2m100Translator:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        return cls(*_parts(spec, checkpoint, placement, "M2M100Tokenizer", "m2m100", "__{}__"))


def _parts(
    spec: EngineSpec, checkpoint: Checkpoint, placement: Placement, tokenizer: str, scheme: str, token: str
) -> tuple[Any, ...]:
    needed = ("sentencepiece.bpe.model", "vocab.json") if scheme == "m2m100" else ("tokenizer.json",)
    for name in ("config.json", *needed):
        checkpoint.file(name)
    words = load_part(tokenizer, checkpoint)
    vocabulary = {**words.get_vocab(), **getattr(words, "lang_token_to_id", {})}
    network = load_network("M2M100ForConditionalGeneration", checkpoint, placement, absent=ABSENT)
    known: dict[str, int] = {}
    wanted = {tag for pair in spec.pairs for tag in pair} or {one.tag for one in languages() if scheme in one.codes}
    for tag in sorted(wanted):
        index = vocabulary.get(token.format(to_code(tag, scheme)))
        if index is not None:
            known[tag] = index
        elif spec.pairs:
            raise ModelDamaged(
                f"The {checkpoint.name} model has no token for {tag!r}.", "Correct `pairs` of its entry."
            )
    if not known or max(known.values()) >= network.config.vocab_size:
        raise ModelDamaged(
            f"The tokenizer of the {checkpoint.name} model is not that of its weights.",
            f"node models verify {checkpoint.name}",
        )
    body = ManyBody(network, words, known, Steps(network, placement))
    return spec, version(checkpoint, placement), body, options_of(network)
