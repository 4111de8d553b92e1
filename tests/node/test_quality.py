"""What rounds say of the model, in figures and in words that hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.quality import Quality, judge, reduction
from tests.node.measured import FIRST, changed


def test_where_the_model_has_learnt_from_all_speech_it_says_what_was_measured():
    assert "twin" in judge([changed(method="shared-prior")]).sentence
    assert "twin" not in judge([FIRST]).sentence


def test_without_a_round_nothing_is_claimed():
    assert judge(()) == Quality()
    assert "No round" in Quality().sentence


def test_gains_are_shares_of_the_squared_error():
    quality = judge([changed(number=2, merged=1), FIRST])
    assert quality.gain == pytest.approx(1 - (2 / 4) ** 2)
    assert quality.gain_of_peers == pytest.approx(1 - (2 / 2.5) ** 2)
    assert (quality.rounds, quality.merged, quality.mcd_best) == (2, 3, 5.0)
    assert "75% less squared error" in quality.sentence
    assert "peers account for 36.0% less squared error" in quality.sentence


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"merged": 0}, "no peer has added to it yet"),
        ({"rmse_alone": None}, "the control is off"),
        ({"rmse_alone": 2.0}, "peers have made no difference"),
        ({"rmse_alone": 1.6}, "training alone would make 36.0% less squared error"),
        ({"rmse_genesis": 2.0}, "not better on your voice"),
        ({"rmse_genesis": 2.003}, "makes 0.3% less squared error"),
        ({"rmse_genesis": 1.0}, "not better on your voice"),
    ],
)
def test_the_sentence_says_what_is_so(facts: dict, words: str):
    assert words in judge([changed(**facts)]).sentence


def test_genesis_is_known_from_the_first_round_or_not_at_all():
    assert judge([changed(number=2, rmse_genesis=None), changed(rmse_genesis=None)]).rmse_genesis == 4.0
    later = judge([changed(number=9, rmse_genesis=None)])
    assert (later.rmse_genesis, later.gain) == (None, None)
    assert later.sentence.startswith("The model has learned from your voice")


@given(st.none() | st.floats(0.0, 100.0), st.none() | st.floats(0.0, 100.0))
def test_no_share_of_nothing(before: float | None, after: float | None):
    share = reduction(before, after)
    assert (share is None) == (not before or after is None)
    assert share is None or share <= 1.0


@given(*[st.none() | st.floats(0.01, 50.0)] * 2, st.floats(0.0, 50.0), st.integers(0, 3))
def test_every_round_has_a_sentence(genesis: float | None, alone: float | None, best: float, merged: int):
    quality = judge([changed(rmse_genesis=genesis, rmse_alone=alone, rmse_best=best, merged=merged, number=5)])
    assert quality.sentence.endswith(".")
    assert "nan" not in quality.sentence
    if quality.gain_of_peers is not None and merged and quality.gain_of_peers < -0.01:
        assert "alone" in quality.sentence


def test_peers_of_whom_nothing_was_merged_have_not_helped():
    quality = judge([changed(merged=0, rmse_alone=2.5, rmse_best=2.0)])
    assert quality.gain_of_peers is None
    assert "no peer has added to it yet" in quality.sentence
    assert "peers account" not in quality.sentence
