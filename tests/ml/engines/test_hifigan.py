"""The HiFi-GAN vocoder beyond the contract: the spectrum it was trained on, and memory that does not grow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import transformers

from ml.audio.logmel import HOP, log_mel
from ml.device import Placement
from ml.engines.hifigan import CONTEXT, WINDOW, HifiGanVocoder, as_trained, band_map, sounded
from ml.engines.protocols import EngineHome
from ml.errors import BadAudio, ModelDamaged
from ml.models.checkpoint import Checkpoint
from tests.conftest import ROOT
from tests.ml.engines.tiny import checkpoint, tiny_specs


@pytest.fixture(scope="module")
def engine():
    (spec,) = tiny_specs(["tiny-hifigan"])
    made = spec.factory(EngineHome(Path("nowhere")))
    yield made
    made.close()


def recording(name: str = "lj.flac") -> np.ndarray:
    return soundfile.read(ROOT / "examples" / "audio" / name, dtype="float32")[0]


def off(found: np.ndarray, wanted: np.ndarray) -> float:
    """Decibels between log10 spectra, root mean square."""
    count = min(len(found), len(wanted))
    return 20 * float(np.sqrt(np.mean((found[:count] - wanted[:count]) ** 2)))


@pytest.mark.parametrize("name", ["lj.flac", "demo.flac"])
def test_our_spectrum_becomes_the_one_that_the_network_was_trained_on(name: str) -> None:
    samples = recording(name)
    theirs = transformers.SpeechT5FeatureExtractor()._extract_mel_features(samples[HOP // 2 :])
    ours = log_mel(samples)
    assert off(as_trained(ours), theirs) < 1.5
    assert off(ours / np.log(10), theirs) > 5, "the bands differ, not only the logarithm"
    assert off(as_trained(ours), transformers.SpeechT5FeatureExtractor()._extract_mel_features(samples)) > 3


def test_a_flat_spectrum_stays_flat() -> None:
    assert (band_map() >= 0).all()
    np.testing.assert_allclose(band_map().sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(as_trained(np.full((3, 80), np.log(100.0), np.float32)), 2.0, atol=1e-5)


def test_a_long_spectrum_sounds_as_if_it_were_sounded_at_once() -> None:
    network = transformers.SpeechT5HifiGan.from_pretrained(checkpoint("tiny-hifigan").folder).eval()
    mel = np.random.default_rng(0).normal(-1, 1, (2 * WINDOW + 100, 80)).astype(np.float32)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(mel)).numpy()
    np.testing.assert_allclose(sounded(network, mel, Placement()), wanted, atol=1e-5)


def test_the_context_is_more_than_the_published_network_reaches() -> None:
    with torch.device("meta"):
        network = transformers.SpeechT5HifiGan(transformers.SpeechT5HifiGanConfig())
    reach, rate = 3.0, 1.0  # frames, samples per frame
    for index, factor in enumerate(network.config.upsample_rates):
        rate *= factor
        reach += 1 + max(
            sum((kernel - 1) // 2 * (step + 1) for step in steps) / rate
            for kernel, steps in zip(
                network.config.resblock_kernel_sizes, network.config.resblock_dilation_sizes, strict=True
            )
        )
        assert index < 4
    assert reach < CONTEXT


def test_what_is_said_comes_at_its_time(engine) -> None:
    samples = recording()[: HOP * 300]
    made = engine.sound(log_mel(samples)).samples

    def alike(shift: int) -> float:
        moved = log_mel(np.roll(made, shift))[2:-2]
        return float(np.corrcoef(moved.ravel(), log_mel(samples)[2:-2].ravel())[0, 1])

    assert alike(0) > max(alike(-HOP // 2), alike(HOP // 2))


@pytest.mark.parametrize("shape", [(0, 80), (5, 79), (80,)])
def test_what_is_no_spectrum_is_refused(engine, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadAudio):
        engine.sound(np.zeros(shape, np.float32))
    with pytest.raises(BadAudio):
        engine.sound(np.full((4, 80), np.nan, np.float32))


def test_a_vocoder_for_another_rate_is_refused(tmp_path: Path) -> None:
    found = checkpoint("tiny-hifigan")
    for file in found.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"sampling_rate": 22050}))
    (spec,) = tiny_specs(["tiny-hifigan"])
    with pytest.raises(ModelDamaged, match="22050"):
        HifiGanVocoder.load(spec, Checkpoint(found.entry, tmp_path, found.revision), Placement())
