"""Wav2Lip's generator (K. R. Prajwal et al., 2020, "A lip sync expert is all you need"): the lower half of a face of
96 x 96 pixels, drawn to 0.2 s of sound; with the tensors' names and shapes of the published checkpoints.

Two encoders, of the face and of the sound, meet in one decoder that is given what the face encoder saw at each size.
Written after the paper and the published names and shapes. Knows no file, no picture and no sound.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SIDE = 96
"""Pixels of a face."""
BANDS, COLUMNS = 80, 16
"""Of a log-mel spectrum: 0.2 s at 80 columns a second."""
PARAMETERS = 36_298_035


class Block(nn.Module):
    """A convolution (or, to twice the size, a transposed one), its normalisation and a rectifier; with `around`, what
    came in is added before the rectifier."""

    def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d, around: bool = False) -> None:
        """The normalisation has as many channels as the convolution gives."""
        super().__init__()
        self.conv_block = nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels))
        self.around = around

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]`."""
        done: Tensor = self.conv_block(x)
        return torch.relu(done + x if self.around else done)

    def fuse(self) -> None:
        """Fold the normalisation into the convolution; only for a network that no longer learns."""
        convolution: Any = self.conv_block[0]
        norm: Any = self.conv_block[1]
        transposed = isinstance(convolution, nn.ConvTranspose2d)
        self.conv_block = nn.Sequential(fuse_conv_bn_eval(convolution, norm, transpose=transposed))


class Generator(nn.Module):
    """A face and sound to the face that says it."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.face_encoder_blocks = nn.ModuleList(
            [
                nn.Sequential(_block(6, 16, 7, padding=3)),
                nn.Sequential(_half(16, 32), *_same(32, 2)),
                nn.Sequential(_half(32, 64), *_same(64, 3)),
                nn.Sequential(_half(64, 128), *_same(128, 2)),
                nn.Sequential(_half(128, 256), *_same(256, 2)),
                nn.Sequential(_half(256, 512), *_same(512, 1)),
                nn.Sequential(_block(512, 512, 3), _block(512, 512, 1)),
            ]
        )
        self.audio_encoder = nn.Sequential(
            *(_block(1, 32, 3, padding=1), *_same(32, 2)),
            *(_block(32, 64, 3, (3, 1), 1), *_same(64, 2)),
            *(_block(64, 128, 3, (3, 3), 1), *_same(128, 2)),
            *(_block(128, 256, 3, (3, 2), 1), *_same(256, 1)),
            *(_block(256, 512, 3), _block(512, 512, 1)),
        )
        self.face_decoder_blocks = nn.ModuleList(
            [
                nn.Sequential(_block(512, 512, 1)),
                nn.Sequential(Block(nn.ConvTranspose2d(1024, 512, 3)), *_same(512, 1)),
                nn.Sequential(_double(1024, 512), *_same(512, 2)),
                nn.Sequential(_double(768, 384), *_same(384, 2)),
                nn.Sequential(_double(512, 256), *_same(256, 2)),
                nn.Sequential(_double(320, 128), *_same(128, 2)),
                nn.Sequential(_double(160, 64), *_same(64, 2)),
            ]
        )
        self.output_block = nn.Sequential(_block(80, 32, 3, padding=1), nn.Conv2d(32, 3, 1), nn.Sigmoid())

    def forward(self, mels: Tensor, faces: Tensor) -> Tensor:
        """Log-mel windows `[B, 1, 80, 16]` and faces `[B, 6, 96, 96]` (BGR with the lower half black, then BGR as it
        was, 0..1) to faces `[B, 3, 96, 96]`, BGR, 0..1."""
        seen = []
        x = faces
        for encode in self.face_encoder_blocks:
            x = encode(x)
            seen.append(x)
        x = self.audio_encoder(mels)
        for decode in self.face_decoder_blocks:
            x = torch.cat([decode(x), seen.pop()], dim=1)
        drawn: Tensor = self.output_block(x)
        return drawn


def layout() -> dict[str, tuple[int, ...]]:
    """The names of a checkpoint's 352 tensors and their shapes. Takes no memory for them."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in Generator().state_dict().items()}


def fused(network: Generator) -> Generator:
    """The same network, its normalisations folded into its convolutions: the same numbers to about 1e-6, in less
    time. Changes `network`."""
    for module in network.eval().modules():
        if isinstance(module, Block):
            module.fuse()
    return network


def _block(before: int, after: int, kernel: int, stride: int | tuple[int, int] = 1, padding: int = 0) -> Block:
    return Block(nn.Conv2d(before, after, kernel, stride, padding))


def _half(before: int, after: int) -> Block:
    return _block(before, after, 3, 2, 1)


def _double(before: int, after: int) -> Block:
    return Block(nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1))


def _same(channels: int, count: int) -> Iterable[Block]:
    return (Block(nn.Conv2d(channels, channels, 3, 1, 1), around=True) for _ in range(count))
