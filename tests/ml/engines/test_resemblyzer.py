from __future__ import annotations

import json
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.audio_utils import mel_filter_bank

from ml.engines import resemblyzer
from ml.engines.protocols import EngineHome
from ml.engines.resemblyzer import ResemblyzerEncoder, window_starts
from ml.errors import BadAudio, EngineFailed, ModelDamaged, Unavailable
from ml.types import Audio

RATE = 16_000
Tensors = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def made_up() -> Tensors:
    """Random weights of the right shapes, as PyTorch initialises them."""
    torch.manual_seed(3)
    lstm, linear = torch.nn.LSTM(40, 256, 3), torch.nn.Linear(256, 256)
    tensors = {f"lstm.{name}": value for name, value in lstm.state_dict().items()}
    tensors |= {f"linear.{name}": value for name, value in linear.state_dict().items()}
    return {name: (3 * value).numpy() for name, value in tensors.items()}


@pytest.fixture(scope="session")
def published(models_dir: Path) -> Tensors:
    """The published weights. Skips where they were not fetched."""
    try:
        return dict(resemblyzer.weights(models_dir))
    except Unavailable as missing:
        pytest.skip(f"needs the model: {missing.remedy}")


@pytest.fixture(scope="session")
def speech(repository: Path) -> Callable[[str], Audio]:
    def read(name: str) -> Audio:
        samples, rate = soundfile.read(repository / "examples" / "audio" / name, dtype="float32")
        return Audio(samples, rate)

    return read


def by_torch(tensors: Tensors, samples: np.ndarray) -> np.ndarray:
    """The embedding as PyTorch's own STFT and LSTM compute it, window after window."""
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    for module, prefix in ((lstm, "lstm."), (linear, "linear.")):
        state = {n.removeprefix(prefix): torch.tensor(v) for n, v in tensors.items() if n.startswith(prefix)}
        module.load_state_dict(state)
    samples = samples * 10 ** (-26 / 20) / np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
    starts = [0]
    while starts[-1] + 77 + 160 <= int(np.ceil((len(samples) + 1) / 160)) + 77:
        starts.append(starts[-1] + 77)
    if len(starts) > 1 and (len(samples) - starts[-1] * 160) / 25600 < 0.75:
        starts.pop()
    whole = torch.zeros(max(len(samples), (starts[-1] + 160) * 160))
    whole[: len(samples)] = torch.tensor(samples)
    window = torch.hann_window(400)
    spectrum = torch.stft(whole, 400, 160, window=window, center=True, pad_mode="constant", return_complex=True)
    bank = mel_filter_bank(201, 40, 0.0, 8000.0, RATE, norm="slaney", mel_scale="slaney")
    mel = (spectrum.abs().double() ** 2).T @ torch.tensor(bank)
    with torch.no_grad():
        partial = []
        for start in starts:
            _, (hidden, _) = lstm(mel[None, start : start + 160].float())
            embedding = torch.relu(linear(hidden[-1][0]))
            partial.append(embedding / embedding.norm())
    mean = torch.stack(partial).mean(0)
    return (mean / mean.norm()).numpy()


def noise(seconds: float, seed: int = 0) -> Audio:
    rng = np.random.default_rng(seed)
    return Audio((0.1 * rng.standard_normal(round(seconds * RATE))).astype(np.float32))


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.59, 1.6, 1.61, 2.37, 2.5, 5.0, 11.0])
def test_any_weights_give_what_torch_gives(made_up: Tensors, seconds: float) -> None:
    audio = noise(seconds)
    mine = ResemblyzerEncoder(resemblyzer.SPEC, made_up).embed(audio)
    np.testing.assert_allclose(mine, by_torch(made_up, audio.samples), atol=2e-5)


@pytest.mark.parametrize("name", ["lj.flac", "demo.flac"])
def test_the_published_weights_give_what_torch_gives_on_real_speech(
    published: Tensors, speech: Callable[[str], Audio], name: str
) -> None:
    audio = speech(name)
    mine = ResemblyzerEncoder(resemblyzer.SPEC, published).embed(audio)
    theirs = by_torch(published, audio.samples)
    assert float(mine @ theirs) > 0.999999
    np.testing.assert_allclose(mine, theirs, atol=2e-5)


def test_more_windows_than_a_batch_holds_give_the_same(made_up: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, audio = ResemblyzerEncoder(resemblyzer.SPEC, made_up), noise(8.0)
    whole = encoder.embed(audio)
    monkeypatch.setattr(resemblyzer, "_BATCH", 3)
    np.testing.assert_allclose(encoder.embed(audio), whole, atol=1e-6)


@given(st.integers(1, 60 * RATE))
def test_windows_begin_at_the_start_and_cover_nearly_all(samples: int) -> None:
    starts = window_starts(samples)
    assert starts[0] == 0
    assert all(b - a == 77 for a, b in pairwise(starts))
    if samples >= 160 * 160:
        assert samples - (starts[-1] + 160) * 160 < 0.75 * 160 * 160, "less than a window is left out"
        assert samples - starts[-1] * 160 >= 0.75 * 160 * 160 or len(starts) == 1


@pytest.mark.parametrize("gain", [0.003, 0.1, 4.0])
def test_how_loud_somebody_is_does_not_change_who_it_is(
    published: Tensors, speech: Callable[[str], Audio], gain: float
) -> None:
    encoder, audio = ResemblyzerEncoder(resemblyzer.SPEC, published), speech("lj.flac")
    assert float(encoder.embed(Audio(audio.samples * np.float32(gain))) @ encoder.embed(audio)) > 0.9999


def test_one_speaker_is_nearer_to_herself_than_to_another(published: Tensors, speech: Callable[[str], Audio]) -> None:
    encoder = ResemblyzerEncoder(resemblyzer.SPEC, published)
    one, other = speech("lj.flac"), speech("demo.flac")
    a, b = encoder.embed(one.cut(0, 4)), encoder.embed(one.cut(4, 8))
    c, d = encoder.embed(other.cut(0, 6.5)), encoder.embed(other.cut(6.5, 13))
    assert min(a @ b, c @ d) > 0.75
    assert max(a @ c, a @ d, b @ c, b @ d) < 0.70


def test_real_speakers_are_told_apart(published: Tensors, shared_speech: Path) -> None:
    """34 speakers would take a minute; twelve with two utterances each show it."""
    encoder = ResemblyzerEncoder(resemblyzer.SPEC, published)
    entries = json.loads((shared_speech / "speakers" / "manifest.json").read_text())
    entries = entries["files"] if isinstance(entries, dict) else entries
    by_split: dict[str, dict[str, np.ndarray]] = {"train": {}, "test": {}}
    for entry in entries:
        if not entry["file"].endswith(".flac"):
            continue
        samples, _ = soundfile.read(shared_speech / "speakers" / entry["file"], dtype="float32", frames=12 * RATE)
        by_split[entry["split"]][entry["speaker"]] = encoder.embed(Audio(samples))
    speakers = sorted(by_split["train"].keys() & by_split["test"].keys())
    assert len(speakers) >= 8
    train, test = (np.stack([by_split[split][s] for s in speakers]) for split in ("train", "test"))
    likeness = test @ train.T
    assert (likeness.argmax(axis=1) == np.arange(len(speakers))).all()
    assert np.diag(likeness).mean() - likeness[~np.eye(len(speakers), dtype=bool)].mean() > 0.2


@settings(max_examples=25, deadline=None)
@given(st.floats(0.5, 4.0), st.floats(-120.0, 20.0), st.integers(0, 9))
def test_every_embedding_has_unit_norm(made_up: Tensors, seconds: float, level: float, seed: int) -> None:
    audio = noise(seconds, seed)
    samples = (audio.samples * 10 ** (level / 20)).astype(np.float32)
    try:
        embedding = ResemblyzerEncoder(resemblyzer.SPEC, made_up).embed(Audio(samples))
    except BadAudio as refusal:
        assert "silent" in refusal.sentence  # noqa: PT017 - refusing is one of two right answers
        assert level < -75
        return
    assert embedding.dtype == np.float32
    assert embedding.shape == (256,)
    assert (embedding >= 0).all()
    assert np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (noise(0.49), "too little"),
        (Audio(np.zeros(0, np.float32)), "too little"),
        (Audio(np.zeros(RATE, np.float32)), "silent"),
        (Audio(np.full(RATE, np.nan, np.float32)), "not numbers"),
        (Audio(np.full(RATE, np.inf, np.float32)), "not numbers"),
        (Audio(noise(2.0).samples, 8000), "16000 Hz"),
        (Audio(np.zeros((RATE, 2), np.float32)), "mono"),
    ],
)
def test_unusable_audio_is_refused(made_up: Tensors, audio: Audio, said: str) -> None:
    with pytest.raises(BadAudio, match=said) as failure:
        ResemblyzerEncoder(resemblyzer.SPEC, made_up).embed(audio)
    assert failure.value.remedy


def test_the_input_is_left_as_it_was(made_up: Tensors) -> None:
    audio = noise(1.0)
    before = audio.samples.copy()
    ResemblyzerEncoder(resemblyzer.SPEC, made_up).embed(audio)
    np.testing.assert_array_equal(audio.samples, before)


def test_threads_do_not_disturb_each_other(made_up: Tensors) -> None:
    encoder = ResemblyzerEncoder(resemblyzer.SPEC, made_up)
    alone = [encoder.embed(noise(1.0 + seed, seed)) for seed in range(4)]
    together: dict[int, np.ndarray] = {}

    def embed(seed: int) -> None:
        together[seed] = encoder.embed(noise(1.0 + seed, seed))

    threads = [threading.Thread(target=embed, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, expected in enumerate(alone):
        np.testing.assert_array_equal(together[seed], expected)


def test_closing_frees_the_weights(made_up: Tensors) -> None:
    encoder = ResemblyzerEncoder(resemblyzer.SPEC, made_up)
    encoder.close()
    encoder.close()
    with pytest.raises(EngineFailed, match="closed"):
        encoder.embed(noise(1.0))


def test_other_tensors_are_refused(made_up: Tensors) -> None:
    for damaged in (
        {**made_up, "linear.bias": np.zeros(255, np.float32)},
        {**made_up, "more": np.zeros(1, np.float32)},
        {name: value for name, value in made_up.items() if name != "lstm.bias_hh_l2"},
    ):
        with pytest.raises(ModelDamaged):
            ResemblyzerEncoder(resemblyzer.SPEC, damaged)


def test_without_the_model_it_is_unavailable(tmp_path: Path) -> None:
    home = EngineHome(tmp_path)
    (need,) = resemblyzer.SPEC.missing(home)
    assert need.remedy == "node models pull resemblyzer"
    with pytest.raises(Unavailable):
        resemblyzer.start(home)
