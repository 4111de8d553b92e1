from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.audio.read import blocks, probe, read
from ml.errors import BadAudio

ROOT = Path(__file__).resolve().parents[3]


def tone(seconds: float, rate: int = 16_000, hertz: float = 220.0, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def wav(samples: np.ndarray, rate: int = 16_000, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def frequency(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 16_000 / len(samples))


@settings(deadline=None, max_examples=60)
@given(
    rate=st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]),
    channels=st.integers(1, 6),
    form=st.sampled_from(
        [
            *(("WAV", subtype) for subtype in ("PCM_16", "PCM_24", "PCM_U8", "FLOAT", "DOUBLE", "ULAW")),
            *(("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("AIFF", "PCM_16"), ("W64", "PCM_32")),
        ]
    ),
    seconds=st.floats(0.1, 0.6),
    seed=st.integers(0, 9),
)
def test_any_rate_and_channels_become_what_an_independent_reader_makes_of_them(rate, channels, form, seconds, seed):
    """libsndfile and one-piece soxr against libav and streaming soxr."""
    rng = np.random.default_rng(seed)
    sound = tone(seconds, rate)[:, None] * rng.uniform(0.2, 1, channels)
    sound += rng.standard_normal(sound.shape) * 0.01
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format=form[0], subtype=form[1])
    expected, _ = soundfile.read(io.BytesIO(file.getvalue()), dtype="float32", always_2d=True)
    expected = soxr.resample(expected.mean(axis=1, dtype=np.float32), rate, 16_000)
    recording = read(io.BytesIO(file.getvalue()))
    assert (recording.rate, recording.info.rate, recording.info.channels) == (16_000, rate, channels)
    assert not recording.truncated
    assert abs(len(recording.samples) - len(expected)) <= 1
    length = min(len(expected), len(recording.samples))
    np.testing.assert_allclose(recording.samples[:length], expected[:length], atol=2e-6)


@settings(deadline=None, max_examples=30)
@given(seconds=st.floats(0.001, 0.5), rate=st.sampled_from([8_000, 16_000, 44_100]), length=st.floats(0.01, 1.0))
def test_blocks_of_any_length_join_to_the_whole(seconds, rate, length):
    data = wav(tone(length, rate), rate)
    whole = read(io.BytesIO(data)).samples
    with blocks(io.BytesIO(data), seconds) as reader:
        parts = list(reader)
    assert {len(part) for part in parts[:-1]} <= {round(seconds * 16_000)}
    assert 0 < len(parts[-1]) <= round(seconds * 16_000)
    assert all(part.dtype == np.float32 for part in parts)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "codec", "layout", "container", "video"),
    [
        ("a.m4a", "aac", "mono", "mov", False),
        ("a51.m4a", "aac", "5.1", "mov", False),
        ("a.mp4", "aac", "stereo", "mov", True),
        ("a.mkv", "flac", "stereo", "matroska", True),
        ("a.mkv", "aac", "stereo", "matroska", False),
        ("a.webm", "libopus", "stereo", "matroska", False),
        ("a.mp3", "libmp3lame", "stereo", "mp3", False),
        ("a.opus", "libopus", "mono", "ogg", False),
        ("a.aac", "aac", "mono", "aac", False),
    ],
)
def test_compressed_sound_with_and_without_pictures(encode, name, codec, layout, container, video):
    path = encode(name, [(0.0, tone(2, 48_000))], 48_000, codec=codec, layout=layout, video=video)
    info = probe(path)
    assert (info.container, info.rate) == (container, 48_000)
    assert info.seconds is None or info.seconds == pytest.approx(2.0, abs=0.1)
    recording = read(path)
    assert not recording.truncated
    assert recording.warnings == ()
    assert recording.seconds == pytest.approx(2.0, abs=0.06)
    assert frequency(recording.samples[8_000:24_000]) == pytest.approx(220, abs=1.5)
    assert np.sqrt(np.mean(recording.samples[8_000:24_000] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.06)


def test_the_time_line_of_a_film_is_kept(encode):
    """Sound that begins after the picture, and with a hole, keeps its place."""
    path = encode("late.mkv", [(0.5, tone(1.024)), (2.5, tone(1.024))], 16_000, codec="flac", video=True)
    recording = read(path)
    loud = np.abs(recording.samples) > 0.1
    seconds = np.flatnonzero(loud) / 16_000
    assert seconds.min() == pytest.approx(0.5, abs=0.03)
    assert np.diff(seconds).max() == pytest.approx(2.5 - 1.524, abs=0.03)
    assert "hole" in recording.warnings[0]


@pytest.mark.parametrize("rates", [(48_000, 16_000), (16_000, 44_100)])
def test_a_stream_that_changes_its_rate_half_way_is_one_recording(encode, rates):
    data = b"".join(encode(f"{rate}.aac", [(0.0, tone(1, rate))], rate).read_bytes() for rate in rates)
    recording = read(io.BytesIO(data))
    assert recording.seconds == pytest.approx(2.0, abs=0.2)
    assert recording.warnings == ()
    assert frequency(recording.samples[2000:14_000]) == pytest.approx(220, abs=2)
    assert frequency(recording.samples[-14_000:-2000]) == pytest.approx(220, abs=2)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "MP3", "OPUS", "VORBIS", "m4a", "mkv"])
def test_a_recording_cut_off_gives_what_is_there_and_says_so(encode, form):
    sound = tone(5) + np.random.default_rng(0).standard_normal(80_000).astype(np.float32) * 0.02
    if form.islower():
        path = encode(f"a.{form}", [(0.0, sound)], 16_000, options={"movflags": "faststart"} if form == "m4a" else None)
        data = path.read_bytes()
    else:
        file = io.BytesIO()
        ogg = {"format": "OGG", "subtype": form}
        soundfile.write(file, sound, 16_000, **(ogg if form in {"OPUS", "VORBIS"} else {"format": form}))
        data = file.getvalue()
    whole, half = read(io.BytesIO(data)), read(io.BytesIO(data[: len(data) // 2]))
    assert (whole.truncated, whole.warnings) == (False, ())
    assert half.truncated
    assert half.warnings
    assert 1.5 < half.seconds < 3.5
    np.testing.assert_allclose(half.samples[:16_000], whole.samples[:16_000], atol=1e-3)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.sampled_from(["WAV", "FLAC", "MP3", "OPUS"]),
    at=st.floats(0, 1),
    junk=st.binary(min_size=1, max_size=600),
    drop=st.booleans(),
)
def test_damage_never_ends_in_anything_but_sound_or_bad_audio(form, at, junk, drop, capfd):
    file = io.BytesIO()
    more = {"format": "OGG", "subtype": "OPUS"} if form == "OPUS" else {"format": form}
    soundfile.write(file, tone(1), 16_000, **more)
    data = file.getvalue()
    place = int(at * len(data))
    damaged = data[:place] + junk + (b"" if drop else data[place + len(junk) :])
    with contextlib.suppress(BadAudio):
        assert np.isfinite(read(io.BytesIO(damaged), limit=200).samples).all()
    assert capfd.readouterr().err == ""


def test_what_cannot_be_read_gets_a_sentence_and_a_remedy(tmp_path, encode):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "noise.mp3").write_bytes(np.random.default_rng(0).bytes(20_000))
    (tmp_path / "letter.txt").write_text("Dear Sir or Madam,\n" * 50)
    (tmp_path / "samples.raw").write_bytes(bytes(3200))
    (tmp_path / "header.wav").write_bytes(wav(np.zeros(0, np.float32)))
    (tmp_path / "nan.wav").write_bytes(wav(np.array([0.1, np.nan, 0.1] * 900, np.float32), subtype="FLOAT"))
    (tmp_path / "infinite.wav").write_bytes(wav(np.array([0.1, np.inf] * 900, np.float32), subtype="FLOAT"))
    (tmp_path / "scale.wav").write_bytes(wav(tone(0.5) * 32_768, subtype="FLOAT"))
    encode("silent-film.mp4", [], 16_000, video=True)
    expected = {
        "missing.wav": "There is no file",
        ".": "is a folder",
        "empty.wav": "is empty (0 bytes)",
        "noise.mp3": "",
        "letter.txt": "not a recording",
        "samples.raw": "not a recording",
        "header.wav": "",
        "nan.wav": "not numbers",
        "infinite.wav": "not numbers",
        "scale.wav": "full scale is 1",
        "silent-film.mp4": "no sound track. It has pictures only",
    }
    for name, sentence in expected.items():
        with pytest.raises(BadAudio) as caught:
            read(tmp_path / name)
        assert sentence in caught.value.sentence, name
        assert caught.value.remedy, name
        assert len(caught.value.sentence) < 200 + len(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_told(tmp_path):
    path = tmp_path / "secret.wav"
    path.write_bytes(wav(tone(1)))
    path.chmod(0)
    with pytest.raises(BadAudio, match="cannot be opened"):
        read(path)


@pytest.mark.parametrize(
    "playlist", ["#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n", "ffconcat version 1.0\nfile '{}'\n"]
)
def test_a_playlist_cannot_make_the_reader_open_another_file(tmp_path, playlist):
    (tmp_path / "private.wav").write_bytes(wav(tone(1)))
    (tmp_path / "holiday.wav").write_text(playlist.format(tmp_path / "private.wav"))
    with pytest.raises(BadAudio):
        read(tmp_path / "holiday.wav")


def test_short_silent_and_odd_recordings_are_recordings(tmp_path):
    assert len(read(io.BytesIO(wav(tone(0.1)))).samples) == 1600
    assert len(read(io.BytesIO(wav(np.full(1, 0.5, np.float32)))).samples) == 1
    assert not read(io.BytesIO(wav(np.zeros(16_000, np.float32)))).samples.any()
    five = np.zeros((800, 5), np.float32)
    five[:, 3] = 0.5
    np.testing.assert_allclose(read(io.BytesIO(wav(five, 8_000))).samples[200:-200], 0.1, atol=2e-3)


def test_a_wav_from_a_pipe_states_no_length_and_is_whole(tmp_path):
    data = bytearray(wav(tone(1)))
    data[4:8] = data[40:44] = b"\xff" * 4
    recording = read(io.BytesIO(bytes(data)))
    assert (recording.seconds, recording.truncated) == (1.0, False)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "MP3"])
def test_a_stream_that_cannot_seek_is_read(form):
    file = io.BytesIO()
    soundfile.write(file, tone(1), 16_000, format=form)
    reader, writer = os.pipe()

    def fill() -> None:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(file.getvalue())

    feeder = threading.Thread(target=fill)
    feeder.start()
    with os.fdopen(reader, "rb") as pipe:
        recording = read(pipe)
    feeder.join()
    assert recording.seconds == pytest.approx(1.0, abs=0.08)
    assert frequency(recording.samples[:15_000]) == pytest.approx(220, abs=2)


def test_an_m4a_from_a_pipe_says_to_save_it_first(encode):
    noise = np.random.default_rng(0).standard_normal(16_000 * 60).astype(np.float32) * 0.1
    data = encode("a.m4a", [(0.0, noise)], 16_000).read_bytes()

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self._rest = data

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:
            part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
            buffer[: len(part)] = part
            return len(part)

    with pytest.raises(BadAudio) as caught:
        read(io.BufferedReader(Pipe()))
    assert "save the sound to a file" in caught.value.remedy


def test_the_file_is_closed_at_the_end_on_error_and_on_leaving(tmp_path):
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    (tmp_path / "a.wav").write_bytes(wav(tone(3)))
    (tmp_path / "bad.wav").write_bytes(b"RIFF nonsense")
    before = open_files()
    list(blocks(tmp_path / "a.wav"))
    with blocks(tmp_path / "a.wav") as reader:
        next(reader)
    probe(tmp_path / "a.wav")
    with pytest.raises(BadAudio):
        read(tmp_path / "bad.wav")
    assert open_files() == before


def test_a_limit_is_kept():
    data = wav(tone(3))
    assert read(io.BytesIO(data), limit=3).seconds == 3
    with pytest.raises(BadAudio, match="longer than 2 s"):
        read(io.BytesIO(data), limit=2)
    with pytest.raises(ValueError, match="at least one sample"):
        blocks(io.BytesIO(data), 0.0)


def long_wav(path: Path, seconds: int) -> None:
    """A WAV of any length at 8 kHz whose samples are a hole in the file: no disk space, no time."""
    size = seconds * 16_000
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16_000, 2, 16, b"data", size
    )
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + size)


PROGRAM = """
import pathlib, re, sys
from ml.audio.read import blocks
for block in blocks(sys.argv[2]):
    pass
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024
before, seconds = peak(), 0.0
for block in blocks(sys.argv[1]):
    seconds += len(block) / 16_000
print(seconds, peak() - before)
"""


@pytest.mark.parametrize("hours", [0.25, pytest.param(3, marks=pytest.mark.slow)])
def test_a_long_recording_streams_in_bounded_memory(tmp_path, hours):
    """Peak resident memory of a fresh process, over what ten seconds took; a quarter hour held whole would be 58 MB.

    It is VmHWM and not ru_maxrss, which a child process inherits from its parent.
    """
    long_wav(tmp_path / "short.wav", 10)
    long_wav(tmp_path / "long.wav", round(hours * 3600))
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "long.wav"), str(tmp_path / "short.wav")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    seconds, growth = map(float, done.stdout.split())
    assert seconds == hours * 3600
    assert growth < 8  # MB; measured 0.3
    assert done.stderr == ""
