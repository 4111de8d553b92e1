"""Files of weights in all forms that are about give the same tensors; others are refused by name, and none is run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from ml.errors import ModelDamaged, Unavailable
from ml.lips.syncnet_network import layout as syncnet_layout
from ml.lips.wav2lip_checkpoint import fitting, read_tensors
from ml.lips.wav2lip_network import layout
from tests.ml.lips.lively import FORMS, Form, lively, written

EXPERT = {"face_encoder.0.conv_block.0.weight": (32, 15, 7, 7), "audio_encoder.0.conv_block.0.weight": (32, 1, 3, 3)}


@pytest.fixture(scope="module")
def tiny() -> nn.Module:
    torch.manual_seed(0)
    return lively(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)))


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_tensors(form: Form, tiny: nn.Module, tmp_path: Path) -> None:
    path = written(tiny, form, tmp_path / "weights.anything", torch.rand(1, 2, 5, 5))
    found = fitting(read_tensors(path), shapes(tiny), "Tiny", path)
    for name, tensor in tiny.state_dict().items():
        assert torch.equal(found[name], tensor), name
    assert list(found) == list(shapes(tiny))


def test_half_precision_is_widened_and_counters_may_lack(tiny: nn.Module, tmp_path: Path) -> None:
    state = {key: value.half() for key, value in tiny.state_dict().items() if not key.endswith("tracked")}
    torch.save(state, tmp_path / "half.pth")
    found = fitting(read_tensors(tmp_path / "half.pth"), shapes(tiny), "Tiny", tmp_path)
    assert found["0.weight"].dtype == torch.float32
    assert torch.equal(found["0.weight"], state["0.weight"].float())
    assert found["1.num_batches_tracked"] == 0


def test_what_does_not_fit_is_named(tiny: nn.Module, tmp_path: Path) -> None:
    state = dict(tiny.state_dict())
    del state["0.bias"]
    state["other.weight"] = torch.zeros(2)
    state["1.weight"] = torch.zeros(4)
    with pytest.raises(ModelDamaged) as told:
        fitting(state, shapes(tiny), "Tiny", tmp_path / "my.pth")
    for part in ("my.pth is not Tiny", "missing 0.bias", "unexpected other.weight", "1.weight [4] instead of [3]"):
        assert part in told.value.sentence


def zeros(of: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(()).expand(shape) for name, shape in of.items()}


@pytest.mark.parametrize(
    ("state", "seems"),
    [
        (syncnet_layout(), "syncnet_v2.model"),
        (EXPERT, "lip-sync expert"),
        (layout() | {"face_encoder_blocks.7.0.conv_block.0.weight": (512, 512, 1, 1)}, "larger pictures"),
        (
            {"face_encoder_blocks.0.0.conv_block.0.weight": (32, 3, 7, 7), "binary_pred.0.weight": (1, 512, 1, 1)},
            "discriminator",
        ),
        (layout() | {"audio_refine.0.conv_block.0.weight": (512, 512, 1, 1)}, "refines the sound"),
        (layout() | {"face_encoder_blocks.1.0.conv_block.0.weight": (64, 16, 3, 3)}, "a variant of it"),
        ({"conv1_1.weight": (64, 3, 3, 3)}, "face detector"),
    ],
)
def test_networks_fed_by_mistake_are_recognised(state: dict[str, tuple[int, ...]], seems: str) -> None:
    with pytest.raises(ModelDamaged) as told:
        fitting(zeros(state), layout(), "Wav2Lip", Path("fed.pth"))
    assert seems in told.value.remedy
    assert (
        any(name in told.value.sentence for name in state.keys() ^ layout().keys())
        or "instead of" in told.value.sentence
    )


def test_wav2lip_fed_to_syncnet_is_recognised() -> None:
    named = r"missing netcnnaud\.0\.weight.* and \d+ more; unexpected face_encoder_blocks"
    with pytest.raises(ModelDamaged, match=named) as told:
        fitting(zeros(layout()), syncnet_layout(), "SyncNet", Path("fed.pth"))
    assert "Wav2Lip" in told.value.remedy


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value: float, tiny: nn.Module) -> None:
    state = {key: tensor.clone() for key, tensor in tiny.state_dict().items()}
    state["1.bias"][1] = value
    with pytest.raises(ModelDamaged, match=r"1\.bias that are not finite"):
        fitting(state, shapes(tiny), "Tiny", Path("x"))


def test_whole_numbers_are_no_weights(tiny: nn.Module) -> None:
    state = dict(tiny.state_dict()) | {"0.bias": torch.zeros(3, dtype=torch.int64)}
    with pytest.raises(ModelDamaged, match=r"0\.bias in torch\.int64"):
        fitting(state, shapes(tiny), "Tiny", Path("x"))


class Runs:
    """Unpickles by making a folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("new", [False, True])
def test_no_program_in_a_pickle_is_run(new: bool, tmp_path: Path) -> None:
    evil = {"state_dict": {"a": torch.zeros(2)}, "more": Runs(str(tmp_path / "made"))}
    torch.save(evil, tmp_path / "evil.pth", _use_new_zipfile_serialization=new)
    with pytest.raises(ModelDamaged, match="without running a program"):
        read_tensors(tmp_path / "evil.pth")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html><html><title>Google Drive",
        b"",
        b"PK\x03\x04 and no more of it",
        b"\x80\x02" + bytes(40),
        (20).to_bytes(8, "little") + b'{"a":3}            ' + bytes(9),
    ],
)
def test_other_files_are_refused_in_a_sentence(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_bytes(data)
    with pytest.raises(ModelDamaged) as told:
        read_tensors(tmp_path / "page.pth")
    assert "page.pth" in told.value.sentence
    assert told.value.remedy


def test_files_without_tensors_and_no_file(tmp_path: Path) -> None:
    torch.save({"state_dict": {"epoch": 3}}, tmp_path / "empty.pth")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(ModelDamaged, match="no tensors but epoch"):
        read_tensors(tmp_path / "empty.pth")
    with pytest.raises(ModelDamaged, match="no dictionary"):
        read_tensors(tmp_path / "list.pth")
    with pytest.raises(Unavailable, match="cannot be read"):
        read_tensors(tmp_path / "nowhere.pth")
    with pytest.raises(Unavailable, match="cannot be read"):
        read_tensors(tmp_path)
