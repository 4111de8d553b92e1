"""Integers follow the coefficients as the step asks, and cost what they say."""

from __future__ import annotations

import numpy as np
import pytest

from ml.audio.logmel import LogMel
from ml.voice.codec.codebook import CLASSES, Codebook, step_size
from ml.voice.codec.moments import bands_of
from ml.voice.codec.quantiser import analyse, choose, restore, synthesise


def error(codebook: Codebook, voice: list[LogMel], step: int) -> tuple[float, float]:
    bands = bands_of(voice)
    chosen = choose(codebook, analyse(codebook, bands), step)
    rebuilt = synthesise(codebook, restore(codebook, chosen.classes, chosen.integers, step))
    return float(np.square(bands - rebuilt).mean()), float(chosen.bits.mean())


def test_finer_steps_cost_bits_and_save_error(codebook: Codebook, voice: list[LogMel]) -> None:
    points = [error(codebook, voice, step) for step in (92, 84, 76, 68, 60)]
    errors, bits = zip(*points, strict=True)
    assert list(errors) == sorted(errors, reverse=True)
    assert list(bits) == sorted(bits)


def test_coefficients_are_within_a_step(codebook: Codebook, voice: list[LogMel]) -> None:
    coefficients = analyse(codebook, bands_of(voice))
    chosen = choose(codebook, coefficients, 60)
    coded = np.abs(chosen.integers) > 1
    back = restore(codebook, chosen.classes, chosen.integers, 60)
    assert coded.any()
    assert np.abs(back - coefficients)[coded].max() <= 1.6 * step_size(60), "rounded, or one nearer to 0"
    assert 0 <= chosen.classes.min() <= chosen.classes.max() < CLASSES


def test_far_outliers_are_coded_too(codebook: Codebook) -> None:
    coefficients = np.zeros((1, 160), np.float32)
    coefficients[0, 0] = 1000
    chosen = choose(codebook, coefficients, 70)
    assert abs(chosen.integers[0, 0]) > 16
    assert restore(codebook, chosen.classes, chosen.integers, 70)[0, 0] == pytest.approx(1000, abs=2 * step_size(70))


def test_analysis_undoes_synthesis(codebook: Codebook) -> None:
    coefficients = np.random.default_rng(0).normal(size=(3, 160)).astype(np.float32)
    assert np.allclose(analyse(codebook, synthesise(codebook, coefficients)), coefficients, atol=1e-4)
