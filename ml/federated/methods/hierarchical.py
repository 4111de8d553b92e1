"""The default: a prior that peers learn together, and a personal model that stays as near to it as its speech is short.

Two levels (hierarchical MAP estimation; the lines are Ditto's, Li et al. 2021, the prior is Gauvain and Lee's of 1994).
The shared line is FedAvg among whoever is met: where it stands is what peers know. The personal line is trained on own
speech under a pull to the shared line, which weighs the less the more speech there is. A third line, if wanted, does
the same with nothing held out: its twin, which has not seen the held-out speech, says when it may speak.
Knows no rule beyond that it gives a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.federated.cohort import Cohort, Stack
from ml.federated.method import Ground, Inbox, Rule, State
from ml.federated.methods.lines import ACCEPTED, BEST, MEAN, averaged, begun, genesis, judged, kept, line
from ml.federated.prior import FRAMES, LEAST, drawn_back, prior_share


@dataclass(frozen=True)
class Hierarchical:
    """Both lines are trained alike; without `shared` the prior stays at genesis (the control without peers).

    What speaks is the personal line, drawn back to the prior by the share m / (n + m), for n frames of speech and
    `frames` m, and by `least` at least: a loose pull and a step back at the end do better than a tight pull. `whole`:
    the same people with nothing held out. What speaks for a person then has learnt from all of their speech, for as
    many rounds as were best for the twin that has not seen what is held out.
    """

    shared: bool = True
    whole: Cohort | None = None
    frames: float = FRAMES
    least: float = LEAST
    rule: Rule = MEAN
    weight: float | None = None
    """Of what was received, in the prior. None: everybody in it weighs alike, oneself included. Three peers a round
    with half or a third of the weight were worse."""
    slack: float | None = None
    """A prior that is more than this share worse on held-out speech than one's own shared model is not taken. None
    takes every one that the rule gives, which is much better: one's own model has just been fitted to the same
    voice, and 0.02 refused every second prior."""
    name: str = "shared prior, personal MAP"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        return begun(ground, who, "shared", "working", *(["whole"] if self.whole is not None else []))

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        prior, published = genesis(ground, who), line(state, "shared")
        accepted, tried = np.zeros(len(who), np.int64), []
        if self.shared:
            prior, accepted = averaged(ground, who, published, inbox, self.rule, self.weight)
            error = judged(ground, prior, who)
            if self.slack is not None:
                own = judged(ground, published, who)
                refused = ~(error <= (1 + self.slack) * own)
                prior[refused], error[refused], accepted[refused] = published[refused], own[refused], 0
            published = ground.cohort.train(prior, who, ground.training).last
            if number > 1:
                tried.append((prior, error))
        working = ground.cohort.train(line(state, "working"), who, ground.training, prior).last
        spoken = self._drawn_back(ground.cohort, who, working, prior)
        error = judged(ground, spoken, who)
        after = {**state, "shared": published, "working": working, ACCEPTED: accepted}
        if self.whole is not None:
            entire = self.whole.train(line(state, "whole"), who, ground.training, prior).last
            after["whole"] = entire
            spoken = self._drawn_back(self.whole, who, entire, prior)
        return {**after, **kept(state, *tried, (spoken, error))}, published

    def personal(self, state: State) -> Stack:  # noqa: D102
        return line(state, BEST)

    def _drawn_back(self, cohort: Cohort, who: Sequence[int], own: Stack, prior: Stack) -> Stack:
        return drawn_back(own, prior, prior_share(cohort.frames()[list(who)], self.frames, self.least))


def whole(cohort: Cohort) -> Cohort:
    """The same people with nothing held out."""
    return cohort.whole
