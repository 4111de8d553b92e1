"""SyncNet (J. S. Chung and A. Zisserman, 2016, "Out of time: automated lip sync in the wild"): five pictures of a face
and 0.2 s of sound to two embeddings that lie near each other where the two belong together; with the tensors' names and
shapes of the published syncnet_v2.model (github.com/joonson/syncnet_python).

Knows no file, no picture and no sound.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE, PICTURES = 224, 5
"""Pixels of a face, and how many pictures of it."""
CEPSTRA, COLUMNS = 13, 20
EMBEDDING = 1024


class SyncNet(nn.Module):
    """The two networks. Pictures are BGR, 0..255."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *(nn.Conv2d(1, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(1)),
            *(nn.Conv2d(64, 192, 3, padding=1), nn.BatchNorm2d(192), nn.ReLU(), nn.MaxPool2d(3, (1, 2))),
            *(nn.Conv2d(192, 384, 3, padding=1), nn.BatchNorm2d(384), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.BatchNorm2d(256), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.BatchNorm2d(256), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(256, 512, (5, 4)), nn.BatchNorm2d(512), nn.ReLU()),
        )
        self.netfcaud = _embedding()
        self.netfclip = _embedding()
        self.netcnnlip = nn.Sequential(
            *(nn.Conv3d(3, 96, (5, 7, 7), (1, 2, 2)), nn.BatchNorm3d(96), nn.ReLU()),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *(nn.Conv3d(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)), nn.BatchNorm3d(256), nn.ReLU()),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1)), nn.BatchNorm3d(256), nn.ReLU()),
            *(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1)), nn.BatchNorm3d(256), nn.ReLU()),
            *(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1)), nn.BatchNorm3d(256), nn.ReLU()),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *(nn.Conv3d(256, 512, (1, 6, 6)), nn.BatchNorm3d(512), nn.ReLU()),
        )

    def hear(self, cepstra: Tensor) -> Tensor:
        """Windows of cepstra `[B, 1, 13, 20]` to embeddings `[B, 1024]`."""
        heard: Tensor = self.netfcaud(self.netcnnaud(cepstra).flatten(1))
        return heard

    def see(self, pictures: Tensor) -> Tensor:
        """A run of pictures `[3, T, 224, 224]` to embeddings `[T - 4, 1024]`: one from each picture on, of five."""
        features = self.netcnnlip(pictures[None])[0, :, :, 0, 0]
        seen: Tensor = self.netfclip(features.T)
        return seen


def layout() -> dict[str, tuple[int, ...]]:
    """The names of a checkpoint's tensors and their shapes. Takes no memory for them."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in SyncNet().state_dict().items()}


def _embedding() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING))
