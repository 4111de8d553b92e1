"""TorchScript archives read as data: what torch.jit.load finds, and nothing else that a file could say."""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ml.errors import ModelDamaged
from ml.lips.torchscript import is_torchscript, read_torchscript
from tests.ml.lips.lively import lively, written


class Tiny(nn.Module):
    """Some of everything: nested modules, a shared tensor, half precision, buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)), nn.Conv2d(3, 3, 3)])
        self.small = nn.Parameter(torch.rand(2, 2).half())
        self.again = self.blocks[1].weight
        self.register_buffer("turned", torch.rand(4, 3).T)
        self.register_buffer("part", torch.rand(10)[4:])
        self.register_buffer("none", torch.empty(0, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x * self.small.float().sum() + self.again.sum() + self.turned.sum() + self.part.sum()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return written(lively(Tiny()), "traced", tmp_path_factory.mktemp("ts") / "tiny.pt", torch.rand(1, 2, 5, 5))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_finds_what_torch_finds_without_running_it(archive: Path) -> None:
    assert is_torchscript(archive)
    found, expected = read_torchscript(archive), torch.jit.load(str(archive)).state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


def test_other_files_are_none(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "plain.pt")
    (tmp_path / "text").write_text("<html>")
    assert not is_torchscript(tmp_path / "plain.pt")
    assert not is_torchscript(tmp_path / "text")


def changed(archive: Path, to: Path, name: str, data: bytes | None) -> Path:
    """The archive with one file in it replaced, or taken away."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(to, "w") as new:
        for entry in old.infolist():
            kept = old.read(entry)
            if entry.filename.endswith(name):
                if data is None:
                    continue
                kept = data
            new.writestr(entry.filename, kept)
    return to


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("/data.pkl", None, "description"),
        ("/data.pkl", b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "calls os system"),
        ("/data.pkl", b"\x80\x02cos\nsystem\n)\x81.", "no module of its own"),
        ("/data.pkl", b"\x80\x02ibuiltins\neval\n.", "INST"),
        ("/data.pkl", b"\x80\x02}.", "no module"),
        ("/data.pkl", b"\x80\x04\x93.", "STACK_GLOBAL"),
        ("/data/0", b"\0\0", "bytes"),
        ("/data/0", None, "data/0"),
        ("/byteorder", b"big", "little-endian"),
    ],
)
def test_refuses_what_says_more(archive: Path, tmp_path: Path, name: str, data: bytes | None, told: str) -> None:
    with pytest.raises(ModelDamaged, match=told):
        read_torchscript(changed(archive, tmp_path / "odd.pt", name, data))


def test_a_tensor_beyond_its_storage_is_refused(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        data = file.read("tiny/data.pkl")
    places = [at for code, value, at in pickletools.genops(io.BytesIO(data)) if code.name == "BININT1" and value == 3]
    expected = read_torchscript(archive)
    refused = 0
    for at in places:  # sizes and steps of tensors, one by one
        longer = changed(archive, tmp_path / "longer.pt", "/data.pkl", data[: at + 1] + b"\x7f" + data[at + 2 :])
        try:
            found = read_torchscript(longer)
        except ModelDamaged:
            refused += 1
        else:  # the step of a single row, or a size of what has no numbers
            assert all(torch.equal(found[name], expected[name]) for name in expected if expected[name].numel())
    assert refused > 4


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_damage_is_told_and_never_raised_as_something_else(archive: Path, data: st.DataObject) -> None:
    with zipfile.ZipFile(archive) as file:
        whole = bytearray(file.read("tiny/data.pkl"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(1, len(whole)))])
    to = archive.with_name("damaged.pt")
    try:
        found = read_torchscript(changed(archive, to, "/data.pkl", cut))
    except ModelDamaged:
        found = {}
    # where nothing was refused, the damage lies in a name, a size or a step
    assert all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in found.items())
