"""What is done with a chunk of people in a round: a pure function of what it is given, wherever it is computed.

Knows nothing of who is heard, of other chunks, and of where it runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ml.federated.cohort import Stack
from ml.federated.method import Ground, Inbox, Method, State, judge_of
from ml.federated.simulation.chance import Many
from ml.federated.simulation.channel import Channel


@runtime_checkable
class Knowing(Protocol):
    """A method that keeps how good its personal weights are, so that nobody need compute it again."""

    def judgement(self, state: State) -> npt.NDArray[np.float64]:
        """What `judge_of` it says on held-out speech, to the last bit, `[people]`; anything for who has none."""
        ...


@dataclass(frozen=True)
class Turn:
    """A chunk of people, all honest or all hostile, and all that they have at the beginning of a round."""

    number: int
    seed: int
    """Of the local training."""
    who: Many
    state: State
    inbox: Inbox
    before: Stack
    """What they published last, as it arrived; means something where it is `known`."""
    known: npt.NDArray[np.bool_]
    honest: bool
    weighed: tuple[int, ...]
    """Those of `who` whose publication's bytes are counted."""
    measure: bool


@dataclass(frozen=True)
class Done:
    """What came of a chunk in a round: for each person how many models arrived, the state, and what receivers have of
    the publication (of hostile people what they would publish if they were honest); bytes of some publications; errors
    where they are measured."""

    who: Many
    messages: npt.NDArray[np.int64]
    state: State
    published: Stack
    sizes: tuple[int, ...]
    errors: npt.NDArray[np.float64] | None


@dataclass(frozen=True)
class Work:
    """What stays the same over all rounds."""

    ground: Ground
    method: Method
    channel: Channel

    def __call__(self, turn: Turn) -> Done:
        """One round of these people."""
        who = turn.who.tolist()
        ground = replace(self.ground, training=replace(self.ground.training, seed=turn.seed))
        state, published = self.method.round(ground, who, turn.state, turn.inbox, turn.number)
        sizes: tuple[int, ...] = ()
        if turn.honest:
            published, differences = self.channel.arrive(published, turn.before, turn.known)
            rows = zip(who, differences, turn.known.tolist(), strict=True)
            sizes = tuple(self.channel.size(row, known) for one, row, known in rows if one in turn.weighed)
        errors = self.measured(state, turn.who) if turn.measure else None
        return Done(turn.who, turn.inbox.present.sum(axis=1), state, published, sizes, errors)

    def measured(self, state: State, who: Many) -> npt.NDArray[np.float64]:
        """Errors on held-out speech of what speaks for these people; not a number for who has no such speech."""
        cohort = self.ground.cohort
        if isinstance(self.method, Knowing):
            known = self.method.judgement(state)
            return np.where(np.isfinite(known) & (cohort.frames("held_out")[who] > 0), known, np.nan)
        return cohort.errors(judge_of(self.method, state), who.tolist())
