"""ECAPA-TDNN (B. Desplanques, J. Thienpondt and K. Demuynck, 2020), with the tensors' names and shapes of SpeechBrain's
published checkpoints, and the log-mel bands that those were trained on.

Written after the paper and the published recipe: convolutions that keep the length by reflection, a rectifier before
each normalisation. Knows no file and no engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ml.types import SAMPLE_RATE

FFT, HOP = 400, 160
"""Samples: windows of 25 ms every 10 ms."""
FLOOR, RANGE = 1e-10, 80.0
"""The least power, and decibels below the loudest band of a recording that are kept."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a network; the defaults are those of spkrec-ecapa-voxceleb."""

    bands: int = 80
    channels: int = 1024
    gathered: int = 3072
    attention: int = 128
    squeezed: int = 128
    scale: int = 8
    embedding: int = 192
    layers: int = 3

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Shape:
        """The sizes that a checkpoint's tensors say. Raises KeyError, ValueError, IndexError."""
        channels, bands, _ = tensors["blocks.0.conv.conv.weight"].shape
        layers = sum(key.endswith(".tdnn1.conv.conv.weight") for key in tensors)
        scale = 1 + sum(
            key.startswith("blocks.1.res2net_block.blocks.") and key.endswith(".conv.conv.weight") for key in tensors
        )
        return cls(
            bands=bands,
            channels=channels,
            gathered=tensors["mfa.conv.conv.weight"].shape[0],
            attention=tensors["asp.tdnn.conv.conv.weight"].shape[0],
            squeezed=tensors["blocks.1.se_block.conv1.conv.weight"].shape[0],
            scale=scale,
            embedding=tensors["fc.conv.weight"].shape[0],
            layers=layers,
        )


class Convolution(nn.Module):
    """One convolution over time; the length stays, the edges are mirrored."""

    def __init__(self, before: int, after: int, kernel: int = 1, dilation: int = 1) -> None:
        """`dilation * (kernel - 1)` is even, so that it is the same on both sides."""
        super().__init__()
        self.conv = nn.Conv1d(
            before, after, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2, padding_mode="reflect"
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[B, before, T]` to `[B, after, T]`."""
        done: Tensor = self.conv(x)
        return done


class Normalisation(nn.Module):
    """Batch normalisation, by what was seen in training."""

    def __init__(self, size: int) -> None:
        """`size` channels."""
        super().__init__()
        self.norm = nn.BatchNorm1d(size)

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        done: Tensor = self.norm(x)
        return done


class Delay(nn.Module):
    """A time-delay layer: convolution, rectifier, normalisation."""

    def __init__(self, before: int, after: int, kernel: int = 1, dilation: int = 1) -> None:
        """From `before` channels to `after`."""
        super().__init__()
        self.conv = Convolution(before, after, kernel, dilation)
        self.norm = Normalisation(after)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, before, T]` to `[B, after, T]`."""
        done: Tensor = self.norm(torch.relu(self.conv(x)))
        return done


class Split(nn.Module):
    """Res2Net (S. Gao et al., 2019): the channels in `scale` parts, each convolved after adding the one before it."""

    def __init__(self, channels: int, scale: int, dilation: int) -> None:
        """`channels` are a multiple of `scale`."""
        super().__init__()
        self.scale = scale
        each = channels // scale
        self.blocks = nn.ModuleList([Delay(each, each, 3, dilation) for _ in range(scale - 1)])

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        first, *others = x.chunk(self.scale, dim=1)
        done = [first]
        for index, (block, part) in enumerate(zip(self.blocks, others, strict=True)):
            done.append(block(part + done[-1] if index else part))
        return torch.cat(done, dim=1)


class Squeeze(nn.Module):
    """Squeeze and excitation (J. Hu et al., 2018): each channel weighed by what all of them are on average."""

    def __init__(self, channels: int, squeezed: int) -> None:
        """All `channels` are told by `squeezed` numbers."""
        super().__init__()
        self.conv1 = Convolution(channels, squeezed)
        self.conv2 = Convolution(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        weight: Tensor = torch.sigmoid(self.conv2(torch.relu(self.conv1(x.mean(2, keepdim=True)))))
        return weight * x


class Layer(nn.Module):
    """One SE-Res2Net layer with its way around."""

    def __init__(self, shape: Shape, dilation: int) -> None:
        """`dilation` of its inner convolutions, in frames."""
        super().__init__()
        self.tdnn1 = Delay(shape.channels, shape.channels)
        self.res2net_block = Split(shape.channels, shape.scale, dilation)
        self.tdnn2 = Delay(shape.channels, shape.channels)
        self.se_block = Squeeze(shape.channels, shape.squeezed)

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        done: Tensor = self.se_block(self.tdnn2(self.res2net_block(self.tdnn1(x)))) + x
        return done


class Pooling(nn.Module):
    """Attentive statistics over time, the attention of each channel knowing mean and deviation of the whole."""

    def __init__(self, channels: int, attention: int) -> None:
        """`attention` numbers stand between `channels` and their attention."""
        super().__init__()
        self.tdnn = Delay(3 * channels, attention)
        self.conv = Convolution(attention, channels)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, T]` to weighted means and deviations `[B, 2 C, 1]`."""
        even = torch.full_like(x[:, :1], 1 / x.shape[2], dtype=torch.float32)
        mean, deviation = (part.to(x.dtype).expand_as(x) for part in statistics(x, even))
        attention = self.conv(torch.tanh(self.tdnn(torch.cat([x, mean, deviation], dim=1))))
        return torch.cat(statistics(x, attention.float().softmax(2)), dim=1).to(x.dtype)


def statistics(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over time `[B, C, 1]` of `[B, C, T]`, under weights that sum to one; in float32."""
    wide = x.float()
    mean = (weights * wide).sum(2, keepdim=True)
    variance = (weights * (wide - mean) ** 2).sum(2, keepdim=True)
    return mean, variance.clamp(1e-12).sqrt()


class EcapaTdnn(nn.Module):
    """Log-mel bands to a speaker embedding."""

    def __init__(self, shape: Shape) -> None:
        """Random weights of that shape."""
        super().__init__()
        layers = [Layer(shape, 2 + index) for index in range(shape.layers)]
        self.blocks = nn.ModuleList([Delay(shape.bands, shape.channels, 5), *layers])
        self.mfa = Delay(shape.layers * shape.channels, shape.gathered)
        self.asp = Pooling(shape.gathered, shape.attention)
        self.asp_bn = Normalisation(2 * shape.gathered)
        self.fc = Convolution(2 * shape.gathered, shape.embedding)

    def forward(self, bands: Tensor) -> Tensor:
        """`[B, T, bands]` to `[B, embedding]`."""
        first, *layers = self.blocks
        x = first(bands.transpose(1, 2))
        gathered = []
        for layer in layers:
            x = layer(x)
            gathered.append(x)
        done: Tensor = self.fc(self.asp_bn(self.asp(self.mfa(torch.cat(gathered, dim=1)))))
        return done[:, :, 0]


def log_mel(samples: Tensor, bands: int) -> Tensor:
    """Log-mel bands `[B, T, bands]` of 16 kHz samples `[B, N]`, in decibels, the mean over time taken away: Hamming
    windows, triangles as wide to the right as to the left, no more than 80 dB below the loudest."""
    window = torch.hamming_window(FFT, device=samples.device)
    spectrum = torch.stft(samples, FFT, HOP, window=window, center=True, pad_mode="constant", return_complex=True)
    power = spectrum.abs() ** 2
    level = 10 * torch.log10((triangles(bands).to(samples.device) @ power).clamp(FLOOR))
    loudest = level.amax((1, 2), keepdim=True)
    level = torch.maximum(level, loudest - RANGE).transpose(1, 2)
    return level - level.mean(1, keepdim=True)


def triangles(bands: int) -> Tensor:
    """Weights `[bands, FFT / 2 + 1]` of the mel bands from 0 to 8000 Hz."""
    top = SAMPLE_RATE / 2
    mel = torch.linspace(0, 2595 * math.log10(1 + top / 700), bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    centre, width = edges[1:-1, None], (edges[1:-1] - edges[:-2])[:, None]
    away = (torch.linspace(0, top, FFT // 2 + 1)[None] - centre).abs() / width
    return (1 - away).clamp(0)
