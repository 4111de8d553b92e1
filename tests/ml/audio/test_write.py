from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.read import probe, read
from ml.audio.write import FORMATS, KNEE, MPEG_RATES, AudioWriter, Fitted, soft_clip, write
from ml.errors import CannotWrite
from ml.types import Audio

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("written")


def voice_like(seconds: float, rate: int, seed: int) -> np.ndarray:
    """Harmonics of a gliding tone with a wandering level: something a speech codec codes well."""
    count = max(1, round(seconds * rate))
    time = np.arange(count) / rate
    phase = 2 * np.pi * (140 + 20 * seed) * (time + 0.05 * np.sin(3 * time))
    sound = sum(np.sin(k * phase) / k for k in range(1, 6)) * (0.2 + 0.1 * np.sin(7 * time + seed))
    return sound.astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(
    suffix=st.sampled_from([".wav", ".flac"]),
    rate=st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000]),
    seconds=st.floats(0, 0.7),
    seed=st.integers(0, 4),
    cuts=st.lists(st.floats(0, 1), max_size=4),
)
def test_lossless_formats_give_back_every_sample_to_16_bits(folder, suffix, rate, seconds, seed, cuts):
    """Written in any pieces, read by libsndfile, which had no part in the writing."""
    sound = voice_like(seconds, rate, seed)
    bounds = [0, *sorted(int(cut * len(sound)) for cut in cuts), len(sound)]
    path = folder / f"lossless{suffix}"
    with AudioWriter(path, rate) as writer:
        for first, last in itertools.pairwise(bounds):
            writer.write(sound[first:last])
    samples, found = soundfile.read(path, dtype="float32")
    assert (found, len(samples), writer.clipped) == (rate, len(sound), 0)
    assert writer.seconds == pytest.approx(len(sound) / rate)
    np.testing.assert_allclose(samples, sound, atol=1 / 32_768)


@settings(deadline=None, max_examples=40)
@given(
    suffix=st.sampled_from([".mp3", ".opus", ".ogg", ".m4a"]),
    rate=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000, 96_000]),
    seconds=st.floats(0.5, 1.5),
    seed=st.integers(0, 4),
)
def test_lossy_formats_keep_length_place_and_sound(folder, suffix, rate, seconds, seed):
    sound = voice_like(seconds, rate, seed)
    path = folder / f"lossy{suffix}"
    write(path, Audio(sound, rate))
    back = read(path).samples
    write(folder / "reference.wav", Audio(sound, rate))
    reference = read(folder / "reference.wav").samples
    assert len(reference) - 32 <= len(back) <= len(reference) + 2100  # AAC keeps the padding of its last frame
    length = min(len(back), len(reference))
    error = back[800 : length - 800] - reference[800 : length - 800]
    ratio = 10 * np.log10(np.mean(reference[800 : length - 800] ** 2) / np.mean(error**2))
    assert ratio > 10  # dB; a shift by a quarter of a millisecond would already be below


def test_what_is_written_is_what_the_extension_says(folder):
    expected = {
        ".wav": ("wav", "pcm_s16le"),
        ".flac": ("flac", "flac"),
        ".mp3": ("mp3", "mp3"),
        ".opus": ("ogg", "opus"),
        ".ogg": ("ogg", "opus"),
        ".m4a": ("mov", "aac"),
    }
    assert set(FORMATS) == set(expected)
    for suffix, kind in expected.items():
        path = folder / f"LOUD{suffix.upper()}"
        write(path, Audio(voice_like(1, 16_000, 0)))
        info = probe(path)
        assert (info.container, info.codec, info.channels) == (*kind, 1)
        assert path.stat().st_mode & 0o077 == 0o644 & 0o077


@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=50))
def test_clipping_is_soft_monotone_odd_and_never_wraps(values: list[float]):
    samples = np.sort(np.array(values, np.float32))
    bent, clipped = soft_clip(samples)
    assert np.abs(bent).max(initial=0.0) <= 1.0
    assert (np.diff(bent) >= 0).all()
    np.testing.assert_allclose(soft_clip(-samples)[0], -bent)
    untouched = np.abs(samples) <= KNEE
    np.testing.assert_array_equal(bent[untouched], samples[untouched])
    assert clipped == int((np.abs(samples) > 1).sum())


@pytest.mark.parametrize(
    ("rate", "rates", "taken"),
    [(8_000, (), 8_000), (8_000, MPEG_RATES, 16_000), (24_000, MPEG_RATES, 24_000), (96_000, MPEG_RATES, 48_000)],
)
def test_a_codec_gets_the_same_rate_or_the_next_higher_one_it_has(rate, rates, taken):
    fitted = Fitted(rate, rates)
    sound = voice_like(0.5, rate, 1)
    given_back = np.concatenate([*(fitted.feed(part) for part in np.array_split(sound, 3)), fitted.rest()])
    assert fitted.rate == taken
    assert len(given_back) == pytest.approx(len(sound) * taken / rate, abs=1)
    assert fitted.clipped == 0


def test_what_is_fitted_lies_within_full_scale_and_is_numbers():
    fitted = Fitted(16_000)
    assert np.abs(fitted.feed(np.array([0.5, 3.0, -3.0], np.float32))).max() <= 1
    assert fitted.clipped == 2
    for wrong in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite"):
            fitted.feed(np.array([0.0, wrong], np.float32))


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".opus", ".m4a"])
def test_loud_sound_is_told_and_keeps_its_sign(folder, suffix):
    sound = voice_like(1, 16_000, 1) * 8
    path = folder / f"loud{suffix}"
    clipped = write(path, Audio(sound))
    assert clipped == int((np.abs(sound) > 1).sum()) > 1000
    back = read(path).samples[: len(sound)]
    surely = np.abs(sound[: len(back)]) > 1.2
    assert (np.sign(back[surely]) == np.sign(sound[: len(back)][surely])).mean() > (
        0.99 if suffix != ".wav" else 0.9999
    )


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "a.wav"
    with AudioWriter(path) as writer:
        writer.write(np.zeros(16_000, np.float32))
        assert not path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".opus", ".m4a"])
def test_a_failure_leaves_nothing_and_keeps_what_was_there(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"older result")
    writer = AudioWriter(path)
    writer.write(np.zeros(16_000, np.float32))
    with pytest.raises(KeyError), writer:
        raise KeyError
    del writer  # libav tears down here, and must not write
    assert path.read_bytes() == b"older result"
    with pytest.raises(ValueError, match="finite"), AudioWriter(path) as writer:
        writer.write(np.array([np.nan], np.float32))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_where_it_cannot_be_written_it_says_so_before_the_work(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "file").touch()
    for name, sentence in {
        "a.xyz": "'.xyz' files are not written",
        "noextension": "without an extension",
        "missing/a.wav": "cannot be written: no such file",
        "file/a.wav": "cannot be written: not a directory",
        "folder.wav": "is a folder",
    }.items():
        with pytest.raises(CannotWrite) as caught:
            AudioWriter(tmp_path / name)
        assert sentence in caught.value.sentence
        assert caught.value.remedy
    (tmp_path / "device.wav").symlink_to("/dev/null")
    with pytest.raises(CannotWrite, match="not an ordinary file"):
        AudioWriter(tmp_path / "device.wav")
    with pytest.raises(CannotWrite, match="no sound to write"), AudioWriter(tmp_path / "a.wav"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["device.wav", "file", "folder.wav"]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.wav").write_bytes(b"old")
    (tmp_path / "link.wav").symlink_to(tmp_path / "real/a.wav")
    write(tmp_path / "link.wav", Audio(np.zeros(100, np.float32)))
    assert (tmp_path / "link.wav").is_symlink()
    assert read(tmp_path / "real/a.wav").seconds == 100 / 16_000


FULL_DISK = """
import resource, sys
import numpy as np
from ml.audio.write import AudioWriter
from ml.errors import CannotWrite
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    with AudioWriter(sys.argv[1]) as writer:
        for _ in range(int(sys.argv[2])):
            writer.write(np.random.default_rng(0).standard_normal(1600).astype(np.float32) * 0.1)
except CannotWrite as error:
    print(error.sentence)
"""


@pytest.mark.parametrize(
    ("suffix", "blocks"), [(".wav", 200), (".wav", 16), (".mp3", 400), (".opus", 400), (".m4a", 400)]
)
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, suffix, blocks):
    """A limit on the file's size stands in for the full disk: the same write fails in the same place."""
    path = tmp_path / f"a{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), str(blocks)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert "cannot be written: file too large" in done.stdout, done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_the_same_sound_gives_the_same_bytes(tmp_path):
    sound = Audio(voice_like(1, 16_000, 0))
    for suffix in FORMATS:
        write(tmp_path / f"a{suffix}", sound)
        write(tmp_path / f"b{suffix}", sound)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
