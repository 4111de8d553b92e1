"""What a way of learning is to a node, and what one round of it comes to.

A `Way` says in which order a round goes and which line of weights peers get; a `Course` is one round of it under way.
Nothing is on disk before the round is over: a course only reads, computes, and says in its `Outcome` what it made.
What may speak for the owner comes as a `Candidate`, with the twin that it is judged by: the same weights, or such as
have not learnt from the held-out speech. Knows no single way, no store and no peers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ml.federated.merge import Judged, MergeOptions, Received, adopt, merge, reach_of
from ml.weights import Weights
from node.learner import Learner, Plan, Progress
from node.store.rows import Origin, Role

if TYPE_CHECKING:
    from ml.voice.measures import Score
    from ml.voice.training import EpochFacts

Models = Callable[[Role], Weights]
"""The weights of a role; genesis where there are none."""


@dataclass(frozen=True)
class Made:
    """A model that a round made, of which other one, and its score on held-out speech where that means something."""

    weights: Weights
    parent: Weights
    origin: Origin = Origin.TRAINED
    score: Score | None = None


@dataclass(frozen=True)
class Candidate:
    """What may speak for the owner; `score` is its twin's on held-out speech."""

    speaks: Made
    twin: Made
    score: Score


def judged_itself(made: Made, score: Score) -> Candidate:
    """A candidate that has not seen the held-out speech, and so is its own twin."""
    return Candidate(made, made, score)


def best_of(first: Candidate, *others: Candidate) -> Candidate:
    """The least error on held-out speech; the earlier one wins a tie, and what is no number never wins."""
    best = first
    for one in others:
        if one.score.mse < best.score.mse:
            best = one
    return best


@dataclass(frozen=True)
class Outcome:
    """What a round came to, before anything of it is on disk.

    `start`, `trained` and `adopted` are what `RoundRow` says, with their scores in this order. `made` are the models
    that must be kept, `roles` what they are for. `candidates` may speak for the owner, `alone` for the control; without
    any there is no control.
    """

    start: Weights
    trained: Weights
    adopted: Weights
    scores: tuple[Score, Score, Score]
    frames: int
    history: Sequence[EpochFacts]
    made: Sequence[Made]
    roles: Mapping[Role, Weights]
    candidates: Sequence[Candidate]
    alone: Sequence[Candidate] = ()
    alpha: tuple[float, float | None] | None = None
    """The weight of one's own model in this round's mixture, and what was learnt of it for the next; None where nothing
    is mixed, and for the second where it is fixed."""


@dataclass(frozen=True)
class Taken:
    """What a merge came to: the weights to go on from, whether peers had a part in them, and all judgements."""

    weights: Weights
    score: Score
    judged: tuple[Judged, ...] = ()
    taken: bool = False
    mixture: tuple[Weights, Score] | None = None
    """What was mixed, also when it was not gone on from."""


class Course(Protocol):
    """One round under way. `train` and `merge` each happen once, in the order that the way wants."""

    async def train(self, plan: Plan, progress: Progress) -> None:
        """Learn from the owner's speech. Raises BadRequest when there is too little of it."""
        ...

    async def merge(self, received: Sequence[Received]) -> Taken:
        """Judge what peers sent and mix in what is good; also when nothing came."""
        ...

    async def outcome(self) -> Outcome:
        """What both have come to."""
        ...


class Way(Protocol):
    """A way of learning with others."""

    @property
    def name(self) -> str:
        """As `[train] method` says it."""
        ...

    @property
    def merge_first(self) -> bool:
        """Whether a round merges before it trains."""
        ...

    @property
    def published(self) -> Role:
        """The line that peers get."""
        ...

    def begin(self, learner: Learner, models: Models, alpha: float | None = None) -> Course:
        """A round from the weights that there are now; `alpha` is what rounds before have learnt of it, if any did."""
        ...


@dataclass(frozen=True)
class Merging:
    """The product's rule for one merge: try each on held-out speech, shorten, mix, and refuse what is clearly worse."""

    options: MergeOptions = field(default_factory=MergeOptions)

    async def merge(
        self,
        learner: Learner,
        own: Weights,
        score: Score,
        received: Sequence[Received],
        allowed: Score | None = None,
    ) -> Taken:
        """One's own weights with what is good of the received; `score` is that of one's own.

        The mixture may not be clearly worse than that, or than `allowed` where that is worse.
        """
        if not received:
            return Taken(own, score)
        reach = reach_of(own, learner.origin)
        merged = await learner.work(merge, own, received, learner.loss(), reach, self.options)
        if not any(one.accepted for one in merged.judged) or merged.weights is own:
            return Taken(own, score, merged.judged)
        reached = await learner.score(merged.weights)
        if not adopt(max(score.mse, allowed.mse) if allowed else score.mse, reached.mse):
            return Taken(own, score, merged.judged, mixture=(merged.weights, reached))
        return Taken(merged.weights, reached, merged.judged, True, (merged.weights, reached))
