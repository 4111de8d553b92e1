"""Tiny SpeechT5 networks for speaking and for converting, with their parts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from tests.ml.engines import tiny_hifigan, tiny_wavlm, tiny_xvector
from tests.ml.engines.tiny import Tiny, entry

SIZE = 16
"""Numbers of an x-vector here; 512 in the published ones."""
LINES = ("The quick brown fox jumps over the lazy dog.", "Sphinx of black quartz, judge my vow! Why, is it 'so'?")


def config(**more: Any) -> Any:
    """As published, but small."""
    from transformers import SpeechT5Config

    small = {
        "hidden_size": 24,
        "encoder_layers": 1,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_layers": 1,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 32,
        "speech_decoder_prenet_units": 16,
        "speech_decoder_postnet_units": 16,
        "speech_decoder_postnet_layers": 2,
        "speaker_embedding_dim": SIZE,
        "max_text_positions": 450,
        "conv_dim": (24, 24, 24),
        "conv_kernel": (10, 8, 8),
        "conv_stride": (8, 8, 5),
        "num_feat_extract_layers": 3,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 2,
    }
    return SpeechT5Config(**small, **more)


def _tokenizer() -> Any:
    """Characters, as in the published spm_char.model."""
    import sentencepiece
    from transformers import SpeechT5Tokenizer

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*LINES, *(line.upper() for line in LINES)] * 4),
        model_writer=model,
        model_type="char",
        vocab_size=75,
        hard_vocab_limit=False,
        bos_id=0,
        pad_id=1,
        eos_id=2,
        unk_id=3,
        minloglevel=2,
    )
    return SpeechT5Tokenizer, model.getvalue()


def _parts(folder: Path) -> None:
    (folder / "vocoder").mkdir()
    tiny_hifigan.build(folder / "vocoder")


def build_voice(folder: Path) -> None:
    """Save one that speaks, in two voices and in that of a recording."""
    import numpy as np
    import torch
    from transformers import SpeechT5FeatureExtractor, SpeechT5ForTextToSpeech, SpeechT5Processor

    torch.manual_seed(0)
    kind, model = _tokenizer()
    (folder / "given.model").write_bytes(model)
    tokenizer = kind(str(folder / "given.model"))
    SpeechT5Processor(SpeechT5FeatureExtractor(), tokenizer).save_pretrained(folder)
    (folder / "given.model").unlink()
    SpeechT5ForTextToSpeech(config(vocab_size=len(tokenizer))).save_pretrained(folder)
    _parts(folder)
    (folder / "speaker").mkdir()
    tiny_xvector.build(folder / "speaker", size=SIZE)
    (folder / "voices").mkdir()
    for index, name in enumerate(("anna", "bert")):
        np.save(folder / "voices" / f"{name}.npy", np.random.default_rng(index).normal(size=SIZE).astype(np.float32))


def build_converter(folder: Path) -> None:
    """Save one that converts, with a WavLM that hears voices."""
    import torch
    from transformers import SpeechT5FeatureExtractor, SpeechT5ForSpeechToSpeech

    torch.manual_seed(0)
    SpeechT5FeatureExtractor().save_pretrained(folder)
    SpeechT5ForSpeechToSpeech(config()).save_pretrained(folder)
    _parts(folder)
    (folder / "speaker").mkdir()
    tiny_wavlm.build(folder / "speaker")


TINIES = [
    Tiny(entry("tiny-speecht5", "tts", "speecht5-tts", languages=("en",)), build_voice),
    Tiny(entry("tiny-speecht5-vc", "conversion", "speecht5-vc"), build_converter),
]
"""Random weights, but for the vocoder: what comes out is compared with transformers' own, not with speech."""
