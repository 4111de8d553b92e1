"""What the voice codec is measured against: Opus, Codec2, and learnt quantisers in its place.

Opus is libopus as PyAV carries it, Codec2 is Debian's c2enc and c2dec (8 kHz). The residual vector quantiser (Zeghidour
et al. 2021) and the finite scalar quantiser (Mentzer et al. 2023) code the same blocks at fixed rates, trained on the
same pool, and sound through the same pitch and vocoder.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np
import soxr
import torch

from ml.types import Samples
from ml.voice.codec.blocks import BLOCK_SECONDS, Bands
from ml.voice.codec.codebook import Codebook
from ml.voice.codec.quantiser import analyse, synthesise

CODEC2 = ("3200", "2400", "1200", "700C")
_LAG = 800


def opus(sound: Samples, rate: int) -> tuple[Samples, float]:
    """Decoded sound and measured bit/s of the packets alone, 60 ms a packet, tuned for voice."""
    buffer = io.BytesIO()
    sent = 0
    with av.open(buffer, "w", format="ogg") as container:
        stream = container.add_stream(
            "libopus", rate=16000, layout="mono", options={"application": "voip", "frame_duration": "60"}
        )
        stream.bit_rate = rate
        frame = av.AudioFrame.from_ndarray((sound * 32767).clip(-32768, 32767).astype("<i2")[None], "s16", "mono")
        frame.sample_rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            sent += packet.size
            container.mux(packet)
    buffer.seek(0)
    resampler = av.AudioResampler("flt", "mono", 16000)
    with av.open(buffer) as container:
        parts = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return aligned(sound, np.concatenate(parts)), 8 * sent / (len(sound) / 16000)


def has_codec2() -> bool:
    return bool(shutil.which("c2enc") and shutil.which("c2dec"))


def codec2(sound: Samples, mode: str) -> tuple[Samples, float]:
    """Decoded sound (nothing above 4 kHz) and bit/s of its bytes."""
    narrow = soxr.resample(sound, 16000, 8000)
    with tempfile.TemporaryDirectory() as folder:
        raw, coded, out = (str(Path(folder) / name) for name in ("in.raw", "coded", "out.raw"))
        (narrow * 32767).clip(-32768, 32767).astype("<i2").tofile(raw)
        subprocess.run(["c2enc", mode, raw, coded], check=True, capture_output=True)
        subprocess.run(["c2dec", mode, coded, out], check=True, capture_output=True)
        size = Path(coded).stat().st_size
        heard = np.fromfile(out, "<i2").astype(np.float32) / 32768
    return aligned(sound, soxr.resample(heard, 8000, 16000)), 8 * size / (len(sound) / 16000)


def aligned(sound: Samples, heard: Samples) -> Samples:
    """`heard` moved to where its loudness follows that of `sound` best, by up to 50 ms, and cut to its length."""

    def loudness(samples: Samples) -> Samples:
        return np.convolve(samples.astype(np.float64) ** 2, np.ones(160) / 160, "same")[::8] ** 0.25

    padded = np.pad(heard, (_LAG, max(0, len(sound) - len(heard)) + _LAG))
    wanted = loudness(sound)
    best = (
        max(
            range(0, 2 * _LAG, 8),
            key=lambda lag: np.corrcoef(wanted, loudness(padded)[lag // 8 :][: len(wanted)])[0, 1],
        )
        if len(sound) > 1600
        else _LAG
    )
    return padded[best : best + len(sound)].astype(np.float32)


class Residual:
    """Stages of 256 words each, 8 bits a stage and block: k-means on what the stages before left."""

    def __init__(self, codebook: Codebook, pool: Bands, rate: float, seed: int = 0) -> None:
        self._codebook = codebook
        self.stages = round(rate * 1000 * BLOCK_SECONDS / 8)
        rng = np.random.default_rng(seed)
        left = analyse(codebook, pool[rng.permutation(len(pool))[:5000]])
        self._words = []
        for _ in range(self.stages):
            words = left[rng.permutation(len(left))[:256]].copy()
            for _ in range(5):
                nearest = self._nearest(left, words)
                counts = np.bincount(nearest, minlength=256)
                sums = np.zeros_like(words)
                np.add.at(sums, nearest, left)
                words = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], words)
            left = left - words[self._nearest(left, words)]
            self._words.append(words)

    @staticmethod
    def _nearest(rows: np.ndarray, words: np.ndarray) -> np.ndarray:
        return ((words**2).sum(axis=1) - 2 * rows @ words.T).argmin(axis=1)

    def bits(self) -> float:
        return 8 * self.stages / BLOCK_SECONDS

    def __call__(self, bands: Bands) -> Bands:
        left = analyse(self._codebook, bands)
        whole = np.zeros_like(left)
        for words in self._words:
            step = words[self._nearest(left, words)]
            whole, left = whole + step, left - step
        return synthesise(self._codebook, whole)


class FiniteScalar:
    """Bounded latents rounded to five levels each, between an encoder and a decoder that begin as the KLT."""

    def __init__(self, codebook: Codebook, pool: Bands, rate: float, epochs: int = 8, seed: int = 0) -> None:
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        self._codebook = codebook
        rows = analyse(codebook, pool)
        self._dims = min(160, int(rate * 1000 * BLOCK_SECONDS / np.log2(5)))
        self._mean, self._std = rows.mean(axis=0), rows.std(axis=0) + 1e-3
        best = np.argsort(-self._std)[: self._dims]
        self._down = torch.nn.Linear(160, self._dims)
        self._up = torch.nn.Linear(self._dims, 160)
        self._more = torch.nn.Sequential(torch.nn.Linear(self._dims, 256), torch.nn.ReLU(), torch.nn.Linear(256, 160))
        with torch.no_grad():
            self._down.weight.zero_()
            self._up.weight.zero_()
            for place, which in enumerate(best):
                self._down.weight[place, which] = 0.8 / float(self._std[which])
                self._up.weight[which, place] = float(self._std[which]) / 0.8
            self._more[2].weight.zero_()
        modules = torch.nn.ModuleList([self._down, self._up, self._more])
        data = torch.from_numpy((rows - self._mean).astype(np.float32))
        steps = epochs * (len(data) // 256)
        adam = torch.optim.Adam(modules.parameters(), lr=1e-3)
        decay = torch.optim.lr_scheduler.OneCycleLR(adam, 2e-3, total_steps=steps)
        for _ in range(epochs):
            for part in torch.randperm(len(data))[: len(data) // 256 * 256].split(256):
                loss = torch.nn.functional.mse_loss(self._through(data[part]), data[part])
                adam.zero_grad()
                loss.backward()
                adam.step()
                decay.step()

    def _through(self, rows: torch.Tensor) -> torch.Tensor:
        bounded = 2.49 * torch.tanh(self._down(rows) / 1.5)
        code = bounded + (bounded.round() - bounded).detach()
        return self._up(code) + self._more(code)

    def bits(self) -> float:
        return self._dims * float(np.log2(5)) / BLOCK_SECONDS

    def __call__(self, bands: Bands) -> Bands:
        with torch.no_grad():
            rows = torch.from_numpy((analyse(self._codebook, bands) - self._mean).astype(np.float32))
            return synthesise(self._codebook, self._through(rows).numpy() + self._mean)
