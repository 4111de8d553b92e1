"""Whatever the pieces, the packets are the same; a lost one costs its own block and no other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.logmel import log_mel
from ml.errors import BadAudio
from ml.types import Audio
from ml.voice.codec.blocks import BLOCK, floored
from ml.voice.codec.codebook import Codebook, genesis_codebook
from ml.voice.codec.stream import AHEAD, Frames, StreamDecoder, StreamEncoder, bridged, encode_frames
from tests.ml.voice.codec.conftest import made_speech

STEP = 76


@given(st.integers(1, 12000), st.lists(st.integers(0, 5000), max_size=6))
@settings(deadline=None, max_examples=15)
def test_streaming_is_batch(length: int, cuts: list[int]) -> None:
    sound = made_speech(0.75)[:length]
    whole = StreamEncoder(genesis_codebook(), STEP)
    at_once = whole.push(sound) + whole.finish()
    assert len(at_once) == -(-length // BLOCK)
    pieces = StreamEncoder(genesis_codebook(), STEP)
    streamed = [packet for piece in np.split(sound, sorted(cuts)) for packet in pieces.push(piece)]
    assert streamed + pieces.finish() == at_once
    assert whole.push(sound) + whole.finish() == at_once, "an encoder that has finished is as new"


def test_a_packet_is_ready_160_ms_after_its_first_sample(codebook: Codebook) -> None:
    encoder = StreamEncoder(codebook, STEP)
    assert encoder.push(made_speech(1.0)[: BLOCK + AHEAD - 1]) == []
    assert len(encoder.push(np.zeros(1, np.float32))) == 1
    assert BLOCK + AHEAD == 0.16 * 16000


def test_frames_come_back_near(codebook: Codebook, spoken: Audio) -> None:
    encoder = StreamEncoder(codebook, 64)
    packets = encoder.push(spoken.samples) + encoder.finish()
    decoder = StreamDecoder(codebook, 64)
    mel = np.concatenate([decoder.pull(packet).mel for packet in packets])
    truth = log_mel(spoken.samples)
    assert 8.686 * np.sqrt(np.square(floored(mel[: len(truth)]) - floored(truth)).mean()) < 4


def test_a_lost_packet_costs_its_own_block_only(codebook: Codebook, spoken: Audio) -> None:
    encoder = StreamEncoder(codebook, STEP)
    packets = encoder.push(spoken.samples) + encoder.finish()
    full, holed = (StreamDecoder(codebook, STEP) for _ in range(2))
    for number, packet in enumerate(packets):
        clean, heard = full.pull(packet), holed.pull(None if number in (0, 5, 6) else packet)
        if number in (0, 5, 6):
            assert np.isfinite(heard.mel).all()
            assert heard.mel[-1].mean() <= heard.mel[0].mean(), "what is lost fades"
        else:
            assert np.array_equal(clean.mel, heard.mel)
            assert np.array_equal(clean.f0, heard.f0)


def test_short_losses_are_bridged_and_long_ones_fade() -> None:
    mel = np.repeat(np.arange(48, dtype=np.float32)[:, None], 80, axis=1)
    holed, f0 = mel.copy(), np.full(48, 100, np.float32)
    holed[8:16] = -11
    holed[24:48] = -11
    f0[8:16] = 0
    lost = [False, True, False, True, True, True]
    whole = bridged(Frames(holed, f0), lost)
    assert np.allclose(whole.mel[:24], mel[:24], atol=1e-4)
    assert np.array_equal(whole.mel[24:], holed[24:])
    assert whole.f0 == pytest.approx(np.full(48, 100), rel=1e-5)
    unvoiced = np.where(np.arange(48) < 16, np.float32(0), np.float32(100))
    assert 0 < (bridged(Frames(holed, unvoiced), lost).f0[8:16] > 0).sum() < 8


def test_a_damaged_packet_does_not_stop_the_stream(codebook: Codebook, spoken: Audio) -> None:
    encoder = StreamEncoder(codebook, STEP)
    packets = encoder.push(spoken.samples[:8192])
    decoder, clean = StreamDecoder(codebook, STEP), StreamDecoder(codebook, STEP)
    with pytest.raises(BadAudio):
        decoder.pull(bytes(1000))
    assert np.array_equal(decoder.pull(packets[1]).mel, clean.pull(packets[1]).mel)


def test_level_is_taken_away_and_given_back(codebook: Codebook, spoken: Audio) -> None:
    sizes, errors = [], []
    for factor in (0.1, 1.0, 3.0):
        gain = -float(np.log(factor))
        encoder, decoder = StreamEncoder(codebook, STEP, gain), StreamDecoder(codebook, STEP, gain)
        packets = encoder.push(spoken.samples * np.float32(factor)) + encoder.finish()
        mel = np.concatenate([decoder.pull(packet).mel for packet in packets])[: len(spoken.samples) // 256]
        sizes.append(sum(map(len, packets)))
        loud = log_mel(spoken.samples) > -3
        errors.append(np.abs(mel - np.log(factor) - log_mel(spoken.samples))[loud].mean())
    assert max(sizes) < 1.03 * min(sizes)
    assert max(errors) < 1.1 * min(errors)


def test_what_is_no_sound_is_refused(codebook: Codebook) -> None:
    with pytest.raises(ValueError, match="finite"):
        StreamEncoder(codebook, STEP).push(np.array([np.nan], np.float32))


def test_frames_are_coded_as_sound_is(codebook: Codebook) -> None:
    mel, f0 = log_mel(made_speech(1.0)), np.zeros(62, np.float32)
    assert len(encode_frames(codebook, mel, f0, STEP)) == 8
