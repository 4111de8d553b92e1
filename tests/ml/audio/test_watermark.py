"""Writing the watermark: any blocks give the same, silence stays silent, and what is added lies below what it masks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.markcode import Mark
from ml.audio.masking import critical_starts, noise_to_tone
from ml.audio.watermark import STRENGTH, Watermarker, watermark
from ml.types import Audio

MARK = Mark(70_707)
RATES = [8_000, 16_000, 22_050, 44_100, 48_000]


def sound(count, seed=0):
    return (np.random.default_rng(seed).standard_normal(count) * 0.1).astype(np.float32)


@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(0, 5000), max_size=12), rate=st.sampled_from([8_000, 16_000, 22_050]))
def test_any_blocks_give_what_the_whole_gives(cuts, rate):
    whole = sound(5000)
    writer = Watermarker(rate, MARK)
    edges = [0, *sorted(cuts), 5000]
    parts = [writer.process(whole[a:b]) for a, b in pairwise(edges)]
    got = np.concatenate([*parts, writer.flush()])
    np.testing.assert_array_equal(got, watermark(Audio(whole, rate), MARK).samples)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 4000])
def test_as_many_samples_come_out_as_go_in(count, rate):
    marked = watermark(Audio(sound(count), rate), MARK)
    assert marked.samples.shape == (count,)
    assert marked.samples.dtype == np.float32
    assert marked.rate == rate


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_nothing_waits_longer_than_a_frame(rate):
    writer = Watermarker(rate, MARK)
    given_, got = 0, 0
    for block in np.array_split(sound(rate), 97):
        given_ += len(block)
        got += len(writer.process(block))
        assert given_ - got <= 0.032 * rate


def test_silence_stays_silent_and_marked_sound_is_marked():
    quiet = np.zeros(16_000, np.float32)
    assert not watermark(Audio(quiet), MARK).samples.any()
    loud = sound(16_000)
    assert np.abs(watermark(Audio(loud), MARK).samples - loud).max() > 0.01


def test_sound_beside_silence_stays_within_its_frame():
    burst = np.zeros(16_000, np.float32)
    burst[8000:8400] = sound(400)
    marked = watermark(Audio(burst), MARK).samples
    assert not marked[: 8000 - 512].any()
    assert not marked[8400 + 512 :].any()


def test_no_band_moves_by_more_than_the_strength():
    tone = (0.3 * np.sin(2 * np.pi * 1000 * np.arange(32_000) / 16_000)).astype(np.float32)
    marked = watermark(Audio(tone), MARK).samples
    assert np.abs(marked).max() <= np.abs(tone).max() * 10 ** (STRENGTH / 20)
    noise = sound(32_000)
    added = watermark(Audio(noise), MARK).samples - noise
    assert 20 * np.log10(added.std() / noise.std()) < 20 * np.log10(10 ** (STRENGTH / 20) - 1)


def test_a_tone_is_changed_less_than_noise():
    """A tone hides less; the share that the mark adds must follow."""
    tone = (0.14 * np.sin(2 * np.pi * 1500 * np.arange(32_000) / 16_000)).astype(np.float32)
    noise = sound(32_000)
    changed = [np.std(watermark(Audio(s), MARK).samples - s) / np.std(s) for s in (tone, noise)]
    assert changed[0] < changed[1] / 2


def test_the_mark_lies_below_the_masking_threshold_of_speech(speech):
    """On frames of another length that begin where the writer begins none."""
    speech = speech[:80_000]
    added = watermark(Audio(speech), MARK).samples.astype(np.float64) - speech
    window = np.hanning(341)
    plain, noise = (
        np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(s, 341)[77::170] * window)) ** 2
        for s in (speech, added)
    )
    loud = plain.sum(axis=1) > 1e-6 * plain.sum(axis=1).max()
    starts = critical_starts(16_000 / 341, 171)
    energy = np.add.reduceat(plain[loud], starts, axis=1)
    cells = np.add.reduceat(noise[loud], starts, axis=1) < noise_to_tone(plain[loud], starts) * energy
    assert cells[:, 3:].mean() > 0.985


def test_another_message_is_another_sound_but_the_same_message_the_same():
    plain = Audio(sound(16_000))
    first, again, other = (watermark(plain, mark).samples for mark in (Mark(1), Mark(1), Mark(2)))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_narrow_sound_is_refused():
    with pytest.raises(ValueError, match="8000"):
        Watermarker(7_999, MARK)
