"""Makes a small checkpoint in the old PyTorch format, written by PyTorch itself, in a wheel that pip accepts."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch

from ml.models.catalogue import Catalogue
from ml.models.entry import HubSource, ModelEntry, ModelFile
from ml.models.fetch import FetchOptions
from ml.models.hub import HubOptions
from ml.models.store import ModelStore
from tests.ml.models.hub_server import Hub

REPO = "someone/listener"
FILES = {
    "config.json": b'{"layers": 2}',
    "model.safetensors": bytes(range(256)) * 1200,
    "tokenizer/vocab.txt": b"a b c\n" * 300,
    "README.md": b"nobody asked for this",
}


@dataclass(frozen=True)
class Published:
    """What somebody published: the checkpoint, the wheel around it, and the entry that pins both."""

    checkpoint: bytes
    wheel: Path
    entry: ModelEntry
    tensors: dict[str, np.ndarray]


def old_checkpoint(tensors: dict[str, torch.Tensor]) -> bytes:
    """The bytes that PyTorch before 1.6 wrote, with an optimizer's state beside the model's."""
    buffer = io.BytesIO()
    state = torch.nn.Module().state_dict()
    state.update(tensors)
    checkpoint = {"step": 7, "model_state": state, "optimizer_state": {"lr": 1e-4, "moments": [torch.ones(3)]}}
    torch.save(checkpoint, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def pack_wheel(folder: Path, member: str, data: bytes) -> Path:
    """A pure wheel `tiny-1.0` with one data file."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    files = {
        member: data,
        "tiny-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()},{len(content)}"
        for name, content in files.items()
    ]
    files["tiny-1.0.dist-info/RECORD"] = "\n".join([*rows, "tiny-1.0.dist-info/RECORD,,"]).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return path


def changed(entry: ModelEntry, **fields: object) -> ModelEntry:
    """The entry with other fields."""
    return msgspec.structs.replace(entry, **fields)


def hub_entry(**fields: object) -> ModelEntry:
    """What a catalogue says of the repository `REPO`, without sizes, hashes or a commit."""
    told = {
        "name": "listener",
        "task": "asr",
        "engine": "none",
        "summary": "hears nothing",
        "licence": "MIT",
        "source": HubSource(REPO),
        "files": tuple(ModelFile(path) for path in FILES if path != "README.md"),
        **fields,
    }
    return ModelEntry(**told)  # type: ignore[arg-type]


def store_of(folder: Path, *entries: ModelEntry) -> ModelStore:
    """A store in `folder` with a catalogue of these models, or of the repository's."""
    return ModelStore(folder, Catalogue(entries or (hub_entry(),)))


def options_for(hub: Hub, **fields: object) -> FetchOptions:
    """Fetch from this hub; what stands still is given up soon."""
    return FetchOptions(hub=HubOptions(hub.endpoint, timeout=0.5, attempts=4, pause=0.0), **fields)  # type: ignore[arg-type]
