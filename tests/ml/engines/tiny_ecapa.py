"""A tiny ECAPA-TDNN, saved as SpeechBrain saves: a pickled dictionary of tensors in embedding_model.ckpt."""

from __future__ import annotations

from pathlib import Path

from tests.ml.engines.tiny import Tiny, entry


def build(folder: Path) -> None:
    """Save one, with random weights."""
    import torch

    from ml.engines.ecapa_network import EcapaTdnn, Shape

    torch.manual_seed(0)
    shape = Shape(bands=80, channels=32, gathered=48, attention=12, squeezed=8, scale=4, embedding=16)
    torch.save(EcapaTdnn(shape).state_dict(), folder / "embedding_model.ckpt")


TINIES = [Tiny(entry("tiny-ecapa", "speaker", "ecapa"), build)]
