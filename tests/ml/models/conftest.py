"""A published wheel and a hub with one repository, and stores for them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
import torch

from ml.models import tensors as tensor_files
from ml.models.entry import LegacyTensors, ModelEntry, ModelFile, WheelSource
from tests.ml.models.hub_server import Hub, serving
from tests.ml.models.published import FILES, REPO, Published, old_checkpoint, pack_wheel


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Published once a session; nobody may change it."""
    generator = torch.Generator().manual_seed(0)
    kept = {"lstm.weight": torch.randn(6, 4, generator=generator), "linear.bias": torch.arange(5.0)}
    checkpoint = old_checkpoint({**kept, "similarity": torch.tensor([10.0])})
    wheel = pack_wheel(tmp_path_factory.mktemp("index"), "tiny/pretrained.pt", checkpoint)
    tensors = {name: tensor.numpy() for name, tensor in kept.items()}
    member = ModelFile("tiny/pretrained.pt", len(checkpoint), hashlib.sha256(checkpoint).hexdigest())
    digest = tensor_files.digest(tensors)
    entry = ModelEntry(
        name="tiny",
        task="speaker",
        engine="none",
        summary="for tests",
        licence="CC0-1.0",
        source=WheelSource("tiny", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest(), wheel.stat().st_size),
        files=(member,),
        convert=LegacyTensors(member.path, "tiny.safetensors", "model_state", ("lstm.", "linear."), digest),
    )
    return Published(checkpoint, wheel, entry, tensors)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with the repository of `hub_entry`; nothing waits between attempts."""
    for name in ("HF_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving({REPO: dict(FILES)}) as hub:
        yield hub
