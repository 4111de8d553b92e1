"""Mixing: learn, mix one's own weights with peers' (70/30, or as was learnt), go on from the mixture, and publish it.

The control is trained alike and never mixed. All candidates are judged as they are: no line has learnt from the
held-out speech. docs/decisions/0005 has the measurements; `ml/federated/methods/node_mix.py` is the same for many
people. Knows nothing of links, the store or when a round begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ml.federated.alpha import AlphaOptions, after_round, beyond, within
from ml.federated.merge import Received
from node.learner import Learner, Plan, Progress
from node.methods.way import Made, Merging, Models, Outcome, Taken, judged_itself
from node.store.rows import Origin, Role

if TYPE_CHECKING:
    from ml.voice.measures import Score
    from ml.voice.training import Trained
    from ml.weights import Weights


@dataclass(frozen=True)
class Mix:
    """`merging.options.alpha` is the weight of one's own model; with `learning` each round has its own, and that of the
    options means nothing. `control` keeps the line that is never mixed."""

    merging: Merging = field(default_factory=Merging)
    control: bool = True
    learning: AlphaOptions | None = None
    name: str = "mix"
    merge_first: bool = False
    published: Role = Role.WORKING

    def begin(self, learner: Learner, models: Models, alpha: float | None = None) -> _Course:
        """A round that goes on from WORKING, and the control's from CONTROL."""
        if self.learning is not None:
            begins = self.learning.begins if alpha is None else alpha
            options = replace(self.merging.options, alpha=float(within(begins, self.learning)))
            return _Course(replace(self, merging=Merging(options)), learner, models)
        return _Course(self, learner, models)


class _Course:
    """Train, then merge."""

    def __init__(self, way: Mix, learner: Learner, models: Models) -> None:
        self._merging, self._learner, self._learning = way.merging, learner, way.learning
        self._alpha = self._next = way.merging.options.alpha
        self._start = models(Role.WORKING)
        self._control = models(Role.CONTROL) if way.control else None
        self._before: Score | None = None
        self._trained: Trained | None = None
        self._alone: Trained | None = None
        self._taken: Taken | None = None

    async def train(self, plan: Plan, progress: Progress) -> None:
        self._before = await self._learner.score(self._start)
        self._trained = await self._learner.train(self._start, plan, progress)
        if self._control is not None:
            self._alone = await self._learner.train(self._control, plan, lambda facts: None)

    async def merge(self, received: Sequence[Received]) -> Taken:
        if self._trained is None:
            raise RuntimeError("this way trains before it merges")
        own = self._trained
        self._taken = await self._merging.merge(self._learner, own.weights, own.after, received)
        if self._learning is not None and self._taken.mixture is not None:
            await self._learn_alpha(self._learning, own, *self._taken.mixture)
        return self._taken

    async def _learn_alpha(self, options: AlphaOptions, own: Trained, mixed: Weights, reached: Score) -> None:
        """Also from a mixture that was refused: it says that less of it would have been better."""
        further = await self._learner.score(beyond(own.weights, mixed, self._alpha, options))
        here, mixture, probed = (np.asarray(score.mse) for score in (own.after, reached, further))
        self._next = float(after_round(self._alpha, here, mixture, probed, options))

    async def outcome(self) -> Outcome:
        if self._trained is None or self._taken is None or self._before is None:
            raise RuntimeError("this round is not over")
        own, taken = self._trained, self._taken
        trained = Made(own.weights, self._start, score=own.after)
        made = [trained]
        adopted = trained
        if taken.taken:
            adopted = Made(taken.weights, own.weights, Origin.MERGED, taken.score)
            made.append(adopted)
        # The lines that also learn from held-out speech are another way's: begun anew from here, if it comes back.
        roles = {Role.WORKING: adopted.weights, Role.WHOLE: adopted.weights}
        alone = []
        if self._alone is not None and self._control is not None:
            line = Made(self._alone.weights, self._control, score=self._alone.after)
            made.append(line)
            alone.append(judged_itself(line, self._alone.after))
            roles |= {Role.CONTROL: line.weights, Role.CONTROL_WHOLE: line.weights}
        return Outcome(
            start=self._start,
            trained=own.weights,
            adopted=adopted.weights,
            scores=(self._before, own.after, taken.score),
            frames=own.frames,
            history=own.history,
            made=made,
            roles=roles,
            candidates=[judged_itself(adopted, taken.score), judged_itself(trained, own.after)],
            alone=alone,
            alpha=(self._alpha, self._next if self._learning is not None else None),
        )
