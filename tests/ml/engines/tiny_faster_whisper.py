"""The tiny Whisper, converted for CTranslate2 as Systran's are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry
from tests.ml.engines.tiny_whisper import SAID, learnt, save, tokenizer


def longer(network: Any, extractor: Any, steps: int = 14) -> Any:
    """The same network for windows of 30 s, which the package demands, got used to so much silence."""
    import soundfile
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    from tests.conftest import ROOT

    torch.manual_seed(0)
    made = WhisperForConditionalGeneration(WhisperConfig(**{**network.config.to_dict(), "max_source_positions": 1500}))
    places = "model.encoder.embed_positions.weight"  # sinusoids, the first of which are the same
    made.load_state_dict({**network.state_dict(), places: made.state_dict()[places]})
    words, samples = tokenizer(), soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0]
    features = extractor(samples, sampling_rate=16_000, return_tensors="pt").input_features
    start = words.convert_tokens_to_ids(["<|startoftranscript|>", "<|notimestamps|>"])
    text = [*start, *words(SAID, add_special_tokens=False).input_ids, words.eos_token_id]
    given, wanted = torch.tensor([text[:-1]]), torch.tensor(text[2:])
    learning = torch.optim.Adam(made.parameters(), 1e-3)
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(made(features, decoder_input_ids=given).logits[0, 1:], wanted)
        learning.zero_grad()
        loss.backward()
        learning.step()
    return made.eval()


def build(folder: Path) -> None:
    """Save one. CTranslate2 takes it for an English model, as it has fewer than 51,865 tokens."""
    from ctranslate2.converters import TransformersConverter
    from transformers import WhisperFeatureExtractor

    original, extractor = folder.parent / f"{folder.name}-original", WhisperFeatureExtractor(feature_size=80)
    original.mkdir()
    save(original, longer(learnt(), extractor), extractor)
    converter = TransformersConverter(str(original), copy_files=["tokenizer.json", "preprocessor_config.json"])
    converter.convert(str(folder), force=True)
    shutil.rmtree(original)


TINIES = [Tiny(entry("tiny-faster-whisper", "asr", "faster-whisper", languages=("en",)), build, knows=True)]
