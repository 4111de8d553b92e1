"""A personal codebook arrives whole, in few bytes, or not at all."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.logmel import LogMel
from ml.errors import ModelDamaged
from ml.voice.codec.codebook import Codebook, genesis_codebook, to_bytes
from ml.voice.codec.fitting import adapted, blend, moments_of
from ml.voice.codec.moments import Moments, bands_of
from ml.voice.codec.transfer import LARGEST, pack, unpack


@pytest.fixture(scope="module")
def own(codebook: Codebook, voice: list[LogMel]) -> Codebook:
    bands = bands_of(voice)
    return adapted(codebook, blend([(0.5, Moments.of(bands)), (0.5, moments_of(codebook))]), bands)


def test_it_arrives_whole_and_small(codebook: Codebook, own: Codebook) -> None:
    data = pack(own, codebook)
    assert unpack(data, codebook).digest == own.digest
    assert len(data) < 0.75 * len(to_bytes(own))
    assert len(pack(codebook, codebook)) < 30


def test_it_is_for_those_who_have_the_same_start(codebook: Codebook, own: Codebook) -> None:
    with pytest.raises(ModelDamaged, match="not here"):
        unpack(pack(codebook, own), codebook)


def test_a_bomb_is_not_inflated(codebook: Codebook) -> None:
    head = (0xFFF).to_bytes(2, "little") + bytes.fromhex(codebook.digest)[:8]
    with pytest.raises(ModelDamaged, match="another size"):
        unpack(head + zlib.compress(bytes(10_000_000), 9), codebook)
    with pytest.raises(ModelDamaged, match="size is wrong"):
        unpack(bytes(LARGEST + 1), codebook)


@given(st.binary(max_size=80), st.integers(0, 3000))
@settings(deadline=None, max_examples=80)
def test_damage_is_refused(noise: bytes, at: int) -> None:
    codebook = genesis_codebook()
    good = pack(adapted(codebook, moments_of(codebook), None), codebook)
    for data in (noise, good[:at] + noise + good[at + len(noise) :], good[:10] + noise):
        if data != good:
            with pytest.raises(ModelDamaged):
                unpack(data, codebook)
