"""A tiny Pocket TTS with its codec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry

LINES = ["The quick brown fox jumps over the lazy dog. Sphinx of black quartz, judge my vow! Why? PACK MY BOX"]
UNKNOWN, PADDING = "<unk>", "<pad>"
MARKS = {
    "audio_prompt_token": "<|audio_prompt|>",
    "audio_latent_token": "<|audio_latent|>",
    "audio_prompt_bos_token": "<|audio_prompt_bos|>",
    "audio_bos_token": "<|audio_bos|>",
}
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'audio' %}<|audio_prompt_bos|><|audio_prompt|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}<|audio_bos|>"
)
"""The layout that transformers' processor documents: voice, text, first audio position."""


def processor() -> Any:
    """A `PocketTTSProcessor` with a tokenizer trained on a few lines."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PocketTTSFeatureExtractor, PocketTTSProcessor, PreTrainedTokenizerFast

    words = Tokenizer(models.BPE(unk_token=UNKNOWN))
    words.pre_tokenizer, words.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=[UNKNOWN, PADDING], show_progress=False)
    words.train_from_iterator(LINES * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token=UNKNOWN, pad_token=PADDING, extra_special_tokens=MARKS
    )
    return PocketTTSProcessor(PocketTTSFeatureExtractor(), tokenizer, chat_template=TEMPLATE)


def build(folder: Path) -> None:
    """Save one with random weights; its end comes where the text's budget ends, or before."""
    import torch
    from safetensors.torch import save_file
    from transformers import (
        PocketTTSAudioTokenizerConfig,
        PocketTTSAudioTokenizerModel,
        PocketTTSConfig,
        PocketTTSForConditionalGeneration,
    )

    torch.manual_seed(0)
    made = processor()
    made.save_pretrained(folder)
    tokenizer = made.tokenizer
    ids = {f"{name}_id": tokenizer.convert_tokens_to_ids(mark) for name, mark in MARKS.items()}
    network = PocketTTSForConditionalGeneration(
        PocketTTSConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            latent_dim=8,
            pad_token_id=tokenizer.pad_token_id,
            flow_head_config={
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "latent_dim": 8,
                "condition_dim": 32,
                "frequency_embedding_size": 16,
            },
            initializer_range=0.3,
            **ids,
        )
    )
    network.generation_config.do_sample = True
    network.generation_config.temperature = 0.7
    network.generation_config.eos_threshold = 1.5
    network.save_pretrained(folder)
    codec = PocketTTSAudioTokenizerModel(
        PocketTTSAudioTokenizerConfig(
            hidden_size=16,
            num_filters=4,
            upsample_groups=16,
            intermediate_size=24,
            num_attention_heads=2,
            num_key_value_heads=2,
            latent_dim=8,
            initializer_range=0.2,
            layer_scale_initial_scale=0.3,
        )
    )
    codec.save_pretrained(folder / "audio_tokenizer")
    (folder / "voices").mkdir()
    for name in ("alba", "jean"):
        save_file({"audio_prompt_latents": torch.randn(20, 8)}, folder / "voices" / f"{name}.safetensors")


TINIES = [Tiny(entry("tiny-pocket-tts", "tts", "pocket-tts", languages=("en",)), build)]
"""Random weights: frames are compared with transformers' own."""
