from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from ml.audio.truncation import Signs, look


def made(form: str, subtype: str | None = None, seconds: float = 1.0) -> bytes:
    file = io.BytesIO()
    sound = np.sin(np.arange(int(16_000 * seconds)) / 10) * 0.3
    soundfile.write(file, sound, 16_000, format=form, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(("form", "subtype"), [("WAV", "PCM_16"), ("OGG", "OPUS"), ("OGG", "VORBIS")])
def test_only_a_cut_file_has_the_sign(form, subtype):
    data = made(form, subtype)
    assert not look(io.BytesIO(data)).cut
    for keep in (0.3, 0.6, 0.95):
        assert look(io.BytesIO(data[: int(len(data) * keep)])).cut


def test_a_header_behind_other_chunks_and_a_streams_length_are_understood():
    data = made("WAV")
    listed = data[:12] + b"LIST" + (5).to_bytes(4, "little") + b"hello\0" + data[12:]
    assert not look(io.BytesIO(listed)).cut
    assert look(io.BytesIO(listed[:-100])).cut
    for length in (b"\0" * 4, b"\xff" * 4):
        assert not look(io.BytesIO(data[:40] + length + data[44:])).cut


def test_an_mp3_header_states_its_frames_also_behind_a_tag():
    data = made("MP3", seconds=2.0)
    frames = look(io.BytesIO(data)).mp3_frames
    assert frames is not None
    assert frames * 576 / 16_000 == pytest.approx(2.0, abs=0.15)
    tag = b"ID3\x03\0\0" + bytes([0, 0, 2, 1]) + bytes(257)
    assert look(io.BytesIO(tag + data)).mp3_frames == frames


def test_containers_with_an_exact_length_are_known():
    assert look(io.BytesIO(made("FLAC"))).states_length
    assert look(io.BytesIO(b"\0\0\0\x18ftypM4A ")).states_length
    assert look(io.BytesIO(b"something else")) == Signs()


@given(
    st.sampled_from([b"", b"RIFF....WAVE", b"OggS", b"ID3", b"\xff\xfbXing"]),
    st.binary(max_size=200),
    st.integers(0, 50),
)
def test_any_bytes_are_looked_at_without_harm_and_the_place_is_kept(head: bytes, tail: bytes, start: int):
    file = io.BytesIO(bytes(start) + head + tail)
    file.seek(start)
    look(file)
    assert file.tell() == start
