"""The decoder at the file's own rate: channels, sample formats, and files that are no recordings."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.decode import Decoder, lead
from ml.audio.read import read
from ml.errors import BadAudio
from ml.video.probe import probe
from tests.ml.video.clips import Recipe, Track, beep, make, onset


def decoded(source: Path | io.BytesIO) -> tuple[np.ndarray, int]:
    decoder = Decoder(source)
    try:
        pieces = list(decoder.pieces())
    finally:
        decoder.close()
    return np.concatenate([samples for samples, _ in pieces]), pieces[0][1]


@settings(max_examples=25, deadline=None)
@given(
    rate=st.sampled_from([8000, 22050, 44100, 96000]),
    channels=st.integers(1, 6),
    form=st.sampled_from(["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "PCM_U8"]),
    seed=st.integers(0, 99),
)
def test_every_sample_format_and_any_channels_give_their_mean(rate, channels, form, seed):
    sound = np.random.default_rng(seed).uniform(-0.9, 0.9, (1000, channels)).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, sound, rate, form, format="WAV")
    file.seek(0)
    samples, heard_rate = decoded(file)
    assert heard_rate == rate
    np.testing.assert_allclose(samples, sound.mean(axis=1), atol=0.01 if form == "PCM_U8" else 1e-4)


def test_what_the_file_says_of_itself(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.zeros((24000, 2)), 48000)
    decoder = Decoder(tmp_path / "a.flac")
    info = decoder.info
    decoder.close()
    decoder.close()
    assert (info.container, info.codec, info.rate, info.channels, info.seconds) == ("flac", "flac", 48000, 2, 0.5)


def test_a_playlist_that_calls_itself_a_recording_opens_nothing(tmp_path):
    soundfile.write(tmp_path / "secret.wav", np.zeros(1600), 16000)
    for text in (
        f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/secret.wav\n",
        f"ffconcat version 1.0\nfile '{tmp_path}/secret.wav'\n",
    ):
        (tmp_path / "list.wav").write_text(text)
        with pytest.raises(BadAudio):
            Decoder(tmp_path / "list.wav")


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_junk_is_refused_in_a_sentence_and_nothing_else(junk):
    refused = None
    try:
        samples, _ = decoded(io.BytesIO(junk))
    except BadAudio as error:
        refused = error
    if refused is None:
        assert np.isfinite(samples).all()
    else:
        assert refused.sentence.endswith(".")
        assert refused.remedy


def test_a_file_of_its_own_is_closed_and_a_given_one_is_not(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16000)
    with (tmp_path / "a.wav").open("rb") as file:
        decoder = Decoder(file)
        decoder.close()
        assert not file.closed
    own = Decoder(tmp_path / "a.wav")
    own.close()
    assert own._file.closed


@settings(max_examples=15, deadline=None)
@given(start=st.one_of(st.floats(0, 0.12), st.floats(0.12, 2), st.floats(59, 63)), name=st.sampled_from(["mkv", "mp4"]))
def test_where_the_samples_of_a_videos_sound_begin(tmp_path_factory, start, name):
    codec = "pcm_s16le" if name == "mkv" else "aac"
    recipe = Recipe(count=5, sounds=(Track(beep(0.5, 0.2), start=start, codec=codec),))
    path = make(tmp_path_factory.mktemp("late") / f"a.{name}", recipe)
    heard = probe(path).heard
    assert heard is not None
    assert lead(heard.offset) + onset(read(path)) == pytest.approx(start + 0.2, abs=0.002)
