"""The program inside the tiny Silero voice: the interface that the published ones have, and a few weights."""

from __future__ import annotations

import torch


class Voice(torch.nn.Module):
    """Says each letter as a short tone of its own, a little hoarse."""

    def __init__(self) -> None:
        super().__init__()
        self.speakers = ["es_0", "es_1"]
        self.pitch = torch.nn.Embedding(64, 1)

    def apply_tts(self, text: str, speaker: str, sample_rate: int = 48_000) -> torch.Tensor:
        """Samples of 60 ms for each character."""
        if "#" in text:
            raise ValueError("a character that it does not know")
        steps = torch.arange(sample_rate * 60 // 1000) / sample_rate
        height = 150 + 80 * self.speakers.index(speaker)
        letters = torch.tensor([ord(letter) % 64 for letter in text])
        tones = torch.sin(2 * torch.pi * steps * (height + 20 * self.pitch(letters)))
        return 0.3 * tones.reshape(-1) + 0.01 * torch.randn(tones.numel())
