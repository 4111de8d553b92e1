"""Hearing what the model does to a voice."""

from pathlib import Path

import numpy as np
import pytest

from ml.audio.logmel import log_mel
from ml.audio.read import read
from ml.audio.write import AudioWriter
from ml.engines.protocols import EngineHome
from ml.engines.registry import Registry
from ml.errors import BadAudio, CannotWrite, ModelDamaged, Unavailable
from ml.voice.genesis import genesis
from ml.voice.measures import mse, rmse_db, score
from ml.weights import digest
from node.errors import BadRequest
from node.learned import Learned
from node.reconstruction import Sounding, reconstruct, sounding
from tests.fakes import SteadyVocoder, spec_of


@pytest.fixture
def woman(repository):
    return repository / "examples" / "audio" / "lj.flac"


@pytest.fixture
def start():
    return Learned(genesis().weights, genesis().digest, genesis().autoencoder)


def test_what_comes_out_sounds_as_the_model_says(tmp_path, woman, start):
    done = reconstruct(woman, tmp_path / "out.wav", "genesis", start)
    before, after = read(woman), read(tmp_path / "out.wav")
    spoken, heard = log_mel(before.samples), log_mel(after.samples)
    assert abs(len(before.samples) - len(after.samples)) < 256
    assert done.seconds == pytest.approx(after.seconds, abs=0.01)
    assert done.rmse_db == pytest.approx(score(start.autoencoder, start.weights, [spoken]).rmse_db, abs=1e-3)
    assert done.rmse_db < 2.5
    assert done.latents_per_second == 2000
    # What is heard is the model's error and the guessed phases', and still clearly the same speech.
    through = rmse_db(mse(heard, spoken[: len(heard)]))
    assert done.rmse_db < through < 6.0
    assert np.corrcoef(heard.mean(axis=1), spoken[: len(heard)].mean(axis=1))[0, 1] > 0.95


def test_a_trained_model_is_compared_with_the_start(tmp_path, woman, start):
    weights = {name: tensor * np.float32(0.9) for name, tensor in start.weights.items()}
    worse = Learned(weights, digest(weights), start.autoencoder)
    done = reconstruct(woman, tmp_path / "out.flac", "best", worse)
    assert done.genesis_rmse_db < done.rmse_db
    assert done.digest == worse.digest
    assert done.as_dict()["model"] == "best"


def test_blocks_of_four_frames_are_compared_with_their_own_start(tmp_path, woman, start):
    blocks = genesis("b4h80")
    done = reconstruct(
        woman, tmp_path / "out.wav", "genesis", Learned(blocks.weights, blocks.digest, blocks.autoencoder)
    )
    assert (done.layout, done.latents_per_second) == ("b4h80", 2000)
    assert done.rmse_db == done.genesis_rmse_db
    frames = reconstruct(woman, tmp_path / "out.wav", "genesis", start)
    assert (frames.layout, frames.rmse_db > done.rmse_db) == ("res64", True)


def broken(spec):
    raise ModelDamaged(f"{spec.name} is damaged.", "node models verify")


def vocoders(*specs):
    return Registry(specs, EngineHome(Path("nowhere")))


def test_a_vocoder_is_given_the_frames_of_the_model_and_its_sound_is_written(tmp_path, woman, start):
    steady = SteadyVocoder(spec_of("steady", "vocoder", SteadyVocoder))
    done = reconstruct(woman, tmp_path / "out.wav", "genesis", start, Sounding(steady, "the best", "Another failed."))
    spoken = log_mel(read(woman).samples)
    (given,) = steady.given
    np.testing.assert_allclose(given, start.autoencoder.reconstruct(start.weights, spoken), atol=1e-5)
    heard = read(tmp_path / "out.wav").samples
    np.testing.assert_allclose(heard, 0.25, atol=1e-4)
    assert (done.vocoder, done.vocoder_version, done.vocoder_why) == ("steady", "1", "the best")
    assert done.warnings == ("Another failed.",)
    assert done.sound_rmse_db == pytest.approx(rmse_db(mse(log_mel(heard), spoken)), abs=0.05)
    assert done.sound_rmse_db > 10 > done.rmse_db, "a steady hum is far from speech, whatever the model does"


def test_the_best_vocoder_that_starts_is_chosen_and_none_that_was_named_is_replaced():
    well, ill = spec_of("well", "vocoder", SteadyVocoder), spec_of("ill", "vocoder", broken, rank=5)
    assert sounding(vocoders()).vocoder is None
    assert sounding(vocoders()).why == "no vocoder is installed"
    chosen = sounding(vocoders(ill, well))
    assert chosen.vocoder.spec.name == "well"
    assert "ill is damaged" in chosen.trouble
    alone = sounding(vocoders(ill))
    assert (alone.vocoder, alone.why) == (None, "no vocoder starts")
    assert "ill is damaged. To mend: node models verify" in alone.trouble
    with pytest.raises(ModelDamaged):
        sounding(vocoders(ill, well), "ill")
    with pytest.raises(Unavailable, match="odd"):
        sounding(vocoders(well), "odd")
    named = sounding(vocoders(well), "griffin-lim")
    assert (named.vocoder, named.why) == (None, "asked for by name")


def test_the_recording_is_never_overwritten(tmp_path, woman, start):
    copy = tmp_path / "copy.flac"
    copy.write_bytes(woman.read_bytes())
    with pytest.raises(BadRequest, match="overwrite"):
        reconstruct(copy, tmp_path / "." / "copy.flac", "genesis", start)
    assert copy.read_bytes() == woman.read_bytes()


def test_what_cannot_be_used_is_told_in_words(tmp_path, woman, start):
    with AudioWriter(tmp_path / "click.wav") as writer:
        writer.write(np.full(100, 0.1, np.float32))
    with pytest.raises(BadAudio, match="too short"):
        reconstruct(tmp_path / "click.wav", tmp_path / "out.wav", "genesis", start)
    with AudioWriter(tmp_path / "long.flac") as writer:
        writer.write(np.full(16_000 * 121, 0.01, np.float32))
    with pytest.raises(BadAudio, match="longer than 120 s"):
        reconstruct(tmp_path / "long.flac", tmp_path / "out.wav", "genesis", start)
    with pytest.raises(CannotWrite):
        reconstruct(woman, tmp_path / "out.txt", "genesis", start)
