from __future__ import annotations

import json
import time

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.pitch import HOP_SECONDS, PitchOptions, f0_contour

parselmouth = pytest.importorskip("parselmouth")


def voice(f0: np.ndarray, seed: int = 0, noise: float = 0.003) -> np.ndarray:
    """A buzz of many harmonics whose F0 is `f0` `[N]` Hz at every sample, with a formant or two and a little noise."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * np.cumsum(f0) / 16_000
    sound = rng.standard_normal(len(f0)) * noise
    for k in range(1, 30):
        hertz = k * f0
        gain = 0.3 / k * (1 + 3 * np.exp(-(((hertz - 600) / 200) ** 2)) + 2 * np.exp(-(((hertz - 1500) / 300) ** 2)))
        sound += np.where(hertz < 7000, gain, 0) * np.sin(k * phase)
    return (0.3 * sound).astype(np.float32)


def praat(samples: np.ndarray) -> np.ndarray:
    """Praat's contour at the times of ours: with one sample more than whole frames its grid is ours from frame 2 on."""
    pitch = parselmouth.Sound(samples.astype(np.float64), 16_000).to_pitch_ac(
        0.01, 60, 15, False, 0.03, 0.45, 0.01, 0.35, 0.14, 500
    )
    first = pitch.xs()[0] / HOP_SECONDS - 0.5
    assert first == pytest.approx(2, abs=0.01)
    return np.asarray(pitch.selected_array["frequency"])


def errors(samples: np.ndarray) -> tuple[float, float, float]:
    """Against Praat: median relative error, share of gross errors (over 20 %), share of voicing disagreement."""
    samples = samples[: (len(samples) - 1) // 160 * 160 + 1]
    theirs = praat(samples)
    ours = f0_contour(samples)[2 : 2 + len(theirs)]
    both = (ours > 0) & (theirs > 0)
    relative = np.abs(ours[both] / theirs[both] - 1)
    return (
        float(np.median(relative)),
        float((relative > 0.2).mean()),
        float(((ours > 0) != (theirs > 0)).mean()),
    )


@settings(deadline=None, max_examples=40)
@given(
    start=st.floats(70, 450),
    octaves=st.floats(-1, 1),
    wobble=st.floats(0, 0.04),
    level=st.floats(1e-3, 1),
    seed=st.integers(0, 9),
)
def test_a_glide_of_known_f0_is_followed(start, octaves, wobble, level, seed):
    """Up to an octave in a second, with vibrato, from 65 to 480 Hz, at any level."""
    time = np.arange(16_000) / 16_000
    f0 = np.clip(start * 2 ** (octaves * time) * (1 + wobble * np.sin(2 * np.pi * 5 * time)), 65, 480)
    contour = f0_contour(voice(f0, seed) * np.float32(level))
    assert len(contour) == 100
    truth = f0[80::160][:100]
    inner = slice(4, -4)
    relative = np.abs(contour[inner] / truth[inner] - 1)
    assert (contour[inner] > 0).all()
    assert np.median(relative) < 0.002
    assert relative.max() < 0.05


def test_shipped_speech_agrees_with_praat(speech):
    """Parselmouth runs Praat itself, with the same parameters; it is an oracle here and no part of the project."""
    median, gross, voicing = errors(speech)
    assert median < 0.001
    assert gross < 0.01
    assert voicing < 0.03


def test_many_speakers_agree_with_praat(corpus):
    """Measured over 38 recordings: median 0.006 %, gross 0.06 %, voicing 0.9 %."""
    names = [item["file"] for item in json.loads((corpus / "manifest.json").read_text())][::3]
    results = np.array([errors(soundfile.read(corpus / name, dtype="float32")[0]) for name in names])
    assert np.median(results[:, 0]) < 0.0005
    assert results[:, 1].mean() < 0.005
    assert results[:, 2].mean() < 0.02


def test_what_has_no_voice_has_no_f0():
    rng = np.random.default_rng(0)
    assert not f0_contour(np.zeros(16_000, np.float32)).any()
    assert not f0_contour(np.full(16_000, 0.3, np.float32)).any()
    hiss = f0_contour((rng.standard_normal(32_000) * 0.1).astype(np.float32))
    assert (hiss > 0).mean() < 0.02
    quiet_after = np.concatenate([voice(np.full(8000, 120.0)), np.zeros(8000, np.float32)])
    contour = f0_contour(quiet_after)
    assert (contour[5:45] > 0).all()
    assert not contour[55:].any()


@given(length=st.integers(0, 2000))
def test_any_length_has_a_value_for_every_whole_hop(length):
    contour = f0_contour(voice(np.full(2000, 200.0))[:length])
    assert contour.shape == (length // 160,)
    assert contour.dtype == np.float32


def test_the_range_is_kept():
    contour = f0_contour(voice(np.full(8000, 110.0)), PitchOptions(floor=150, ceiling=300))
    voiced = contour[contour > 0]
    assert ((voiced >= 150) & (voiced <= 300)).all()
    for floor, ceiling in [(20, 300), (300, 200), (100, 5000)]:
        with pytest.raises(ValueError, match="floor < ceiling"):
            PitchOptions(floor=floor, ceiling=ceiling)


def test_long_and_short_inputs_are_batched_alike():
    f0 = 150 + 50 * np.sin(np.arange(16_000 * 12) / 16_000)
    sound = voice(f0)  # more frames than one batch of 512
    contour = f0_contour(sound)
    np.testing.assert_allclose(contour[5:-5], f0[80::160][5:-5], rtol=0.01)


def test_it_is_quick(speech):
    costs = []
    for _ in range(5):
        start = time.thread_time()
        f0_contour(speech)
        costs.append((time.thread_time() - start) * 16_000 / len(speech))
    assert min(costs) < 0.02  # s per second of speech; measured 0.0025 on an idle core
