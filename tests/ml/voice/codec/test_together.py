"""Statements of voices: small, bounded, added up in any order, and never able to spoil anybody's codebook."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.logmel import LogMel, log_mel
from ml.errors import ModelDamaged
from ml.voice.codec.codebook import COEFFICIENTS, SHAPES, Codebook, genesis_codebook
from ml.voice.codec.fitting import cost
from ml.voice.codec.moments import bands_of
from ml.voice.codec.together import (
    LARGEST,
    MOST_FRAMES,
    Statement,
    from_bytes,
    learnt_together,
    pool,
    stated,
    to_bytes,
)
from ml.voice.codec.transfer import pack
from tests.ml.voice.codec.conftest import made_speech

KNOWN = genesis_codebook()


def crowd(count: int, colour: float = 1.5, first: int = 100) -> list[Statement]:
    voices = [[log_mel(made_speech(2.5, first + 10 * who + take, colour)) for take in range(3)] for who in range(count)]
    return [stated(KNOWN, bands_of(one)) for one in voices]


@pytest.fixture(scope="module")
def alike() -> list[Statement]:
    """Of three voices like that of the fixture `voice`."""
    return crowd(3)


def changed(statement: Statement, **tensors: object) -> Statement:
    return Statement(Codebook({**statement.codebook.tensors, **tensors}), statement.frames)


def hostile(honest: Statement, seed: int = 0) -> dict[str, Statement]:
    """What a peer may state that wants to harm, within the bounds of the decoder; all claim much speech."""
    rng, tensors = np.random.default_rng(seed), honest.codebook.tensors
    largest = {"shift": np.full_like(tensors["shift"], 6400), "scale": np.full_like(tensors["scale"], 136)}
    kept = np.array([0, 0, 0, 0, 0, 0, 80, 80], np.uint8)
    made = {
        "random basis": {"basis": rng.integers(-127, 128, (COEFFICIENTS, 80)).astype(np.int8)},
        "no basis": {"basis": np.zeros((COEFFICIENTS, 80), np.int8)},
        "basis in the wrong place": {"kept": kept},
        "largest": largest,
        "all alike and wide": {"scale": largest["scale"]},
        "smallest": {"scale": np.zeros_like(tensors["scale"])},
        "turned round": {"shift": -tensors["shift"], "mean": -tensors["mean"]},
        "one class for all": {"prior": np.array([60000, 1, 1, 1, 1, 1, 1, 1], np.uint16)},
    }
    return {name: Statement(changed(honest, **one).codebook, 2**62) for name, one in made.items()}


def test_a_statement_arrives_whole_and_small(alike: list[Statement]) -> None:
    data = to_bytes(alike[0], KNOWN)
    assert len(data) < 13_000
    assert from_bytes(data, alike[0].frames, KNOWN).codebook.digest == alike[0].codebook.digest
    with pytest.raises(ValueError, match="block"):
        stated(KNOWN, np.zeros((0, 8, 80), np.float32))


def test_what_others_state_helps_somebody_like_them(alike: list[Statement], voice: list[LogMel]) -> None:
    made = learnt_together(KNOWN, alike, voice[:1], voice[1:3])
    assert made.used
    assert made.best.cost < made.alone.cost < made.alone.prior_cost
    judged = bands_of(voice[4:])
    assert cost(made.best.codebook, judged, 76) < 0.97 * cost(made.alone.codebook, judged, 76)
    assert cost(pool(KNOWN, alike), judged, 76) < 0.95 * cost(KNOWN, judged, 76), "for who has not spoken yet too"


def test_without_statements_it_is_the_codebook_of_one_alone(voice: list[LogMel]) -> None:
    made = learnt_together(KNOWN, [], voice[:3], voice[3:5])
    assert made.best is made.alone
    assert made.used == ()
    with pytest.raises(ValueError, match="nothing"):
        pool(KNOWN, [])


@given(order=st.permutations(range(3)))
@settings(deadline=None, max_examples=6)
def test_the_order_of_statements_does_not_matter(alike: list[Statement], order: list[int]) -> None:
    assert pool(KNOWN, [alike[at] for at in order]).digest == pool(KNOWN, alike).digest


@pytest.mark.parametrize("kind", hostile(Statement(KNOWN, 1)))
def test_nobody_can_spoil_it_for_others(alike: list[Statement], voice: list[LogMel], kind: str) -> None:
    """One liar beside three honest ones changes nothing to the worse, nor do three liars alone."""
    liar = hostile(alike[0])[kind]
    assert from_bytes(to_bytes(liar, KNOWN), liar.frames, KNOWN).codebook.digest == liar.codebook.digest
    honest = learnt_together(KNOWN, alike, voice[:1], voice[1:3])
    mixed = learnt_together(KNOWN, [liar, *alike], voice[:1], voice[1:3])
    assert mixed.best.cost <= honest.best.cost
    alone = learnt_together(KNOWN, [liar] * 3, voice[:1], voice[1:3])
    assert alone.best.cost <= alone.alone.cost == honest.alone.cost


def test_who_claims_endless_speech_weighs_no_more_than_two_minutes(alike: list[Statement]) -> None:
    claims = [Statement(alike[0].codebook, frames) for frames in (MOST_FRAMES, 2**62)]
    assert np.array_equal(claims[0].classes(KNOWN).blocks, claims[1].classes(KNOWN).blocks)


@pytest.mark.parametrize(
    ("name", "value"),
    [("shape", 7), ("centroid", 1), ("voicing", 9), ("pitch", 3), ("slope", 3), ("rates", None)],
)
def test_what_is_everybodys_cannot_be_stated(name: str, value: int | None) -> None:
    tensor = KNOWN.tensors[name].copy()
    tensor[-1] = tensor[-1] + 1 if value is None else value
    with pytest.raises(ModelDamaged, match="everybody's"):
        from_bytes(pack(Codebook({**KNOWN.tensors, name: tensor}), KNOWN), 100, KNOWN)


@pytest.mark.parametrize(("name", "value"), [("shift", 6401), ("shift", -32768), ("scale", 137), ("mean", -12801)])
def test_sounds_beyond_full_scale_cannot_be_stated(name: str, value: int) -> None:
    tensor = KNOWN.tensors[name].copy()
    tensor.flat[3] = value
    with pytest.raises(ModelDamaged, match="full scale"):
        from_bytes(pack(Codebook({**KNOWN.tensors, name: tensor}), KNOWN), 100, KNOWN)


def test_too_many_bytes_are_not_looked_at() -> None:
    with pytest.raises(ModelDamaged, match="the most"):
        from_bytes(bytes(LARGEST + 1), 100, KNOWN)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Noise, and bodies that get as far as the tensors: right head, right number of any bytes."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    sent = draw(st.integers(0, 2**16 - 1))
    names = [name for place, name in enumerate(sorted(SHAPES)) if sent >> place & 1]
    size = sum(int(np.prod(SHAPES[name][1])) * np.dtype(SHAPES[name][0]).itemsize for name in names)
    tensors = np.random.default_rng(draw(st.integers(0, 99))).integers(0, draw(st.integers(1, 256)), size, np.uint8)
    return sent.to_bytes(2, "little") + bytes.fromhex(KNOWN.digest)[:8] + zlib.compress(tensors.tobytes())


@given(body=bodies(), frames=st.integers(1, 2**63 - 1))
@settings(deadline=None, max_examples=150)
def test_bytes_from_anybody_are_a_statement_or_are_refused(body: bytes, frames: int) -> None:
    try:
        statement = from_bytes(body, frames, KNOWN)
    except ModelDamaged:
        return
    made = pool(KNOWN, [statement])
    assert np.isfinite(cost(made, np.zeros((3, 8, 80), np.float32), 76))
