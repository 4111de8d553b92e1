"""Every block comes back from its packet alone; wrong bytes are a wrong block or a clear error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import BadAudio
from ml.voice.codec.codebook import genesis_codebook
from ml.voice.codec.packet import LONGEST, Block, from_packet, to_packet
from ml.voice.codec.pitch import Pitch
from ml.voice.codec.quantiser import levels


@given(
    st.integers(0, 7),
    st.integers(0, 999),
    st.floats(0.01, 30),
    st.builds(Pitch, st.integers(1, 15), st.integers(0, 63), st.integers(0, 8)),
    st.integers(56, 104),
)
@settings(deadline=None, max_examples=60)
def test_blocks_come_back(number: int, seed: int, size: float, pitch: Pitch, step: int) -> None:
    codebook = genesis_codebook()
    integers = np.round(np.random.default_rng(seed).laplace(0, size, 160)).astype(np.int32)
    integers[levels(codebook, step)[number] < 0] = 0
    data = to_packet(codebook, Block(number, integers, pitch), step)
    back = from_packet(codebook, data, step)
    assert (back.number, back.pitch) == (number, pitch)
    assert np.array_equal(back.integers, integers)


@given(st.binary(max_size=200), st.integers(0, 255))
@settings(deadline=None, max_examples=200)
def test_any_bytes_are_a_block_or_refused(data: bytes, step: int) -> None:
    try:
        block = from_packet(genesis_codebook(), data, step)
    except BadAudio:
        return
    assert 0 <= block.number < 8
    assert np.abs(block.integers).max() < 5000


def test_an_endless_packet_is_refused_unread() -> None:
    with pytest.raises(BadAudio, match="at most"):
        from_packet(genesis_codebook(), bytes(LONGEST + 1), 76)
