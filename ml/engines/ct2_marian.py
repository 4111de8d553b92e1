"""Marian translators in int8 on CTranslate2; the same checkpoints, quicker on a CPU.

CPU time of a sentence of 20 tokens, one thread, a network of opus-mt's size with random weights and fixed lengths:
greedy 165 ms alone and 16 in a batch of 32 (PyTorch: float32 524 and 74, int8 168 and 37); 4 beams 182 and 57
(PyTorch: 911 and 157, 265 and 107).

The checkpoint is converted on this machine on first use, from its own files, and kept in the model's folder of the
store (`ml/models/made.py`), so that a later start reads only that; of files that changed it is made anew. What is
converted is read whole first (`loading.py`): CTranslate2's converter would take a file that lacks tensors. Needs the
extra `ctranslate2`. Knows no sentence ends and no batches: `translator.py` does.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ml.device import Placement
from ml.engines.generation import Search
from ml.engines.loading import load_network, load_part
from ml.engines.marian import ABSENT, MarianText, directions, options_of, room
from ml.engines.protocols import EngineSpec
from ml.engines.translator import Said, Translator, TranslatorOptions
from ml.errors import EngineFailed, ModelDamaged, Unavailable
from ml.models import made
from ml.models.checkpoint import Checkpoint

REMEDY = "pip install -c constraints.txt ctranslate2"


class Ct2MarianBody:
    """A `ctranslate2.Translator` with its words; a `Body` of `Translator`."""

    def __init__(self, runtime: Any, text: MarianText, pairs: Sequence[tuple[str, str]], most: int) -> None:  # noqa: ANN401
        """`most` is the longest sequence that the model's positions hold."""
        self._runtime, self._text, self._pairs, self._most = runtime, text, pairs, most

    def pairs(self) -> Iterable[tuple[str, str]]:
        """Those of the catalogue."""
        return self._pairs

    def length(self, sentence: str) -> int:
        """Tokens, end included."""
        return len(self._text.encode(sentence, self._pairs[0][1]))

    def say(self, sentences: Sequence[str], source: str, target: str, search: Search) -> list[list[Said]]:
        """The best hypotheses of each. Raises EngineFailed."""
        rows = [self._text.encode(sentence, target) for sentence in sentences]
        limits = [room(row, self._most) for row in rows]
        try:
            results = self._runtime.translate_batch(
                [self._text.written(row) for row in rows],
                beam_size=search.beams,
                num_hypotheses=search.best,
                no_repeat_ngram_size=search.no_repeat,
                max_input_length=0,
                max_decoding_length=max(limits) + 1,
                return_scores=True,
                return_end_token=True,
            )
        except RuntimeError as error:
            raise EngineFailed(f"CTranslate2 stopped: {error}", "Open a new session.") from error
        found = []
        for result, limit in zip(results, limits, strict=True):
            found.append(
                [
                    self._said(pieces, score, limit)
                    for pieces, score in zip(result.hypotheses, result.scores, strict=True)
                ]
            )
        return found

    def rehearse(self, beams: int) -> str:
        """Nothing: its code is compiled already."""
        return ""

    def close(self) -> None:
        """Let the weights go."""
        self._runtime.unload_model()
        self._runtime = None

    def _said(self, pieces: Sequence[str], score: float, limit: int) -> Said:
        """`score` is the mean log-probability of the pieces with their end (length penalty 1)."""
        ended = pieces[-1:] == ["</s>"] and len(pieces) - 1 <= limit
        tokens = self._text.read([piece for piece in pieces if piece != "</s>"])[:limit]
        return Said(self._text.decode(tokens), min(1.0, math.exp(score)), len(tokens), ended)


class Ct2MarianTranslator(Translator):
    """The engine of the kind "ct2-marian"."""

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Ct2MarianTranslator:
        """From a Marian checkpoint. Raises ModelDamaged, Unavailable, CannotWrite, EngineFailed."""
        try:
            ctranslate2: Any = import_module("ctranslate2")
        except ImportError as error:
            raise Unavailable("ctranslate2 is not installed.", REMEDY) from error
        pairs = directions(spec)
        text = MarianText(checkpoint, [target for _, target in pairs])
        config, folder = converted(checkpoint)
        device, numbers = _where(ctranslate2, placement)
        try:
            runtime = ctranslate2.Translator(str(folder), device=device, compute_type=numbers, inter_threads=1)
        except (RuntimeError, ValueError) as error:
            raise ModelDamaged(
                f"The converted {checkpoint.name} model cannot be read: {error}", f"Delete {folder}; it is made again."
            ) from error
        version = f"{checkpoint.version}, ctranslate2 {ctranslate2.__version__}, {device} {numbers}"
        body = Ct2MarianBody(runtime, text, pairs, config.longest_sentence * 2 - 2)
        return cls(spec, version, body, config)


def converted(checkpoint: Checkpoint) -> tuple[TranslatorOptions, Path]:
    """The options of a checkpoint and the folder of its conversion, which is made now if it is not there. Safe against
    two processes at once: the first to finish is kept. Raises ModelDamaged, Unavailable, CannotWrite."""
    converter: Any = import_module("ctranslate2.converters").TransformersConverter

    def convert(folder: Path) -> None:
        load_network("MarianMTModel", checkpoint, Placement(), absent=ABSENT)
        try:
            with warnings.catch_warnings(), _no_bar():
                warnings.simplefilter("ignore")  # sacremoses, which the tokenizer does not use
                converter(str(checkpoint.folder)).convert(str(folder), quantization="int8")
        except (RuntimeError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise ModelDamaged(
                f"CTranslate2 cannot convert the {checkpoint.name} model: {error}", "Use the kind marian for it."
            ) from error

    home = made.keep(checkpoint, "ct2-int8", convert)
    config = load_part("AutoConfig", checkpoint)
    settings = load_part("GenerationConfig", checkpoint)
    return options_of(_Told(config, settings)), home


@contextlib.contextmanager
def _no_bar() -> Iterator[None]:
    logging: Any = import_module("transformers.utils.logging")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


class _Told:
    """A network's two configurations, without the network."""

    def __init__(self, config: Any, generation_config: Any) -> None:  # noqa: ANN401
        self.config, self.generation_config = config, generation_config


def _where(ctranslate2: Any, placement: Placement) -> tuple[str, str]:  # noqa: ANN401
    """Device and numbers: int8 everywhere, with half precision between where an accelerator has it."""
    try:
        able = ctranslate2.get_supported_compute_types(placement.device)
    except (ValueError, RuntimeError):  # a device that CTranslate2 does not know, or has no driver for
        return "cpu", "int8"
    return placement.device, "int8_float16" if placement.device != "cpu" and "int8_float16" in able else "int8"
