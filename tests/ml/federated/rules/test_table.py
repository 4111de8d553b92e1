"""What every rule promises, whatever it does, and what the robust ones promise beyond it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.method import Ground, Inbox, Rule, Taken
from ml.federated.rules.table import RULES

HARMFUL = (np.nan, np.inf, -np.inf, 3e38, -1e30, 1e12, 50.0)
MakeInbox = Callable[..., tuple[np.ndarray, Inbox]]

every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())


def moved(inbox: Inbox, order: np.ndarray) -> Inbox:
    """The same models in other places."""
    arrays = {one.name: getattr(inbox, one.name) for one in fields(inbox)}
    return Inbox(**{name: None if array is None else array[:, order] for name, array in arrays.items()})


def take(ground: Ground, rule: Rule, own: np.ndarray, inbox: Inbox) -> Taken:
    before = inbox.stack.copy()
    taken = rule.take(ground, range(len(own)), own, inbox)
    assert np.array_equal(before, inbox.stack, equal_nan=True), "a rule changes nothing that it is given"
    assert taken.step.shape == own.shape
    assert taken.step.dtype == np.float32
    assert taken.accepted.shape == inbox.present.shape
    assert not (taken.accepted & ~inbox.present).any()
    assert np.isfinite(taken.step).all()
    assert not taken.step[~taken.accepted.any(axis=1)].any(), "whoever accepts nothing stays"
    return taken


@every_rule
def test_an_empty_inbox_moves_nobody(ground: Ground, make_inbox: MakeInbox, rule: Rule) -> None:
    own, inbox = make_inbox(0)
    assert not take(ground, rule, own, inbox).step.any()
    own, inbox = make_inbox(3)
    assert not take(ground, rule, own, replace(inbox, present=np.zeros_like(inbox.present))).step.any()


@every_rule
def test_honest_models_are_followed(ground: Ground, make_inbox: MakeInbox, rule: Rule) -> None:
    own, inbox = make_inbox(5)
    taken = take(ground, rule, own, inbox)
    towards = inbox.stack.mean(axis=1) - own
    cosine = (taken.step * towards).sum(axis=1) / np.linalg.norm(taken.step, axis=1) / np.linalg.norm(towards, axis=1)
    assert (cosine > 0.4).all()


@every_rule
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 99), count=st.integers(1, 8))
def test_the_order_in_the_inbox_changes_no_bit(
    ground: Ground, make_inbox: MakeInbox, rule: Rule, seed: int, count: int
) -> None:
    own, inbox = make_inbox(count, hostile=count // 3, forged=0.3, seed=seed)
    inbox.present[:] = np.random.default_rng(seed).random(inbox.present.shape) < 0.8
    order = np.random.default_rng(seed + 1).permutation(count)
    one, other = take(ground, rule, own, inbox), take(ground, rule, own, moved(inbox, order))
    assert np.array_equal(one.step, other.step)
    assert np.array_equal(one.accepted[:, order], other.accepted)


@every_rule
@settings(deadline=None, max_examples=10)
@given(
    forged=st.sampled_from(HARMFUL) | st.floats(-(2.0**100), 2.0**100, width=32),
    count=st.integers(1, 7),
    hostile=st.integers(0, 7),
    at=st.integers(0, 1000),
)
def test_the_step_is_finite_whatever_comes(
    ground: Ground, make_inbox: MakeInbox, rule: Rule, forged: float, count: int, hostile: int, at: int
) -> None:
    own, inbox = make_inbox(count, seed=1)
    inbox.stack[:, : min(hostile, count), at] = forged
    taken = take(ground, rule, own, inbox)
    if not abs(forged) < 1e19:
        assert not taken.accepted[:, : min(hostile, count)].any()


@every_rule
def test_what_is_not_present_is_not_looked_at(ground: Ground, make_inbox: MakeInbox, rule: Rule) -> None:
    own, inbox = make_inbox(5)
    inbox.present[:, 2] = False
    before = take(ground, rule, own, inbox)
    inbox.stack[:, 2] = np.nan
    assert np.array_equal(before.step, take(ground, rule, own, inbox).step)


@every_rule
def test_everybody_is_served_alone(ground: Ground, make_inbox: MakeInbox, rule: Rule) -> None:
    own, inbox = make_inbox(4, hostile=1, forged=0.2)
    together = take(ground, rule, own, inbox)
    inbox.stack[0] = 1e9
    again = take(ground, rule, own, inbox)
    assert np.array_equal(together.step[1:], again.step[1:])


@pytest.mark.parametrize("name", sorted(set(RULES) - {"mean"}))
@pytest.mark.parametrize("forged", [1e3, -1e6, 1e15])
def test_two_liars_of_seven_move_a_robust_rule_little(
    ground: Ground, make_inbox: MakeInbox, name: str, forged: float
) -> None:
    own, inbox = make_inbox(7, hostile=2, forged=forged)
    honest = np.linalg.norm(inbox.stack[:, 2:] - own[:, None], axis=2).max()
    assert np.linalg.norm(take(ground, RULES[name], own, inbox).step, axis=1).max() < 3.1 * honest


def test_one_liar_moves_the_mean_at_will(ground: Ground, make_inbox: MakeInbox) -> None:
    own, inbox = make_inbox(7, hostile=1, forged=1e6)
    assert np.linalg.norm(take(ground, RULES["mean"], own, inbox).step, axis=1).min() > 1e6


def test_the_names_in_the_table_differ() -> None:
    assert len({rule.name for rule in RULES.values()}) == len(RULES)
