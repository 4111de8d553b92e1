"""One published model, made once a session."""

from __future__ import annotations

import hashlib

import pytest
import torch

from ml.models import store
from ml.models.catalogue import ModelEntry
from tests.ml.models.published import Published, old_checkpoint, pack_wheel


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Published once a session; nobody may change it."""
    generator = torch.Generator().manual_seed(0)
    kept = {"lstm.weight": torch.randn(6, 4, generator=generator), "linear.bias": torch.arange(5.0)}
    checkpoint = old_checkpoint({**kept, "similarity": torch.tensor([10.0])})
    wheel = pack_wheel(tmp_path_factory.mktemp("index"), "tiny/pretrained.pt", checkpoint)
    tensors = {name: tensor.numpy() for name, tensor in kept.items()}
    entry = ModelEntry(
        name="tiny",
        task="speaker",
        summary="for tests",
        licence="CC0-1.0",
        source="pypi:tiny==1.0#tiny/pretrained.pt",
        archive_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        archive_bytes=wheel.stat().st_size,
        member_sha256=hashlib.sha256(checkpoint).hexdigest(),
        member_bytes=len(checkpoint),
        format="torch-legacy",
        branch="model_state",
        keep=("lstm.", "linear."),
        tensors_sha256=store.digest(tensors),
        bytes=sum(array.nbytes for array in tensors.values()),
    )
    return Published(checkpoint, wheel, entry, tensors)
