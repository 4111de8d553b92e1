"""A codebook learns from speech: its owner pays fewer bits, and nobody pays more than with the prior."""

from __future__ import annotations

import numpy as np
import pytest

from ml.audio.logmel import LogMel, log_mel
from ml.voice.codec.codebook import COEFFICIENTS, Codebook
from ml.voice.codec.fitting import (
    adapted,
    basis_of,
    classes_of,
    cost,
    first_codebook,
    frequencies,
    group_codebook,
    moments_of,
    moved,
    personal,
    pooled,
    with_shapes,
)
from ml.voice.codec.moments import Moments, bands_of
from tests.ml.voice.codec.conftest import made_speech


def test_the_owner_pays_less(codebook: Codebook, voice: list[LogMel]) -> None:
    made = personal([codebook], voice[:6], voice[6:8])
    assert made.own > 0
    assert made.cost < made.prior_cost
    judged = bands_of(voice[8:])
    assert cost(made.codebook, judged, 76) < 0.9 * cost(codebook, judged, 76)


def test_what_does_not_help_is_not_taken(codebook: Codebook, voice: list[LogMel]) -> None:
    other = [log_mel(np.random.default_rng(1).normal(0, 0.05, 16000).astype(np.float32))]
    made = personal([codebook], other, voice[:1])
    assert made.cost <= made.prior_cost


def test_a_group_serves_a_newcomer_and_its_members(codebook: Codebook) -> None:
    members = [[log_mel(made_speech(2.5, 10 * who + take, colour=1.5)) for take in range(3)] for who in range(4)]
    group = group_codebook(codebook, [bands_of(one) for one in members[:3]])
    newcomer = bands_of(members[3])
    assert cost(group, newcomer, 76) < 0.95 * cost(codebook, newcomer, 76)
    alone = personal([codebook], members[3][:1], members[3][1:2])
    helped = personal([codebook, group], members[3][:1], members[3][1:2])
    assert helped.prior == 1
    assert helped.cost < alone.cost


def test_classes_of_parts_are_classes_of_the_whole(codebook: Codebook, voice: list[LogMel]) -> None:
    bands = bands_of(voice)
    whole, parts = classes_of(codebook, bands), [classes_of(codebook, part) for part in (bands[:60], bands[60:])]
    both = pooled(parts)
    assert np.array_equal(both.blocks, whole.blocks)
    assert np.allclose(both.shift, whole.shift, atol=1e-3)
    assert np.allclose(pooled(parts[::-1]).size, both.size)
    assert cost(moved(codebook, whole), bands, 76) < cost(codebook, bands, 76)


def test_moments_of_a_codebook_give_it_back(codebook: Codebook) -> None:
    again = adapted(codebook, moments_of(codebook), None)
    assert np.abs(again.tensors["kept"].astype(int) - codebook.tensors["kept"]).sum() <= 40
    first, second = again.basis[:10], codebook.basis[:10]
    assert np.linalg.norm(first @ second.T) > 0.9 * np.sqrt(10), "they span the same"


def test_the_basis_is_that_of_most_variance() -> None:
    rng = np.random.default_rng(0)
    covariance = np.stack([np.diag(rng.uniform(0, 1 / (band + 1), 80)) for band in range(8)])
    basis, kept = basis_of(Moments(np.zeros((8, 80)), covariance, 1.0))
    assert kept.sum() == COEFFICIENTS == len(basis)
    taken = np.concatenate([np.abs(part).argmax(axis=1) for part in np.split(basis, np.cumsum(kept)[:-1]) if len(part)])
    variance = covariance[np.repeat(np.arange(8), kept), taken, taken]
    assert variance.min() == pytest.approx(np.sort(np.stack([np.diag(one) for one in covariance]).ravel())[-160])


def test_a_first_codebook_serves_its_speech(voice: list[LogMel]) -> None:
    speech = [*voice, *(log_mel(made_speech(4.0, seed)) for seed in range(20, 28))]
    bands = bands_of(speech)
    first = first_codebook(Moments.of(bands), bands)
    counted = with_shapes(first, bands, (72, 76, 80))
    assert cost(counted, bands, 76) < cost(first, bands, 76), "what is really sent is better known"


def test_frequencies_have_no_zero() -> None:
    found = frequencies(np.array([[0.0, 1e6], [0.0, 0.0]]))
    assert found.min() >= 1
    assert found.dtype == np.uint16
    assert found[1, 0] == found[1, 1]
