"""What is private is neither sent nor taken over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ml.federated.method import Ground
from ml.federated.methods.partial import Partly, affine, biases, decoder, encoder, places
from tests.ml.federated.methods.conftest import Play, inbox_of


@pytest.mark.parametrize("private", [decoder, encoder, biases, affine])
def test_private_places_are_not_sent(private: Callable[[str], bool], ground: Ground, play: Play) -> None:
    method = Partly(private, "some")
    state, published = play(method, 2)
    home = places(ground.cohort.layout, private)
    assert home.any()
    assert not home.all()
    assert (published[:, home] == ground.genesis[home]).all()
    assert np.array_equal(published[:, ~home], np.asarray(state["working"])[:, ~home])
    assert (np.asarray(state["working"])[:, home] != ground.genesis[home]).any()


def test_what_comes_for_private_places_changes_nothing(ground: Ground, play: Play) -> None:
    method = Partly(decoder, "some")
    state, published = play(method, 1)
    home = places(ground.cohort.layout, decoder)
    clean, _ = method.round(ground, range(5), state, inbox_of(published, range(5), len(ground.genesis)), 2)
    published[:, home] += 3
    spoilt, _ = method.round(ground, range(5), state, inbox_of(published, range(5), len(ground.genesis)), 2)
    assert np.array_equal(clean["working"], spoilt["working"])


def test_the_halves_are_the_whole(ground: Ground) -> None:
    layout = ground.cohort.layout
    assert (places(layout, encoder) ^ places(layout, decoder)).all()
    assert len(places(layout, biases)) == layout.parameters
