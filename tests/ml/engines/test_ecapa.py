"""The ECAPA speaker encoder beyond the contract: what it averages, and files that are not what they should be."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.device import Placement
from ml.engines.ecapa import FILE, WINDOW, EcapaEncoder, read
from ml.engines.ecapa_network import EcapaTdnn, Shape, log_mel
from ml.engines.protocols import EngineHome
from ml.errors import BadAudio, ModelDamaged
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio
from tests.ml.engines.tiny import checkpoint, tiny_specs


@pytest.fixture(scope="module")
def engine():
    (spec,) = tiny_specs(["tiny-ecapa"])
    made = spec.factory(EngineHome(Path("nowhere")))
    yield made
    made.close()


@pytest.fixture
def spoilt(tmp_path: Path):
    """Loads a checkpoint whose tensors went through a function."""
    whole = checkpoint("tiny-ecapa")
    (spec,) = tiny_specs(["tiny-ecapa"])

    def load(spoil):
        tensors = read(whole)
        torch.save(spoil(tensors), tmp_path / FILE)
        return EcapaEncoder.load(spec, Checkpoint(whole.entry, tmp_path, whole.revision), Placement())

    return load


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)


def test_an_embedding_is_the_networks_answer_to_the_bands(engine) -> None:
    tensors = read(checkpoint("tiny-ecapa"))
    network = EcapaTdnn(Shape.of(tensors))
    network.load_state_dict(tensors)
    samples = noise(2.0)
    with torch.inference_mode():
        wanted = network.eval()(log_mel(torch.from_numpy(samples)[None], 80))[0].numpy()
    np.testing.assert_allclose(engine.embed(Audio(samples)), wanted / np.linalg.norm(wanted), atol=1e-6)


def test_a_long_recording_is_the_mean_of_its_windows(engine) -> None:
    parts = [noise(WINDOW, seed) for seed in (1, 2)]
    mean = np.sum([engine.embed(Audio(part)) for part in parts], axis=0)
    np.testing.assert_allclose(engine.embed(Audio(np.concatenate(parts))), mean / np.linalg.norm(mean), atol=1e-6)


def test_loudness_does_not_matter(engine) -> None:
    one, two = (engine.embed(Audio(noise(2.0) * level)) for level in (1.0, 0.1))
    assert one @ two > 0.9999


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_other_numbers_say_nearly_the_same(engine, dtype: str) -> None:
    (spec,) = tiny_specs(["tiny-ecapa"], Placement("cpu", dtype))
    other = spec.factory(EngineHome(Path("nowhere")))
    assert engine.embed(Audio(noise(2.0))) @ other.embed(Audio(noise(2.0))) > 0.99


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda t: {k: v for k, v in t.items() if k != "fc.conv.bias"}, "lacks fc.conv.bias"),
        (lambda t: {**t, "classifier.weight": torch.zeros(1)}, "has too many: classifier.weight"),
        (lambda t: {**t, "asp.conv.conv.bias": torch.zeros(3)}, "has another shape for asp.conv.conv.bias"),
        (lambda t: {**t, "fc.conv.bias": t["fc.conv.bias"] * float("nan")}, "numbers that are none"),
        (lambda t: {"weight": torch.zeros(2, 2)}, "no ECAPA-TDNN"),
        (lambda t: [1, 2], "something besides tensors"),
        (lambda t: {**t, "epoch": 3}, "something besides tensors"),
    ],
)
def test_what_is_not_the_network_is_refused_by_name(spoilt, spoil, said: str) -> None:
    with pytest.raises(ModelDamaged, match=said) as failure:
        spoilt(spoil)
    assert failure.value.remedy


class Program:
    """What a pickle may hold besides tensors."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_program_in_a_checkpoint_is_run(spoilt, tmp_path: Path) -> None:
    with pytest.raises(ModelDamaged, match="cannot be read"):
        spoilt(lambda tensors: {**tensors, "more": Program(tmp_path / "ran")})
    assert not (tmp_path / "ran").exists()


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    whole = checkpoint("tiny-ecapa")
    (spec,) = tiny_specs(["tiny-ecapa"])
    data = (whole.folder / FILE).read_bytes()
    copy = Checkpoint(whole.entry, tmp_path, whole.revision)
    with pytest.raises(ModelDamaged, match="no file"):
        EcapaEncoder.load(spec, copy, Placement())
    for length in (0, 100, len(data) // 2, len(data) - 20):
        (tmp_path / FILE).write_bytes(data[:length])
        with pytest.raises(ModelDamaged, match="cannot be read"):
            EcapaEncoder.load(spec, copy, Placement())


@pytest.mark.parametrize("spoil", [np.nan, np.inf])
def test_numbers_that_are_no_sound_are_refused(engine, spoil: float) -> None:
    samples = noise(1.0)
    samples[100] = spoil
    with pytest.raises(BadAudio):
        engine.embed(Audio(samples))
    with pytest.raises(BadAudio, match="silent"):
        engine.embed(Audio(np.zeros(SAMPLE_RATE, np.float32)))
