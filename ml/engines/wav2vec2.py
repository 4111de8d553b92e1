"""Hears letters or phones frame by frame: wav2vec 2.0 with a CTC head (A. Baevski et al., 2020; Q. Xu et al., 2021).

Runs checkpoints of transformers' `Wav2Vec2ForCTC`: those that spell, such as facebook/wav2vec2-base-960h, recognise
speech and align it with a text; those that tell phones, such as facebook/wav2vec2-lv-60-espeak-cv-ft, align it, with
espeak-ng's pronunciation of the text. Knows nothing of sessions.
"""

from __future__ import annotations

import json
import threading
from typing import Any, Self

import numpy as np

from ml.device import Placement
from ml.engines.ctc import LogProbabilities, read
from ml.engines.hearing import Recogniser
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import AsrOptions, EngineSpec
from ml.engines.strided import Grid, strided
from ml.engines.window import Heard
from ml.errors import EngineFailed, ModelDamaged
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples, Word

WINDOW, CONTEXT = 16.0, 2.0
"""Seconds that are heard at a time, and around them."""
UNUSED = ("wav2vec2.masked_spec_embed", "masked_spec_embed")
"""Only training uses it, and some checkpoints lack it."""


class Symbols:
    """What the columns of the network's output stand for, as `vocab.json` says."""

    def __init__(self, vocabulary: dict[str, int], blank: str = "<pad>", delimiter: str = "|") -> None:
        """Raises ValueError for a vocabulary that is not one."""
        if not vocabulary or not all(isinstance(number, int) for number in vocabulary.values()):
            raise ValueError("vocab.json is no table of symbols")
        if blank not in vocabulary:
            raise ValueError(f"vocab.json has no {blank}, the blank of CTC")
        self.blank, self.delimiter = vocabulary[blank], vocabulary.get(delimiter)
        marks = ("<s>", "</s>", "<unk>", blank, "[UNK]", "[PAD]")
        self.names = {number: name for name, number in vocabulary.items() if name not in marks and name != delimiter}
        self.numbers = {name: number for number, name in self.names.items()}
        self.size = max(vocabulary.values()) + 1
        letters = [name for name in self.numbers if name.isalpha()]
        self.upper = bool(letters) and all(name == name.upper() for name in letters)
        self._longest = max((len(name) for name in self.numbers), default=1)

    def spell(self, text: str) -> list[int]:
        """The symbols of a word, the longest first; what the vocabulary lacks is left out."""
        rest, found = text.upper() if self.upper else text, []
        while rest:
            name = next((rest[:n] for n in range(self._longest, 0, -1) if rest[:n] in self.numbers), "")
            if name:
                found.append(self.numbers[name])
            rest = rest[len(name) or 1 :]
        return found


class CtcNetwork:
    """A `Wav2Vec2ForCTC` with its symbols. One call computes at a time; the others wait."""

    def __init__(self, network: Any, symbols: Symbols, normalise: bool, placement: Placement, version: str) -> None:  # noqa: ANN401
        """With `normalise` the sound is brought to zero mean and unit variance first, as in training."""
        self._network, self.symbols, self._normalise, self._placement = network, symbols, normalise, placement
        self.version = version
        self.grid = Grid.of(network.config.conv_kernel, network.config.conv_stride)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        network = load_network("Wav2Vec2ForCTC", checkpoint, placement, absent=UNUSED)
        extractor = load_part("Wav2Vec2FeatureExtractor", checkpoint)
        try:
            symbols = _symbols(checkpoint.file("vocab.json").read_text(encoding="utf-8"), network.config)
        except ValueError as error:
            raise ModelDamaged(
                f"The {checkpoint.name} model cannot be used: {error}.", f"node models verify {checkpoint.name}"
            ) from error
        version = f"{checkpoint.version}, {placement.device} {placement.dtype}"
        return cls(network, symbols, bool(extractor.do_normalize), placement, version)

    def likely(self, samples: Samples) -> LogProbabilities:
        """Log-probabilities `[T, V]` of the symbols in 16 kHz samples `[N]` of any length."""
        sound = np.asarray(samples, np.float64)
        if self._normalise:
            sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
        if len(sound) < self.grid.reach:
            sound = np.pad(sound, (0, self.grid.reach - len(sound)))
        with self._lock:
            if self._network is None:
                raise EngineFailed("The recogniser is closed.", "Open a new session.")
            return strided(sound.astype(np.float32), self._run, self.grid, window=WINDOW, context=CONTEXT)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None

    def _run(self, samples: Samples) -> LogProbabilities:
        import torch

        dtype = next(self._network.parameters()).dtype
        with torch.inference_mode():
            inputs = torch.from_numpy(samples)[None].to(self._placement.device, dtype)
            logits = self._network(inputs).logits[0].float()
        made: LogProbabilities = logits.log_softmax(-1).cpu().numpy()
        return made


def _symbols(text: str, config: Any) -> Symbols:  # noqa: ANN401
    told = json.loads(text)
    if isinstance(told, dict) and told and all(isinstance(part, dict) for part in told.values()):
        raise ValueError("it holds adapters for several languages, which are not read here")
    symbols = Symbols(told if isinstance(told, dict) else {})
    if symbols.size > config.vocab_size:
        raise ValueError("vocab.json has more symbols than the network")
    if getattr(config, "add_adapter", False):
        raise ValueError("its frames are thinned out by an adapter, which is not read here")
    return symbols


class Wav2Vec2Recogniser(Recogniser):
    """An `Asr` that runs wav2vec 2.0."""

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        network = CtcNetwork.load(checkpoint, placement)
        if network.symbols.delimiter is None:
            raise ModelDamaged(
                f"The {checkpoint.name} model tells phones, not words.", "Name it as an aligner in the catalogue."
            )
        return cls(spec, CtcEar(network, spec.languages))


class CtcEar:
    """An `Ear` that reads letters off frame by frame."""

    window, detects, takes_notes = 30.0, False, False

    def __init__(self, network: CtcNetwork, languages: tuple[str, ...]) -> None:
        """`languages` are what the network was trained on, which it does not say itself."""
        self._network, self.languages, self.version = network, languages, network.version

    def hear(self, samples: Samples, options: AsrOptions, before: str = "") -> Heard:
        """The words of 16 kHz samples `[N]`."""
        symbols, seconds = self._network.symbols, self._network.grid.stride / SAMPLE_RATE
        words: list[Word] = []
        open_word = False
        for span in read(self._network.likely(samples), symbols.blank):
            if span.symbol == symbols.delimiter:
                open_word = False
            elif span.symbol in symbols.names:
                name = symbols.names[span.symbol].lower()
                start, end = span.first * seconds, span.last * seconds
                if open_word:
                    word = words.pop()
                    count = len(word.text)
                    sure = (word.confidence * count + span.confidence) / (count + 1)
                    words.append(Word(word.text + name, word.start, end, sure))
                else:
                    words.append(Word(name, start, end, span.confidence))
                open_word = True
        return Heard(tuple(words), options.language)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        self._network.close()
