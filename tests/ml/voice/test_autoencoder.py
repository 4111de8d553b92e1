"""The voice autoencoder: the frame model, and the interface that a model of blocks fits as well."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml.audio.logmel import MELS, log_mel
from ml.voice.autoencoder import CENTRE, LATENT, SCALE, BlockAutoencoder, ResidualFrames, architecture, klt
from ml.voice.genesis import genesis
from ml.voice.measures import mse
from ml.weights import Layout


class LinearBlocks(BlockAutoencoder):
    """Four frames at a time: a plain linear code of 128 numbers for 320."""

    name = "linear-blocks"
    block = 4
    layout = Layout(name, {"basis": (128, 4 * MELS), "mean": (4 * MELS,)})

    def start(self, frames, seed=0):
        basis, mean = klt(self.rows(frames), 128)
        return {"basis": basis, "mean": mean}

    def _squeeze(self, tensors, rows):
        return (rows - tensors["mean"]) @ tensors["basis"].T

    def _unfold(self, tensors, latents):
        return latents @ tensors["basis"] + tensors["mean"]


BODIES = [ResidualFrames(), architecture("b4h80"), LinearBlocks()]


def noise(frames, seed=0):
    rng = np.random.default_rng(seed)
    return (CENTRE + SCALE * rng.normal(size=(frames, MELS))).astype(np.float32)


@pytest.fixture(scope="module")
def speech(woman):
    """Shifted by a quarter of a frame each time: rows enough for the larger basis."""
    return np.concatenate([log_mel(woman.samples[shift:]) for shift in range(0, 256, 64)])


def test_the_frame_model_has_the_published_size():
    body = architecture("res64")
    assert body.layout.parameters == 19_696
    assert body.block == 1
    with pytest.raises(KeyError):
        architecture("res65")


def test_the_model_of_four_frames_has_the_published_size():
    body = architecture("b4h80")
    assert body.layout.parameters == 44_000
    assert body.block == 4


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.name)
class TestEveryBody:
    @pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 4097])
    def test_shapes_are_those_of_the_frames(self, body, count):
        weights = body.start(noise(1000))
        body.layout.check(weights)
        frames = noise(count, 1)
        latents = body.encode(weights, frames)
        assert latents.shape == (-(-count // body.block), LATENT * body.block)
        assert body.decode(weights, latents).shape == (len(latents) * body.block, MELS)
        rebuilt = body.reconstruct(weights, frames)
        assert rebuilt.shape == frames.shape
        assert {latents.dtype, rebuilt.dtype} == {np.dtype(np.float32)}

    def test_reconstructing_is_encoding_then_decoding(self, body):
        weights, frames = body.start(noise(1000)), noise(37, 1)
        both = body.decode(weights, body.encode(weights, frames))[: len(frames)]
        assert np.array_equal(body.reconstruct(weights, frames), both)

    def test_torch_computes_what_numpy_does(self, body):
        rng = np.random.default_rng(3)
        weights = {
            name: (0.1 * rng.normal(size=shape)).astype(np.float32) for name, shape in body.layout.shapes.items()
        }
        frames = noise(64)
        tensors = {name: torch.from_numpy(tensor) for name, tensor in weights.items()}
        rows = body.predict(tensors, torch.from_numpy(body.rows(frames))).numpy()
        assert np.allclose(rows * SCALE + CENTRE, body.reconstruct(weights, frames).reshape(rows.shape), atol=1e-4)

    def test_the_start_is_much_better_than_the_mean_frame(self, body, speech):
        rebuilt = body.reconstruct(body.start(speech), speech)
        assert mse(rebuilt, speech) < 0.05 * mse(np.broadcast_to(speech.mean(axis=0), speech.shape), speech)

    def test_a_spectrum_of_another_shape_is_refused(self, body):
        with pytest.raises(ValueError, match="80"):
            body.encode(body.start(noise(1000)), np.zeros((5, 79), np.float32))

    def test_frames_do_not_depend_on_what_follows(self, body):
        weights, frames = body.start(noise(1000)), noise(5000, 1)
        whole = body.reconstruct(weights, frames)
        part = body.reconstruct(weights, frames[:4000])
        assert np.allclose(whole[:4000], part, atol=1e-4)


def test_a_last_block_that_is_not_full_repeats_its_last_frame():
    body, frames = LinearBlocks(), noise(6)
    rows = body.rows(frames).reshape(-1, MELS)
    assert np.array_equal(rows[6], rows[5])
    assert np.array_equal(rows[7], rows[5])


def test_the_start_is_exactly_the_best_linear_code(speech):
    body = ResidualFrames()
    rebuilt = body.reconstruct(body.start(speech), speech)
    centred = (speech - speech.mean(axis=0)).astype(np.float64)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    assert mse(rebuilt, speech) == pytest.approx(values[LATENT:].sum() / speech.size, rel=1e-3)


def test_the_draw_of_the_hidden_layers_follows_the_seed():
    body, frames = ResidualFrames(), noise(200)
    one, same, other = (body.start(frames, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["encoder.hidden.weight"], other["encoder.hidden.weight"])


@given(st.integers(33, 60), st.integers(0, 5))
def test_a_basis_is_orthonormal_and_signed(rows, seed):
    basis, mean = klt(np.random.default_rng(seed).normal(size=(rows, 40)).astype(np.float32), 32)
    assert np.allclose(basis @ basis.T, np.eye(32), atol=1e-5)
    assert (basis[np.arange(32), np.abs(basis).argmax(axis=1)] > 0).all()
    assert mean.shape == (40,)


def test_a_basis_needs_more_rows_than_vectors():
    with pytest.raises(ValueError, match="more than 32 rows"):
        klt(noise(32), 32)


def test_genesis_is_better_than_a_linear_code_learned_from_this_very_speaker(woman):
    start, spoken = genesis(), log_mel(woman.samples)
    known, other = spoken[: len(spoken) // 2], spoken[len(spoken) // 2 :]
    ours = start.autoencoder.reconstruct(start.weights, other)
    linear = start.autoencoder.reconstruct(start.autoencoder.start(known), other)
    assert mse(ours, other) < 0.8 * mse(linear, other)
