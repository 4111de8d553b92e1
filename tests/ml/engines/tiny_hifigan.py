"""A tiny HiFi-GAN that really sounds a spectrum: trained for some seconds on one recording."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry


@cache
def learnt(steps: int = 70) -> Any:
    """A `SpeechT5HifiGan` with fewer channels than the published one, trained on SpeechT5's own spectrum."""
    import numpy as np
    import soundfile
    import torch
    from transformers import SpeechT5FeatureExtractor, SpeechT5HifiGan, SpeechT5HifiGanConfig

    from tests.conftest import ROOT

    torch.manual_seed(0)
    samples, _ = soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")
    mel = torch.from_numpy(SpeechT5FeatureExtractor()._extract_mel_features(samples)).float()
    wave = torch.from_numpy(samples)
    network = SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            upsample_initial_channel=64,
            resblock_kernel_sizes=[3],
            resblock_dilation_sizes=[[1, 3]],
            initializer_range=0.1,
        )
    )
    network.mean.copy_(mel.mean(0))
    network.scale.copy_(mel.std(0) + 1e-3)

    def spectrum(sound: torch.Tensor, size: int) -> torch.Tensor:
        window = torch.hann_window(size)
        return torch.stft(sound, size, size // 4, window=window, return_complex=True).abs().clamp_min(1e-4).log()

    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    places = np.random.default_rng(0)
    for _ in range(steps):
        starts = [int(place) for place in places.integers(0, len(mel) - 40, 6)]
        made = network(torch.stack([mel[start : start + 32] for start in starts]))
        wanted = torch.stack([wave[start * 256 : (start + 32) * 256] for start in starts])
        loss = sum((spectrum(made, size) - spectrum(wanted, size)).abs().mean() for size in (1024, 256, 64))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def build(folder: Path) -> None:
    """Save one, laid out as microsoft/speecht5_hifigan is."""
    learnt().save_pretrained(folder)


TINIES = [Tiny(entry("tiny-hifigan", "vocoder", "hifigan"), build, knows=True)]
