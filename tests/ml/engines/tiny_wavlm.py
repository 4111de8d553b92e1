"""A tiny WavLM with an x-vector head."""

from __future__ import annotations

from pathlib import Path

from tests.ml.engines.tiny import Tiny, entry


def build(folder: Path) -> None:
    """Save one, with random weights."""
    import torch
    from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector

    torch.manual_seed(0)
    config = WavLMConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        conv_dim=(24, 24, 24),
        conv_kernel=(10, 8, 8),
        conv_stride=(8, 8, 5),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        tdnn_dim=(24, 24, 24),
        tdnn_kernel=(5, 3, 1),
        tdnn_dilation=(1, 2, 1),
        xvector_output_dim=16,
    )
    WavLMForXVector(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=True, do_normalize=True).save_pretrained(folder)


TINIES = [Tiny(entry("tiny-wavlm", "speaker", "wavlm-xvector"), build)]
