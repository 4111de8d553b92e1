"""What holds for every method, whatever it does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.method import Ground, Inbox, Method
from ml.federated.methods.lines import judged
from ml.federated.methods.table import METHODS
from tests.ml.federated.methods.conftest import Play, inbox_of

METHOD = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
UNCHECKED = ("return-once", "drawn-once")
"""These take a step at the end that nobody has tried on held-out speech."""


@METHOD
def test_shapes_and_finite_numbers(method: Method, ground: Ground, play: Play) -> None:
    state, published = play(method, 3)
    assert published.shape == method.personal(state).shape == (5, len(ground.genesis))
    assert published.dtype == method.personal(state).dtype == np.float32
    assert np.isfinite(published).all()
    assert np.isfinite(method.personal(state)).all()
    assert all(len(array) == 5 for array in state.values())


@METHOD
def test_people_are_worked_on_alike_in_any_company(method: Method, play: Play) -> None:
    whole, published = play(method, 3)
    parts, published_in_parts = play(method, 3, ((0, 1), (2,), (3, 4)))
    assert np.array_equal(published, published_in_parts)
    assert whole.keys() == parts.keys()
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


@METHOD
def test_a_state_is_not_changed_by_going_on_from_it(method: Method, ground: Ground, play: Play) -> None:
    state, published = play(method, 2)
    before = {name: array.copy() for name, array in state.items()}
    inbox = inbox_of(published, range(5), len(ground.genesis))
    first, said = method.round(ground, range(5), state, inbox, 3)
    again, said_again = method.round(ground, range(5), state, inbox, 3)
    assert all(np.array_equal(before[name], state[name]) for name in before)
    assert np.array_equal(said, said_again)
    assert all(np.array_equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("method", [METHODS[name] for name in METHODS if name not in UNCHECKED])
def test_held_out_speech_is_never_worse_off_than_with_genesis(method: Method, ground: Ground, play: Play) -> None:
    state, _ = play(method, 4)
    start = judged(ground, method.personal(method.begin(ground, range(5))), range(5))
    assert (judged(ground, method.personal(state), range(5)) <= start * (1 + 1e-6)).all()


@METHOD
def test_an_inbox_of_nothing_present_is_an_empty_one(method: Method, ground: Ground, play: Play) -> None:
    state, published = play(method, 2)
    full = inbox_of(published, range(5), len(ground.genesis))
    absent = Inbox(full.stack, np.zeros_like(full.present), full.sender, full.frames, full.age)
    nobody = inbox_of(None, range(5), len(ground.genesis))
    one, said = method.round(ground, range(5), state, absent, 3)
    other, said_too = method.round(ground, range(5), state, nobody, 3)
    assert np.array_equal(said, said_too)
    assert np.array_equal(method.personal(one), method.personal(other))


@METHOD
@settings(deadline=None, max_examples=3)
@given(st.sampled_from([np.nan, np.inf, -np.inf, 3e38]), st.integers(0, 4))
def test_nothing_that_is_sent_breaks_a_round(
    method: Method, ground: Ground, play: Play, number: float, liar: int
) -> None:
    def lie(published: np.ndarray) -> np.ndarray:
        published = published.copy()
        published[liar, 7:11] = number
        return published

    state, _ = play(method, 2, spoil=lie)
    assert np.isfinite(method.personal(state)).all()


def test_every_name_is_said_once() -> None:
    assert len({method.name for method in METHODS.values()}) == len(METHODS)
