"""A tiny XTTS in the publisher's layout, made by the package coqui-tts. The decoder's own sizes are fixed in the
package, so it has 20 million weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry

LANGUAGES = ["en", "es", "fr", "de", "it", "pt", "zh-cn", "ja"]
LINES = ["The quick brown fox jumps over the lazy dog.", "Buenos días, amigo mío.", "one two three"]
TOKENS = 24
SIZES = {
    "gpt_max_audio_tokens": TOKENS + 3,
    "gpt_max_text_tokens": 402,
    "gpt_max_prompt_tokens": 70,
    "gpt_layers": 2,
    "gpt_n_model_channels": 32,
    "gpt_n_heads": 2,
    "gpt_number_text_tokens": 6681,
    "gpt_start_text_token": None,
    "gpt_stop_text_token": None,
    "gpt_num_audio_tokens": 66,
    "gpt_start_audio_token": 64,
    "gpt_stop_audio_token": 65,
    "gpt_use_perceiver_resampler": True,
    "decoder_input_dim": 32,
    "tokenizer_file": "",
}


def vocabulary(path: Path) -> None:
    """A byte-pair tokenizer with the marks that XTTS's has."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    words = Tokenizer(models.BPE(unk_token="[UNK]"))  # noqa: S106 - a word, not a password
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = ["[STOP]", "[UNK]", "[SPACE]", "[START]", *(f"[{code}]" for code in LANGUAGES)]
    words.train_from_iterator(LINES * 3, trainers.BpeTrainer(vocab_size=100, special_tokens=marks, show_progress=False))
    words.save(str(path))


def network(folder: Path) -> Any:
    """The package's network for the tokenizer in a folder, with random weights that seldom end a sentence."""
    import torch
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts

    torch.manual_seed(0)
    made = Xtts(XttsConfig(model_args=XttsArgs(**SIZES), languages=LANGUAGES))
    made.tokenizer = VoiceBpeTokenizer(vocab_file=folder / "vocab.json")
    made.init_models()
    with torch.no_grad():
        made.gpt.mel_head.bias[SIZES["gpt_stop_audio_token"]] = -20.0
        made.gpt.mel_head.weight *= 20
        for parameter in made.hifigan_decoder.waveform_decoder.conv_post.parameters():
            parameter *= 5
    return made


def build(folder: Path) -> None:
    """Save one with random weights, its settings object pickled under the names that the published one has."""
    import torch
    from TTS.tts.configs import xtts_config

    vocabulary(folder / "vocab.json")
    made = network(folder)
    told = {"model": "xtts", "model_args": SIZES, "languages": LANGUAGES, "max_audio_len": float("inf")}
    told |= {"temperature": 0.75, "repetition_penalty": 5.0, "gpt_cond_len": 30, "max_ref_len": 30}
    (folder / "config.json").write_text(json.dumps(told))
    moved = (xtts_config.XttsArgs, xtts_config.XttsAudioConfig)
    for kind in moved:
        kind.__module__ = "TTS.tts.models.xtts"
    try:
        torch.save({"config": made.config, "model": made.state_dict()}, folder / "model.pth")
    finally:
        for kind in moved:
            kind.__module__ = xtts_config.__name__
    wide, deep = SIZES["gpt_n_model_channels"], made.args.d_vector_dim
    voices = {
        name: {"gpt_cond_latent": torch.randn(1, 32, wide), "speaker_embedding": torch.randn(1, deep, 1)}
        for name in ("Claribel Dervla", "Viktor Menelaos")
    }
    torch.save(voices, folder / "speakers_xtts.pth")


TINIES = [Tiny(entry("tiny-xtts", "tts", "xtts", languages=("en", "es", "fr", "de", "it", "pt", "zh", "ja")), build)]
