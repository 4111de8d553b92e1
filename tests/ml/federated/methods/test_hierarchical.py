"""The default: its prior is FedAvg's model, its control's is genesis, and no held-out speech is lost."""

from __future__ import annotations

import numpy as np

from ml.federated.method import Ground
from ml.federated.methods.alone import Alone
from ml.federated.methods.hierarchical import Hierarchical, whole
from ml.federated.methods.lines import judged
from tests.ml.federated.methods.conftest import Play


def test_without_a_shared_line_it_is_map_around_genesis(play: Play) -> None:
    alone, _ = play(Alone(anchored=True), 3)
    control, _ = play(Hierarchical(False, frames=0.0, least=0.0), 3)
    assert np.array_equal(alone["working"], control["working"])
    assert np.array_equal(alone["best"], control["best"])
    deaf, _ = play(Hierarchical(False, frames=0.0, least=0.0), 3, spoil=lambda published: published + 5)
    assert np.array_equal(control["best"], deaf["best"])


def test_peers_who_share_an_accent_help_on_test_speech(ground: Ground, play: Play) -> None:
    control, _ = play(Hierarchical(False), 4)
    peers, _ = play(Hierarchical(), 4)
    alone, together = (
        ground.cohort.errors(np.asarray(state["best"], np.float32), range(5), "test") for state in (control, peers)
    )
    assert together.mean() < alone.mean()


def test_the_third_line_learns_from_what_is_held_out(ground: Ground, play: Play) -> None:
    everything = whole(ground.cohort)
    held_out, speech = ground.cohort.frames("held_out"), ground.cohort.frames("train")
    assert (everything.frames("train") == speech + held_out).all()
    assert (everything.frames("held_out") == 0).all()
    state, published = play(Hierarchical(whole=everything), 4)
    plain, published_plain = play(Hierarchical(), 4)
    assert np.array_equal(published, published_plain)  # what is held out never leaves
    with_it, without = (
        judged(ground, np.asarray(one["best"], np.float32), range(5))[:4].mean() for one in (state, plain)
    )
    assert with_it < without
    assert np.array_equal(state["error"], plain["error"])  # and the twin's error is what is said


def test_what_speaks_is_drawn_back_to_the_prior(ground: Ground, play: Play) -> None:
    state, _ = play(Hierarchical(False, frames=64.0, least=0.0), 1)
    frames = ground.cohort.frames()
    share = (frames / (frames + 64)).astype(np.float32)[:, None]  # half for who has 64 frames, more for who has more
    expected = ground.genesis + share * (np.asarray(state["working"]) - ground.genesis)
    assert np.allclose(state["best"], expected, atol=1e-6)


def test_the_step_back_is_never_shorter_than_its_least(ground: Ground, play: Play) -> None:
    state, _ = play(Hierarchical(False, frames=64.0, least=0.45), 1)
    frames = ground.cohort.frames()
    back = np.maximum(0.45, 64 / (frames + 64))
    assert (back == 0.45).any()
    assert (back > 0.45).any()
    expected = ground.genesis + (1 - back).astype(np.float32)[:, None] * (np.asarray(state["working"]) - ground.genesis)
    assert np.allclose(state["best"], expected, atol=1e-6)


def test_a_weight_of_nothing_leaves_the_prior_where_one_stood(ground: Ground, play: Play) -> None:
    half, _ = play(Hierarchical(weight=0.5), 3)
    alike, _ = play(Hierarchical(), 3)
    assert not np.allclose(half["shared"], alike["shared"], atol=1e-4)
    nothing, _ = play(Hierarchical(weight=0.0), 3)
    deaf, _ = play(Hierarchical(weight=0.0), 3, spoil=lambda published: published + 5)
    assert np.array_equal(nothing["shared"], deaf["shared"])


def test_with_slack_a_bad_prior_is_not_taken(ground: Ground, play: Play) -> None:
    def spoilt(published: np.ndarray) -> np.ndarray:
        return published + np.float32(5)

    careful, _ = play(Hierarchical(slack=0.02), 3, spoil=spoilt)
    trusting, _ = play(Hierarchical(), 3, spoil=spoilt)
    assert (np.asarray(careful["accepted"]) == 0).all()
    assert (np.asarray(trusting["accepted"]) > 0).all()
    own, misled = (judged(ground, np.asarray(one["shared"], np.float32), range(5)) for one in (careful, trusting))
    assert (own < misled).all()
