"""A tiny Moonshine Streaming that has learnt one recording of the project by heart, and its beginnings.

As in the larger published ones, the encoder is wider than its attention and than the decoder, whose output layer is not
that of its embedding.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry
from tests.ml.engines.tiny_moonshine import END, START, pieces, teach


@cache
def learnt(steps: int = 100) -> Any:
    """A network that says what lj.flac says, and of its beginnings the words that they hold."""
    import torch
    from transformers import MoonshineStreamingConfig, MoonshineStreamingForConditionalGeneration

    torch.manual_seed(0)
    encoder = {
        "model_type": "moonshine_streaming_encoder",
        "hidden_size": 56,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 24,
        "sliding_windows": [[16, 4], [16, 0]],
        "initializer_range": 0.08,
    }
    network = MoonshineStreamingForConditionalGeneration(
        MoonshineStreamingConfig(
            encoder_config=encoder,
            vocab_size=pieces().get_vocab_size(),
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            pad_token_id=0,
            bos_token_id=START,
            eos_token_id=END,
            decoder_start_token_id=START,
            initializer_range=0.08,
        )
    ).eval()

    def forward(network: Any, samples: Any, given: Any) -> Any:
        samples = samples[:, : samples.shape[1] // 80 * 80]
        mask = torch.ones_like(samples, dtype=torch.long)
        return network(samples, attention_mask=mask, decoder_input_ids=given).logits[0]

    return teach(network, forward, steps=steps, rate=3e-3)


def build(folder: Path) -> None:
    """Save one, as the published repositories have it."""
    import json

    from transformers import GenerationConfig, Wav2Vec2FeatureExtractor

    network = learnt()
    network.generation_config = GenerationConfig(
        bos_token_id=START, decoder_start_token_id=START, eos_token_id=END, pad_token_id=0
    )
    network.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=16_000, do_normalize=False, return_attention_mask=True).save_pretrained(
        folder
    )
    pieces().save(str(folder / "tokenizer.json"))
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **named}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    named = {"processor_class": "MoonshineStreamingProcessor"}  # beside preprocessor_config.json, which says the rest
    (folder / "processor_config.json").write_text(json.dumps(named), encoding="utf-8")


TINIES = [Tiny(entry("tiny-moonshine-streaming", "asr", "moonshine-streaming", languages=("en",)), build, knows=True)]
