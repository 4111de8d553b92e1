from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ml.audio.prosody import BANDS, count_syllables, measure
from ml.errors import BadAudio
from ml.types import Audio


def babble(rate: float, seconds: float = 4.0, f0: float = 130.0) -> np.ndarray:
    """`rate` voiced syllables a second: a vowel whose loudness falls by 20 dB between syllables."""
    time = np.arange(round(16_000 * seconds)) / 16_000
    carrier = sum(np.sin(2 * np.pi * k * f0 * time) / (1 + abs(k * f0 - 1000) / 300) for k in range(1, 40))
    envelope = 10 ** ((-1 - np.cos(2 * np.pi * rate * time)) / 2)
    return (0.05 * carrier * envelope).astype(np.float32)


def test_the_figures_of_a_known_voice():
    prosody = measure(Audio(babble(4.0, f0=130.0)))
    assert prosody.f0_median == pytest.approx(130, rel=0.002)
    assert prosody.f0_spread == pytest.approx(0, abs=0.005)
    assert prosody.f0_range == pytest.approx((130, 130), rel=0.01)
    assert prosody.rate == pytest.approx(4, abs=0.3)
    assert prosody.speech_seconds == pytest.approx(4, abs=0.1)
    assert prosody.voiced_share > 0.9
    assert prosody.hop == 0.01
    assert len(prosody.f0) == len(prosody.energy) == 400


def test_spread_is_that_of_the_logarithm_and_bears_outliers():
    """F0 drawn from a log-normal contour with a known deviation, an octave error in one frame of twenty."""
    rng = np.random.default_rng(0)
    steps = np.repeat(rng.normal(np.log(180), 0.2, 100), 1600)
    f0 = np.exp(np.convolve(np.pad(steps, 200, mode="edge"), np.ones(401) / 401, "valid"))
    phase = 2 * np.pi * np.cumsum(f0) / 16_000
    sound = sum(np.sin(k * phase) / k for k in range(1, 20)) * 0.1
    prosody = measure(Audio(sound.astype(np.float32)))
    assert prosody.f0_median == pytest.approx(np.median(f0), rel=0.02)
    log = np.log(f0)
    assert prosody.f0_spread == pytest.approx(1.4826 * np.median(np.abs(log - np.median(log))), rel=0.15)


@pytest.mark.parametrize("rate", [2.0, 3.5, 5.0, 6.5])
def test_made_syllables_are_counted(rate):
    assert measure(Audio(babble(rate))).syllables == pytest.approx(rate * 4, abs=1)


def test_unvoiced_bursts_and_pauses_are_no_syllables():
    speech = babble(5.0, 2.0)
    rng = np.random.default_rng(0)
    hiss = (rng.standard_normal(3200) * 0.02).astype(np.float32)
    pause = np.zeros(16_000, np.float32)
    prosody = measure(Audio(np.concatenate([speech, pause, hiss, pause, speech])))
    assert prosody.syllables == pytest.approx(20, abs=2)
    assert prosody.speech_seconds == pytest.approx(4.2, abs=0.3)
    assert prosody.rate == pytest.approx(20 / 4.2, rel=0.15)


def test_energy_and_level_are_decibels_below_full_scale():
    sine = np.sin(2 * np.pi * 1000 * np.arange(32_000) / 16_000).astype(np.float32)
    prosody = measure(Audio(sine))
    np.testing.assert_allclose(prosody.energy[5:-5], -3.01, atol=0.02)
    assert measure(Audio(sine * np.float32(0.1))).level == pytest.approx(-23.01, abs=0.1)


def test_the_spectrum_shows_the_colour_and_not_the_level():
    rng = np.random.default_rng(0)
    white = (rng.standard_normal(16_000 * 4) * 0.05).astype(np.float32)
    flat = measure(Audio(white))
    assert flat.ltas is not None
    assert flat.ltas.shape == flat.ltas_hz.shape == (BANDS,)
    assert (np.diff(flat.ltas_hz) > 0).all()
    assert np.abs(flat.ltas).max() < 1.5  # flat within the scatter of noise
    quiet = measure(Audio(white * np.float32(0.01)))
    np.testing.assert_allclose(quiet.ltas, flat.ltas, atol=0.05)
    tilted = measure(Audio(np.diff(white, prepend=np.float32(0))))  # +6 dB per octave at low frequencies
    assert tilted.ltas is not None
    low, high = int(np.argmin(np.abs(flat.ltas_hz - 500))), int(np.argmin(np.abs(flat.ltas_hz - 2000)))
    expected = 20 * np.log10(np.sin(np.pi * flat.ltas_hz[high] / 16_000) / np.sin(np.pi * flat.ltas_hz[low] / 16_000))
    assert tilted.ltas[high] - tilted.ltas[low] == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize("sound", [np.zeros(0), np.zeros(16_000), np.full(16_000, 0.2), np.zeros(100)])
def test_silence_has_no_figures_and_no_error(sound):
    prosody = measure(Audio(sound.astype(np.float32)))
    assert (prosody.f0_median, prosody.f0_spread, prosody.f0_range, prosody.rate) == (None, None, None, None)
    assert (prosody.level, prosody.ltas) == (None, None)
    assert (prosody.syllables, prosody.speech_seconds, prosody.voiced_share) == (0, 0.0, 0.0)


def test_a_whisper_has_energy_and_no_f0(speech):
    """Speech with its phases drawn anew in every frame keeps its envelope and loses its voice."""
    rng = np.random.default_rng(0)
    frames = np.lib.stride_tricks.sliding_window_view(speech, 320)[::160] * np.hanning(320)
    spectrum = np.abs(np.fft.rfft(frames, axis=1)) * np.exp(2j * np.pi * rng.random((len(frames), 161)))
    whispered = np.zeros(len(frames) * 160 + 160)
    for index, frame in enumerate(np.fft.irfft(spectrum, axis=1)):
        whispered[index * 160 : index * 160 + 320] += frame
    prosody = measure(Audio(whispered.astype(np.float32)))
    assert prosody.speech_seconds > 0.5
    assert prosody.voiced_share < 0.1
    assert prosody.level is not None


def test_shipped_speech_lies_where_speech_lies(speech):
    prosody = measure(Audio(speech))
    assert prosody.f0_median is not None
    assert prosody.f0_spread is not None
    assert prosody.f0_range is not None
    assert prosody.rate is not None
    assert 70 < prosody.f0_range[0] < prosody.f0_median < prosody.f0_range[1] < 450
    assert 0.03 < prosody.f0_spread < 0.45
    assert 2.5 < prosody.rate < 7.5
    assert 0.4 < prosody.voiced_share < 0.95


def test_syllables_of_read_speech_are_near_the_dictionarys(corpus):
    """Measured over 17 recordings with 380 syllables: total +1 %, correlation 0.99, one recording off by 8 %."""
    pocketsphinx = pytest.importorskip("pocketsphinx")
    vowels = {"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}
    dictionary = {}
    for line in Path(os.path.dirname(pocketsphinx.__file__), "model/en-us/cmudict-en-us.dict").read_text().splitlines():
        word, *phones = line.split()
        dictionary[word] = sum(phone in vowels for phone in phones)
    counted, expected = [], []
    for item in json.loads((corpus / "manifest.json").read_text()):
        words = re.findall(r"[a-z']+", item["text"].lower())
        if item["group"] == "vctk" or not all(word in dictionary for word in words):
            continue
        samples = soundfile.read(corpus / item["file"], dtype="float32")[0]
        counted.append(measure(Audio(samples)).syllables)
        expected.append(sum(dictionary[word] for word in words))
    assert len(counted) > 10
    assert sum(counted) == pytest.approx(sum(expected), rel=0.05)
    assert np.corrcoef(counted, expected)[0, 1] > 0.95
    assert np.mean(np.abs(np.array(counted) / np.array(expected) - 1)) < 0.12


def test_a_contour_without_frames_has_no_syllables():
    assert count_syllables(np.zeros(0, np.float32), np.zeros(0, np.float32)) == 0


def test_another_rate_is_refused():
    with pytest.raises(BadAudio, match="16000 Hz"):
        measure(Audio(np.zeros(100, np.float32), 8000))
