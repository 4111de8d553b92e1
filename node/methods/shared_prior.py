"""A shared prior and a personal model near it: the default.

One's own shared model and the accepted ones of peers make the average that is the prior. From there the next shared
model is trained, which is all that peers ever get. The personal line is trained under a pull to the prior, and steps
back to it at the end, the farther the less speech there is. The control is the same around genesis, without peers.
Half way between both may speak, or the whole way when it is clearly better on held-out speech. What does speak is the
twin on all speech, held-out part included, when the one that has not seen that part is the best so far.
docs/personalisation.md has the measurements, docs/decisions/0008 the reasons; `ml/federated/methods/node_default.py`
is the same for many people. Knows nothing of links, the store or when a round begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ml.federated.merge import MergeOptions, Received
from ml.federated.prior import draw_back, halve, whole_way
from ml.weights import Weights
from node.learner import Learner, Plan, Progress
from node.methods.way import Candidate, Made, Merging, Models, Outcome, Taken, judged_itself
from node.store.rows import Origin, Role

if TYPE_CHECKING:
    from ml.voice.measures import Score
    from ml.voice.training import Trained


@dataclass(frozen=True)
class SharedPrior:
    """`control` keeps the lines that hear of nobody; without them the personal line speaks as it is."""

    merging: Merging = field(default_factory=lambda: Merging(MergeOptions(average=True)))
    control: bool = True
    name: str = "shared-prior"
    merge_first: bool = True
    published: Role = Role.SHARED

    def begin(self, learner: Learner, models: Models, alpha: float | None = None) -> _Course:
        """A round that goes on from SHARED, WORKING and WHOLE, and the control's from CONTROL and CONTROL_WHOLE; an
        average needs no alpha."""
        return _Course(self, learner, models)


@dataclass(frozen=True)
class _Personal:
    """A round of the personal lines: where they began, what was learnt, and what they are near the prior."""

    start: Weights
    trained: Trained
    score: Score
    line: Made
    entire: Made
    candidate: Candidate


class _Course:
    """Merge, then train."""

    def __init__(self, way: SharedPrior, learner: Learner, models: Models) -> None:
        self._way, self._learner, self._models = way, learner, models
        self._shared = models(Role.SHARED)
        self._prior: Taken | None = None
        self._before: Score | None = None
        self._next: Made | None = None
        self._own: _Personal | None = None
        self._alone: _Personal | None = None

    async def merge(self, received: Sequence[Received]) -> Taken:
        learner = self._learner
        score = await learner.score(self._shared)
        # The prior is everybody's: one's own shared model, which has just learnt from one's own speech, is mostly
        # better there. So genesis is what it must not be clearly worse than.
        start = await learner.score(learner.origin)
        self._prior = await self._way.merging.merge(learner, self._shared, score, received, start)
        return self._prior

    async def train(self, plan: Plan, progress: Progress) -> None:
        if self._prior is None:
            raise RuntimeError("this way merges before it trains")
        learner, prior = self._learner, self._prior.weights
        self._before = await learner.score(self._models(Role.WORKING))
        shared = await learner.train(prior, plan, _quiet)
        self._next = Made(shared.last, self._shared, score=await learner.score(shared.last))
        self._own = await self._personal((Role.WORKING, Role.WHOLE), replace(plan, towards=prior), progress)
        if self._way.control:
            around = replace(plan, towards=learner.origin)
            self._alone = await self._personal((Role.CONTROL, Role.CONTROL_WHOLE), around, _quiet)

    async def _personal(self, roles: tuple[Role, Role], plan: Plan, progress: Progress) -> _Personal:
        learner, prior = self._learner, plan.towards or self._learner.origin
        start, start_whole = map(self._models, roles)
        trained = await learner.train(start, plan, progress)
        entire = await learner.train(start_whole, replace(plan, whole=True), _quiet)
        near = draw_back(trained.last, prior, trained.frames)
        score, reached = await learner.score(trained.last), await learner.score(near)
        line, whole = Made(trained.last, start, score=score), Made(entire.last, start_whole, Origin.WHOLE)
        twin = Made(near, trained.last, score=reached)
        # A model that is lost gives way to its parent: what speaks to its twin.
        speaks = Made(draw_back(entire.last, prior, entire.frames), near, Origin.WHOLE)
        return _Personal(start, trained, score, line, whole, Candidate(speaks, twin, reached))

    async def _half(self, own: _Personal, alone: _Personal) -> Candidate:
        """Half way between this round's personal model and its control, or the former where that is clearly better."""
        mine, control = own.candidate, alone.candidate
        weights = halve(mine.twin.weights, control.twin.weights)
        score = await self._learner.score(weights)
        if whole_way(mine.score.mse, score.mse):
            return mine
        twin = Made(weights, own.line.weights, score=score)
        speaks = Made(halve(mine.speaks.weights, control.speaks.weights), weights, Origin.WHOLE)
        return Candidate(speaks, twin, score)

    async def outcome(self) -> Outcome:
        prior, own, shared, before = self._prior, self._own, self._next, self._before
        if prior is None or own is None or shared is None or before is None:
            raise RuntimeError("this round is not over")
        near = own.candidate if self._alone is None else await self._half(own, self._alone)
        made = [shared, own.line, own.entire, near.twin]
        roles = {
            Role.SHARED: shared.weights,
            Role.WORKING: own.line.weights,
            Role.WHOLE: own.entire.weights,
        }
        if self._alone is not None:
            made += [self._alone.line, self._alone.entire]
            roles |= {Role.CONTROL: self._alone.line.weights, Role.CONTROL_WHOLE: self._alone.entire.weights}
        origin = Origin.MERGED if prior.taken else Origin.TRAINED
        common = Made(prior.weights, self._shared, origin, prior.score)
        return Outcome(
            start=own.start,
            trained=own.line.weights,
            adopted=near.twin.weights,
            scores=(before, own.score, near.score),
            frames=own.trained.frames,
            history=own.trained.history,
            made=made,
            roles=roles,
            candidates=[judged_itself(common, prior.score), near],
            alone=[self._alone.candidate] if self._alone is not None else [],
        )


def _quiet(facts: object) -> None:
    """Nobody's news."""
