"""The x-vector network beyond the contract: the same numbers as the layers it is described by, and broken files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ml.device import Placement
from ml.engines.xvector import DILATIONS, KERNELS, XVectorEncoder, features, filters, forward
from ml.errors import ModelDamaged
from ml.models.checkpoint import Checkpoint
from tests.ml.engines import tiny_xvector
from tests.ml.engines.tiny import tiny_specs

(SPEC,) = tiny_specs(["tiny-xvector"])


def loaded(folder: Path) -> XVectorEncoder:
    return XVectorEncoder.load(SPEC, Checkpoint(tiny_xvector.TINIES[0].entry, folder, "0"), Placement())


def test_it_computes_what_its_layers_do() -> None:
    tensors = tiny_xvector.tensors_of()
    layers: list[nn.Module] = []
    for kernel, dilation in zip(KERNELS, DILATIONS, strict=True):
        around = dilation * (kernel - 1) // 2
        layers += [
            nn.Conv1d(24, 24, kernel, dilation=dilation, padding=around, padding_mode="reflect"),
            nn.LeakyReLU(),
            nn.BatchNorm1d(24),
        ]
    network = nn.Sequential(*layers)
    names = {name: name.removeprefix("blocks.").replace(".conv.", ".").replace(".norm.", ".") for name in tensors}
    network.load_state_dict({names[name]: tensor for name, tensor in tensors.items() if "blocks.16" not in name})
    bands = torch.randn(24, 100, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        hidden = network.eval()(bands[None])[0]
        pooled = torch.cat([hidden.mean(1), hidden.std(1) + 1e-5])
        wanted = tensors["blocks.16.w.weight"] @ pooled + tensors["blocks.16.w.bias"]
        torch.testing.assert_close(forward(tensors, bands), wanted, atol=1e-4, rtol=1e-4)


def test_the_bands_hear_their_own_tones() -> None:
    assert filters().shape == (24, 201)
    for hertz in (200.0, 1000.0, 5000.0):
        tone = torch.sin(2 * torch.pi * hertz * torch.arange(16_000) / 16_000)
        spectrum = torch.stft(tone, 400, 160, window=torch.hamming_window(400), return_complex=True).abs().square()
        loudest = int((torch.tensor(filters()) @ spectrum).mean(1).argmax())
        top = 2595 * np.log10(1 + 8000 / 700)
        middle = 700 * (10 ** ((loudest + 1) * top / 25 / 2595) - 1)
        assert abs(np.log(middle / hertz)) < 0.35


def test_loudness_is_no_part_of_a_voice() -> None:
    sound = torch.randn(8000, generator=torch.Generator().manual_seed(0)) * 0.1
    torch.testing.assert_close(features(sound), features(sound * 0.5), atol=1e-3, rtol=0)
    assert features(sound).shape == (24, 51)
    torch.testing.assert_close(features(sound).mean(1), torch.zeros(24), atol=1e-4, rtol=0)


@pytest.mark.parametrize("width", [512])
def test_the_published_shape_is_read(tmp_path: Path, width: int) -> None:
    """x-vectors of 512 numbers; the last time-delay layer of the published network has 1500 channels."""
    tensors = tiny_xvector.tensors_of(width=width, size=512)
    tensors["blocks.12.conv.weight"], tensors["blocks.12.conv.bias"] = torch.zeros(1500, 512, 1), torch.zeros(1500)
    for name in ("weight", "bias", "running_mean", "running_var"):
        tensors[f"blocks.14.norm.{name}"] = torch.ones(1500)
    tensors["blocks.16.w.weight"] = torch.zeros(512, 3000)
    torch.save(tensors, tmp_path / "embedding_model.ckpt")
    assert loaded(tmp_path).size == 512


def test_broken_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelDamaged, match="no file"):
        loaded(tmp_path)
    path = tmp_path / "embedding_model.ckpt"
    path.write_bytes(b"no tensors")
    with pytest.raises(ModelDamaged, match="cannot be read"):
        loaded(tmp_path)
    for spoil, sentence in (
        (lambda t: t.pop("blocks.6.conv.weight"), "lacks blocks.6.conv.weight"),
        (lambda t: t.update({"blocks.17.w.weight": torch.ones(2)}), "too many"),
        (lambda t: t.update({"blocks.0.conv.weight": torch.ones(24, 40, 5)}), "another shape"),
    ):
        tensors = tiny_xvector.tensors_of()
        spoil(tensors)
        torch.save(tensors, path)
        with pytest.raises(ModelDamaged, match=sentence):
            loaded(tmp_path)


def test_a_file_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    torch.save({"blocks.0.conv.bias": Path("x")}, tmp_path / "embedding_model.ckpt")
    with pytest.raises(ModelDamaged, match="cannot be read"):
        loaded(tmp_path)
