"""A tiny HuBERT."""

from __future__ import annotations

from pathlib import Path

from tests.ml.engines.tiny import Tiny, entry


def build(folder: Path) -> None:
    """Save one, with random weights."""
    import torch
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    torch.manual_seed(0)
    config = HubertConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=48,
        conv_dim=(24, 24, 24),
        conv_kernel=(10, 8, 8),
        conv_stride=(8, 8, 5),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
    )
    HubertModel(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=True, do_normalize=True).save_pretrained(folder)


TINIES = [Tiny(entry("tiny-hubert", "features", "hubert"), build)]
"""Random weights: features are compared with transformers' own, not with anything in the world."""
