"""Finding the watermark: in what was cut, played louder, at another rate or speed; and not where it is not."""

import io

import av
import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.markcode import Mark
from ml.audio.watermark import watermark
from ml.audio.watermark_search import WatermarkSearch, chance_of, detect
from ml.types import Audio

MARK = Mark(555_555)
RATE = 16_000


@pytest.fixture(scope="module")
def plain(repository):
    from ml.audio.read import read

    return read(repository / "examples" / "audio" / "lj.flac").samples


@pytest.fixture(scope="module")
def marked(plain):
    return watermark(Audio(plain), MARK).samples


@pytest.fixture(scope="module")
def search():
    return WatermarkSearch()


def five(samples, start=3_333):
    return Audio(np.asarray(samples[start : start + 5 * RATE], np.float32))


def opus(samples, bit_rate):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    resampler = av.AudioResampler("flt", "mono", RATE)
    with av.open(buffer) as container:
        return np.concatenate([p.to_ndarray()[0] for f in container.decode(audio=0) for p in resampler.resample(f)])


def narrow(samples):
    return soxr.resample(soxr.resample(samples, RATE, 6_800), 6_800, RATE)


def noisy(samples):
    noise = np.random.default_rng(0).standard_normal(len(samples))
    return samples + noise * samples.std() / 10**1.5


CHANNELS = {
    "untouched": lambda s: s,
    "opus 24": lambda s: opus(s, 24_000),
    "telephone band": narrow,
    "noise at 30 dB": noisy,
    "12 dB softer": lambda s: s / 4,
    "12 dB louder": lambda s: np.clip(s * 4, -1, 1),
    "1 % quicker": lambda s: soxr.resample(s, 16_160, RATE),
    "1 % slower": lambda s: soxr.resample(s, 15_840, RATE),
}


@pytest.mark.parametrize("channel", CHANNELS)
def test_five_seconds_are_enough_after(channel, marked, search):
    result = search.detect(five(CHANNELS[channel](marked)))
    assert result.found
    assert result.chance <= 1e-5
    assert result.spans == ((0.0, pytest.approx(5, abs=0.02)),)


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_same_channels_make_no_mark_of_unmarked_speech(channel, plain, search):
    result = search.detect(five(CHANNELS[channel](plain)))
    assert not result.found
    assert result.mark is None
    assert result.chance > 1e-4


@settings(deadline=None, max_examples=8)
@given(start=st.integers(0, 40_000))
def test_it_is_read_wherever_the_sound_is_cut(start, marked, search):
    assert search.detect(five(marked, start)).mark == MARK


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_it_is_written_at_any_rate(rate, plain, search):
    there = Audio(soxr.resample(plain[: 8 * RATE], RATE, rate), rate)
    assert search.detect(watermark(there, MARK)).mark == MARK


def test_the_speed_is_told(marked, search):
    assert search.detect(five(soxr.resample(marked, 16_160, RATE))).speed == pytest.approx(1.01, abs=0.0021)
    assert search.detect(five(marked)).speed == pytest.approx(1, abs=0.0021)


def test_where_it_is_is_told(plain, marked, search):
    other = np.concatenate([plain, plain, plain])[: 30 * RATE]
    both = np.concatenate([other, marked[: 8 * RATE], other])
    result = search.detect(Audio(both))
    assert result.found
    ((start, end),) = result.spans
    assert 30 - 10.3 <= start <= 34
    assert 34 <= end <= 38 + 10.3


def test_another_key_finds_nothing(marked):
    assert not WatermarkSearch(key=b"another").detect(five(marked)).found


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(5 * RATE), np.zeros(100), np.ones(3 * RATE)])
def test_silence_is_not_marked(samples, search):
    result = search.detect(Audio(samples.astype(np.float32)))
    assert not result.found
    assert result.chance == 1


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), seconds=st.floats(1, 6))
def test_noise_is_not_marked(seed, seconds, search):
    noise = np.random.default_rng(seed).standard_normal(round(seconds * RATE)).astype(np.float32)
    assert search.detect(Audio(noise)).chance > 1e-4


def test_the_chance_is_an_upper_bound_of_a_coin_flippers(search):
    """The bound for random signs against sums of signed weights, heavy ones among them."""
    rng = np.random.default_rng(0)
    weights = rng.standard_cauchy(200)
    scores = rng.choice([-1, 1], (20_000, 200)) @ weights / np.sqrt((weights**2).sum())
    for score in (0.5, 1.0, 1.5, 2.0):
        assert (scores >= score).mean() <= chance_of(score, 1)


def test_chance_grows_with_tries_and_falls_with_the_score():
    assert chance_of(7, 10) == pytest.approx(10 * chance_of(7, 1))
    assert chance_of(8, 1) < chance_of(7, 1)
    assert chance_of(-3, 5) == 1
    assert chance_of(0, 1) == 1


def test_the_function_is_the_search(marked, search):
    assert detect(five(marked)) == search.detect(five(marked))


@pytest.mark.parametrize("seconds", [0.99, 1.0, 3.7, 5.12, 5.2, 10.23, 10.24, 10.264, 10.3, 15.4, 20.6, 27.0])
def test_sound_in_pieces_is_looked_at_in_the_windows_of_the_whole(seconds, plain, marked, search, monkeypatch):
    """Windows of 1280 frames of 8 ms begin 640 frames apart, and none that begins later is half a window or less."""
    sound = np.concatenate([plain[: 9 * RATE], marked, marked, plain])[: round(seconds * RATE)]
    whole = search.detect(Audio(sound))
    places = []
    best = WatermarkSearch._best
    monkeypatch.setattr(WatermarkSearch, "_best", lambda self, part: places.append(len(part)) or best(self, part))
    for length in (160, RATE, 163_000, len(sound)):
        places.clear()
        pieces = [sound[at : at + length] for at in range(0, len(sound), length)]
        assert search.detect_in(pieces) == whole
        count = (len(sound) - 512) // 128 + 1
        starts = range(0, max(count - 640, 1), 640) if len(sound) >= RATE else ()
        assert places == [(min(start + 1280, count) - start - 1) * 128 + 512 for start in starts]


def test_no_more_than_a_window_is_held(plain, search):
    import tracemalloc

    def peak(pieces):
        tracemalloc.start()
        search.detect_in(pieces)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    silence = np.zeros(RATE, np.float32)
    few, many = (peak(silence for _ in range(count)) for count in (30, 300))
    assert many < 1.1 * few
