"""What the methods have in common: the lines of models that they keep, the best checkpoint, and what an inbox says.

A state holds one array `[people, parameters]` for each line and, for what speaks for a person, the best weights that
were tried on that person's held-out speech, with their error there. Begun at genesis, the best is never worse on
held-out speech than genesis. Knows no single method.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ml.federated.cohort import Stack
from ml.federated.method import Ground, Inbox, Rule, State
from ml.federated.rules.averages import Mean
from ml.federated.span import chosen

Errors = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.float64]

MEAN: Rule = Mean()
"""The plain mean of what is finite, where no other rule is wanted."""

BEST, ERROR, ACCEPTED = "best", "error", "accepted"


def genesis(ground: Ground, who: Sequence[int]) -> Stack:
    """The shared start, once for each person."""
    return np.repeat(ground.genesis[None], len(who), axis=0)


def begun(ground: Ground, who: Sequence[int], *lines: str) -> dict[str, npt.NDArray[np.generic]]:
    """A state in which every line, and the best, is genesis, and nothing has been accepted."""
    start = genesis(ground, who)
    state: dict[str, npt.NDArray[np.generic]] = {line: start.copy() for line in lines}
    return state | {BEST: start, ERROR: judged_start(ground, who), ACCEPTED: np.zeros(len(who), np.int64)}


def line(state: State, name: str) -> Stack:
    """One line of models of a state, `[people, parameters]`."""
    return np.asarray(state[name], np.float32)


def judged(ground: Ground, stack: Stack, who: Sequence[int]) -> Errors:
    """Errors on held-out speech, on the training speech where nothing is held out; infinite where not finite."""
    with np.errstate(all="ignore"):
        found = ground.cohort.errors(stack, who)
        bare = [at for at, error in enumerate(found) if np.isnan(error)]
        if bare:
            found[bare] = ground.cohort.errors(stack[bare], [who[at] for at in bare], "train")
    return np.where(np.isnan(found), np.inf, found)


def judged_start(ground: Ground, who: Sequence[int]) -> Errors:
    """As `judged`, of genesis: computed once for each person."""
    found = ground.cohort.errors_of(ground.genesis, who)
    bare = np.flatnonzero(np.isnan(found))
    if len(bare):
        found[bare] = ground.cohort.errors_of(ground.genesis, np.asarray(who)[bare].tolist(), "train")
    return np.where(np.isnan(found), np.inf, found)


def kept(state: State, *tried: tuple[Stack, Errors]) -> dict[str, npt.NDArray[np.generic]]:
    """`best` and `error` after some stacks and their errors on held-out speech; the earlier one wins a tie."""
    error, winners = np.array(state[ERROR], np.float64), np.zeros(len(np.asarray(state[ERROR])), np.int64)
    for number, (_, found) in enumerate(tried, start=1):
        better = found < error
        winners[better], error[better] = number, found[better]
    return {BEST: chosen([line(state, BEST), *(stack for stack, _ in tried)], winners), ERROR: error}


def towards(
    ground: Ground, who: Sequence[int], own: Stack, inbox: Inbox, rule: Rule
) -> tuple[Stack, npt.NDArray[np.int64]]:
    """The step from one's own weights to what came, by a rule; and how many models had a part in it."""
    with np.errstate(all="ignore"):
        taken = rule.take(ground, who, own, inbox)
    return taken.step, taken.accepted.sum(axis=1)


def averaged(
    ground: Ground, who: Sequence[int], own: Stack, inbox: Inbox, rule: Rule, weight: float | None = None
) -> tuple[Stack, npt.NDArray[np.int64]]:
    """The average of one's own weights and those received; and how many models had a part.

    Everybody alike, where a model from sender -1 is the average of all others and counts for as many; or with the
    `weight` for what was received.
    """
    with np.errstate(all="ignore"):
        taken = rule.take(ground, who, own, inbox)
    behind = np.where(inbox.sender < 0, len(ground.cohort) - 1, 1)
    others = (behind * taken.accepted).sum(axis=1)
    alike = others / (others + 1)
    share = (alike if weight is None else weight * (others > 0)).astype(np.float32)
    return own + share[:, None] * taken.step, taken.accepted.sum(axis=1)
