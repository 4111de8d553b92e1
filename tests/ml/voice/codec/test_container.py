"""Files come back as they were; damaged, foreign and hostile ones are refused in words, in bounded memory."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.logmel import LogMel
from ml.errors import BadAudio, ModelDamaged, Unavailable
from ml.voice.codec.codebook import Codebook, genesis_codebook
from ml.voice.codec.container import Coded, from_file, to_file
from ml.voice.codec.fitting import adapted, moments_of

PACKETS = (b"abc", None, b"", bytes(300), b"z")


def example(codebook: Codebook) -> Coded:
    packets = tuple(packet or None for packet in PACKETS)
    return Coded(codebook, 76, -12, 4 * 2048 + 5, packets)


def test_a_file_comes_back(codebook: Codebook) -> None:
    data = to_file(example(codebook), codebook)
    assert len(data) == 28 + 4 + 1 + 1 + 303 + 2
    back = from_file(data, [codebook])
    assert (back.step, back.gain, back.samples, back.packets) == (76, -12, 8197, (b"abc", None, None, bytes(300), b"z"))
    assert back.codebook is codebook


def test_a_file_carries_a_codebook_that_not_everybody_has(codebook: Codebook, voice: list[LogMel]) -> None:
    own = adapted(codebook, moments_of(codebook), None)
    assert own.digest != codebook.digest
    data = to_file(example(own), codebook)
    back = from_file(data, [codebook])
    assert back.codebook.digest == own.digest
    assert 1000 < back.carried < 20_000
    bare = data[:5] + b"\0" + data[6:28] + data[32 + back.carried :]
    assert from_file(bare, [codebook, own]).codebook is own
    with pytest.raises(Unavailable, match="not here"):
        from_file(bare, [codebook])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"RIFF" + data[4:], "no file of coded speech"),
        (lambda data: data[:20], "cut off"),
        (lambda data: data[:4] + b"\x02" + data[5:], "version 2"),
        (lambda data: data[:-1], "cut off"),
        (lambda data: data + b"!", "goes on"),
        (lambda data: data[:8] + b"\xff\xff\xff\xff" + data[12:], "an hour"),
        (lambda data: data[:8] + b"\0\0\0\1" + data[12:], "cut off"),
        (lambda data: b"", "no file of coded speech"),
    ],
)
def test_what_is_no_whole_file_is_refused(codebook: Codebook, change: object, words: str) -> None:
    with pytest.raises(BadAudio, match=words):
        from_file(change(to_file(example(codebook), codebook)), [codebook])  # type: ignore[operator]


@given(st.binary(max_size=400), st.integers(0, 340), st.booleans())
@settings(deadline=None, max_examples=150)
def test_hostile_bytes_are_an_error_or_a_file(noise: bytes, at: int, headed: bool) -> None:
    data = to_file(example(genesis_codebook()), genesis_codebook())
    data = data[:at] + noise if headed else noise
    with suppress(BadAudio, Unavailable, ModelDamaged):
        back = from_file(data, [genesis_codebook()])
        assert len(back.packets) <= len(data)
        assert np.sum([len(packet or b"") for packet in back.packets]) <= len(data)
