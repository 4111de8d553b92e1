"""A codebook is whole numbers with one name; what is none is refused in words."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import ModelDamaged
from ml.voice.codec.codebook import SHAPES, Codebook, genesis_codebook, parse, step_size, to_bytes


def test_the_shipped_one_is_whole(codebook: Codebook) -> None:
    back = parse(to_bytes(codebook, {"data": "x"}))
    assert back.digest == codebook.digest
    assert len(to_bytes(codebook)) < 25_000
    for band in range(8):
        rows = codebook.basis[codebook.band == band]
        assert np.allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-5)
    assert codebook.symbols.shape == (77, 33)
    assert np.array_equal(codebook.symbols, codebook.symbols[:, ::-1])


def test_the_name_follows_every_number(codebook: Codebook) -> None:
    for name in SHAPES:
        tensors = {key: tensor.copy() for key, tensor in codebook.tensors.items()}
        flat = tensors[name].reshape(-1)
        if name in ("kept", "rates"):
            continue
        flat[-1] += 1
        assert Codebook(tensors).digest != codebook.digest


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("basis", np.zeros((160, 80), np.int16), "basis is int16"),
        ("kept", np.full(8, 21, np.uint8), "share out"),
        ("prior", np.zeros(8, np.uint16), "frequency of 0"),
        ("rates", np.ones((9, 2), np.uint16), "do not fall"),
        ("extra", np.zeros(1, np.uint8), "extra"),
    ],
)
def test_what_cannot_code_is_refused(codebook: Codebook, name: str, value: np.ndarray, words: str) -> None:
    tensors = {**codebook.tensors, name: value}
    with pytest.raises(ModelDamaged, match=words):
        Codebook(tensors)
    with pytest.raises(ModelDamaged, match=words):
        parse(safetensors.numpy.save({key: np.ascontiguousarray(one) for key, one in tensors.items()}))


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=50)
def test_any_bytes_are_refused(noise: bytes) -> None:
    good = to_bytes(genesis_codebook())
    for data in (noise, good[:300] + noise):
        with pytest.raises(ModelDamaged):
            parse(data)
    with pytest.raises(ModelDamaged, match="more than"):
        parse(bytes(200_000))


def test_steps_and_rates(codebook: Codebook) -> None:
    assert step_size(64) == 1
    assert step_size(72) == 2
    steps = [codebook.step_for(rate) for rate in (0.1, 1.0, 1.6, 2.4, 3.2, 99)]
    assert steps == sorted(steps, reverse=True)
    assert len(set(steps)) >= 5
