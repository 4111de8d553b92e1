"""A checkpoint is loaded whole, or refused by what it lacks; nothing is fetched and nothing is invented."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import safetensors.torch
import torch

from ml.device import Placement
from ml.engines.loading import load_network, load_part
from ml.errors import ModelDamaged, OutOfMemory, Unavailable
from ml.models.catalogue import Catalogue
from ml.models.checkpoint import Checkpoint
from ml.models.entry import FolderSource
from tests.ml.engines.tiny import REVISION, checkpoint, tinies

KIND = "WavLMForXVector"


@pytest.fixture
def copy(tmp_path: Path) -> Checkpoint:
    """A checkpoint that a test may spoil."""
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("tiny-wavlm").folder, folder)
    entry = msgspec.structs.replace(tinies()["tiny-wavlm"].entry, source=FolderSource(str(folder)))
    return Checkpoint(entry, folder, REVISION)


def published(copy: Checkpoint) -> Checkpoint:
    """The same, as if it had been fetched."""
    known = Catalogue.load().find("whisper-tiny")
    return replace(copy, entry=msgspec.structs.replace(copy.entry, source=known.source, files=known.files))


def rewrite(copy: Checkpoint, **changes: torch.Tensor | None) -> None:
    file = copy.folder / "model.safetensors"
    tensors = safetensors.torch.load_file(file) | changes
    safetensors.torch.save_file({n: t for n, t in tensors.items() if t is not None}, file, {"format": "pt"})


def test_it_is_ready_to_compute(copy: Checkpoint, capfd: pytest.CaptureFixture[str]) -> None:
    network = load_network(KIND, copy, Placement())
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert capfd.readouterr() == ("", ""), "no word on the terminal"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_dtype_is_the_one_asked_for(copy: Checkpoint, dtype: str) -> None:
    network = load_network(KIND, copy, Placement("cpu", dtype))
    assert {parameter.dtype for parameter in network.parameters()} == {getattr(torch, dtype)}


def test_int8_holds_the_linear_layers_in_a_quarter(copy: Checkpoint) -> None:
    network = load_network(KIND, copy, Placement("cpu", "int8"))
    assert network.wavlm.encoder.layers[0].feed_forward.output_dense.weight.dtype == torch.int8
    assert isinstance(network.wavlm.encoder.layers[0].attention.q_proj, torch.nn.Linear), "WavLM reads it directly"


def test_too_little_memory_has_an_error_of_its_own(copy: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object, **named: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    for place in ("torch.nn.Module.to", "transformers.WavLMForXVector.from_pretrained"):
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)
            with pytest.raises(OutOfMemory):
                load_network(KIND, copy, Placement())


def test_a_tensor_that_is_missing_is_named(copy: Checkpoint) -> None:
    rewrite(copy, **{"projector.weight": None})
    with pytest.raises(ModelDamaged, match=r"lacks projector\.weight"):
        load_network(KIND, copy, Placement())
    assert load_network(KIND, copy, Placement(), absent=("projector.",))


def test_a_tensor_too_many_is_named(copy: Checkpoint) -> None:
    rewrite(copy, **{"stray": torch.zeros(2)})
    with pytest.raises(ModelDamaged, match="too many: stray"):
        load_network(KIND, copy, Placement())


def test_a_tensor_of_another_shape_is_refused(copy: Checkpoint) -> None:
    rewrite(copy, **{"projector.bias": torch.zeros(3)})
    with pytest.raises(ModelDamaged, match=r"another shape for projector\.bias"):
        load_network(KIND, copy, Placement())


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_bytes_that_are_no_model_are_refused(copy: Checkpoint, name: str) -> None:
    (copy.folder / name).write_bytes(b"\x80\x04nonsense")
    with pytest.raises(ModelDamaged) as caught:
        load_network(KIND, copy, Placement())
    assert "node models verify" in caught.value.remedy


def test_code_of_a_checkpoint_is_never_run(copy: Checkpoint, tmp_path: Path) -> None:
    config = json.loads((copy.folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Model"}
    (copy.folder / "config.json").write_text(json.dumps(config))
    (copy.folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert load_network(KIND, copy, Placement())
    assert not (tmp_path / "ran").exists()


def test_a_pickle_that_calls_something_is_refused(copy: Checkpoint, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    (copy.folder / "model.safetensors").unlink()
    torch.save({"x": Evil()}, copy.folder / "pytorch_model.bin")
    with pytest.raises(ModelDamaged):
        load_network(KIND, copy, Placement())
    assert not (tmp_path / "ran").exists()


def test_what_is_not_here_is_unavailable(copy: Checkpoint) -> None:
    shutil.rmtree(copy.folder)
    with pytest.raises(Unavailable) as caught:
        load_part("AutoFeatureExtractor", copy)
    assert caught.value.remedy == FolderSource(str(copy.folder)).remedy
    with pytest.raises(Unavailable) as caught:
        load_part("AutoFeatureExtractor", published(copy))
    assert caught.value.remedy == "node models pull tiny-wavlm"


def test_a_file_that_is_not_there_is_named_with_what_mends_it(copy: Checkpoint) -> None:
    (copy.folder / "preprocessor_config.json").unlink(missing_ok=True)
    with pytest.raises(ModelDamaged, match=r"tiny-wavlm model has no preprocessor_config\.json\.$") as caught:
        load_part("AutoFeatureExtractor", copy)
    assert isinstance(copy.entry.source, FolderSource)
    assert str(copy.folder) in caught.value.remedy
    assert "verify" not in caught.value.remedy, "which would say that all is well"
    with pytest.raises(ModelDamaged) as caught:
        load_part("AutoFeatureExtractor", published(copy))
    assert caught.value.remedy == "node models pull tiny-wavlm"


def test_what_transformers_says_of_its_hub_is_left_out_and_no_word_is_cut(
    copy: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "wrong " + "word " * 100

    def fail(*given: object, **named: object) -> None:
        raise OSError(said + " If you were trying to load it from 'https://huggingface.co/models', make sure ...")

    monkeypatch.setattr("transformers.AutoFeatureExtractor.from_pretrained", fail)
    with pytest.raises(ModelDamaged, match=r"word \.\.\.$") as caught:
        load_part("AutoFeatureExtractor", copy)
    assert "huggingface" not in caught.value.sentence
    said = "Short and wrong."
    with pytest.raises(ModelDamaged, match=r"cannot be read: Short and wrong\.$"):
        load_part("AutoFeatureExtractor", copy)
