"""Tiny VITS networks that read letters, one of one voice and one of three."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry

LETTERS = "k'zabcdefghijlmnopqrstuvwxy -"
"""As in the English MMS voice: a letter stands at 0, which also is the blank between letters."""


def build(folder: Path, rate: int = 16_000, alphabet: str = LETTERS, **more: Any) -> None:
    """Save one with random weights, laid out as facebook/mms-tts-eng is; a letter takes about three frames."""
    import torch
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    torch.manual_seed(0)
    vocabulary = {letter: index for index, letter in enumerate(alphabet)} | {"<unk>": len(alphabet)}
    (folder / "given.json").write_text(json.dumps(vocabulary))
    tokenizer = {"add_blank": True, "normalize": True, "phonemize": False, "is_uroman": False, **more.pop("tokens", {})}
    VitsTokenizer(str(folder / "given.json"), pad_token=alphabet[0], **tokenizer).save_pretrained(folder)
    (folder / "given.json").unlink()
    config = VitsConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        ffn_dim=24,
        flow_size=16,
        spectrogram_bins=33,
        upsample_initial_channel=32,
        upsample_rates=[8, 8, 4],
        upsample_kernel_sizes=[16, 16, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3]],
        duration_predictor_filter_channels=16,
        prior_encoder_num_flows=2,
        prior_encoder_num_wavenet_layers=2,
        posterior_encoder_num_wavenet_layers=2,
        sampling_rate=rate,
        noise_scale_duration=0.2,
        **more,
    )
    network = VitsModel(config)
    with torch.no_grad():
        first, *others = network.duration_predictor.flows
        first.translate.fill_(-1.1)
        for flow in others:  # VITS begins its training with zeros here
            flow.conv_proj.weight.mul_(0.05)
            flow.conv_proj.bias.zero_()
    network.save_pretrained(folder)


TINIES = [
    Tiny(entry("tiny-vits", "tts", "vits", languages=("en",)), build),
    Tiny(
        entry("tiny-vits-three", "tts", "vits", languages=("es",)),
        partial(
            build, rate=22_050, alphabet="_abcdefghijklmnopqrstuvwxyzáéíñóúü ", num_speakers=3, speaker_embedding_size=8
        ),
    ),
]
"""Random weights: noise in the rhythm that the durations ask for."""
