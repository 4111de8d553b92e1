"""The block model's own promises; what all bodies promise is in test_autoencoder.py."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.logmel import MELS
from ml.voice.autoencoder import CENTRE, LATENT, SCALE, architecture
from ml.voice.blocks import SHARES_OF_4, ResidualBlocks, cosines, joined, like
from ml.voice.measures import mse

BODY = ResidualBlocks("pairs", (45, 19), 6)


def moving(frames, seed=0):
    """Frames that are alike where they are near: most of a block is in its slow parts."""
    rng = np.random.default_rng(seed)
    slow = np.cumsum(rng.normal(0, 0.3, (frames, MELS)), axis=0)
    return (CENTRE + SCALE * (slow - slow.mean(axis=0)) / slow.std()).astype(np.float32)


def disturbed(body, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in body.layout.shapes.items()}


def test_the_start_leaves_out_exactly_the_small_variances():
    frames = moving(2000)
    left_out = 0.0
    bands = cosines(2) @ BODY.rows(frames).reshape(-1, 2, MELS)
    for band, share in enumerate(BODY.shares):
        values = np.linalg.eigvalsh(np.cov(bands[:, band].astype(np.float64), rowvar=False, bias=True))
        left_out += values[: MELS - share].sum()
    rebuilt = BODY.reconstruct(BODY.start(frames), frames)
    assert mse(rebuilt, frames) == pytest.approx(SCALE**2 * left_out / (2 * MELS), rel=1e-3)


def test_time_is_worth_more_than_frames_alone():
    frames = moving(4000)
    four, one = architecture("b4h80"), architecture("res64")
    errors = [mse(body.reconstruct(body.start(frames), frames), frames) for body in (four, one)]
    assert errors[0] < 0.8 * errors[1]


def test_a_block_does_not_depend_on_the_blocks_around_it():
    weights, frames = disturbed(BODY), moving(8)
    other = frames.copy()
    other[4:] = 0
    one, two = (BODY.encode(weights, some) for some in (frames, other))
    assert np.array_equal(one[:2], two[:2])
    assert not np.array_equal(one[2:], two[2:])


def test_latents_of_a_time_band_are_made_from_that_band_alone():
    """A block of equal frames has nothing but its slowest band: with no network, the other latents are their means."""
    weights = disturbed(BODY) | {"encoder.output.weight": np.zeros((64, 6), np.float32)}
    still = np.repeat(moving(1), 2, axis=0)
    latents, nothing = BODY.encode(weights, still)[0], -weights["linear.mean"][1] @ weights["linear.basis"][45:].T
    assert np.allclose(latents[45:], nothing, atol=1e-5)
    assert not np.allclose(latents[:45], 0, atol=0.1)


def test_every_number_has_a_part_in_the_result():
    tensors = {name: torch.from_numpy(one).requires_grad_() for name, one in disturbed(BODY).items()}
    BODY.predict(tensors, torch.from_numpy(BODY.rows(moving(40)))).square().mean().backward()
    for name, one in tensors.items():
        assert one.grad is not None, name
        assert one.grad.any(), name


def test_the_latents_are_32_for_each_frame():
    assert sum(SHARES_OF_4) == 4 * LATENT
    with pytest.raises(ValueError, match="have 64 latents, not 63"):
        ResidualBlocks("wrong", (45, 18), 6)


@given(st.integers(1, 12))
@settings(deadline=None)
def test_the_cosine_transform_keeps_lengths_and_begins_with_the_mean(count):
    transform = cosines(count)
    assert np.allclose(transform @ transform.T, np.eye(count), atol=1e-5)
    assert np.allclose(transform[0], 1 / np.sqrt(count))


def test_numpy_and_torch_are_joined_alike():
    one, other = np.ones((2, 3), np.float32), np.zeros((2, 2), np.float32)
    both = joined([torch.from_numpy(one), torch.from_numpy(other)], axis=1)
    assert np.array_equal(both.numpy(), joined([one, other], axis=1))
    assert like(one, other) is one
    assert torch.equal(like(one, both), torch.from_numpy(one))
