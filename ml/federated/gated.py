"""The product's own rule as a `Rule`: what `ml/federated/merge.py` does for one person, for a stack of people.

Every decision is that of `ml/federated/gate.py`. Knows nothing of networks or rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ml.federated.cohort import Stack
from ml.federated.gate import (
    LEAST_WEIGHT,
    Finding,
    Mask,
    MergeOptions,
    Numbers,
    add,
    distance,
    judge,
    merit,
    overtaken,
    reach_after,
    share,
    shorten,
    way,
    weigh,
)
from ml.federated.method import Ground, Inbox, Taken
from ml.voice.stacked import named
from ml.weights import Layout, digest


@dataclass(frozen=True)
class Gated:
    """Try each model on one's own held-out speech, refuse the bad, clip the others to `reach`, mean by frames and age.

    One liar's part in the step is never longer than `reach`, whatever it sends: one's own whole way from genesis, and
    no less than `ml.federated.gate.LEAST_REACH`.
    """

    options: MergeOptions = field(default_factory=MergeOptions)
    name: str = "gated"

    def take(self, ground: Ground, who: Sequence[int], own: Stack, inbox: Inbox, known: Numbers | None = None) -> Taken:
        """As `Rule.take`; who has no held-out speech accepts nothing. `known` `[P]` are the errors of `own` on
        held-out speech where somebody has computed them already; not a number or infinite for who has none."""
        weights = weigh(inbox.frames, inbox.age, 1.0 if inbox.trust is None else inbox.trust, self.options)
        tried = inbox.present & (weights > LEAST_WEIGHT)
        distances = np.full(tried.shape, np.inf)
        for person, at in np.argwhere(tried):
            distances[person, at] = distance(inbox.stack[person, at], own[person])
        tried &= np.isfinite(distances)
        _leave_the_newest(tried, inbox, ground.cohort.layout)
        here, losses = self._losses(ground, who, own, inbox, tried, known)
        accepted = tried & (judge(here, losses, tried, self.options) == Finding.GOOD)
        step = np.zeros_like(own)
        if accepted.any():
            order = np.argsort(inbox.sender, axis=1, kind="stable")
            reach = np.array([reach_after(way(one, ground.genesis)) for one in own])
            factors = share(weights, accepted, order) * shorten(distances, reach)
            for person, places in enumerate(order):
                for at in places[accepted[person, places]]:
                    add(step[person], inbox.stack[person, at], own[person], factors[person, at])
        return Taken(step, accepted, merit(here, losses, accepted, self.options))

    def _losses(
        self, ground: Ground, who: Sequence[int], own: Stack, inbox: Inbox, tried: Mask, known: Numbers | None
    ) -> tuple[Numbers, Numbers]:
        """Of one's own weights `[P]` and of the tried ones `[P, K]`."""
        here, losses = np.full(len(own), np.nan) if known is None else known, np.full(tried.shape, np.nan)
        judging = np.flatnonzero(tried.any(axis=1))
        if len(judging):
            people = np.asarray(who)
            if known is None:
                here[judging] = ground.cohort.errors(own[judging], people[judging].tolist())
            rows, _ = np.nonzero(tried)
            stack = inbox.stack.reshape(-1, own.shape[1])
            models = stack if tried.all() else stack[tried.ravel()]
            losses[tried] = ground.cohort.errors(models, people[rows].tolist())
        return here, losses


def _leave_the_newest(tried: Mask, inbox: Inbox, layout: Layout) -> None:
    """Of several models of one sender only the youngest stays in `tried`; among equals the first by its digest."""
    for person in range(len(tried)):
        places = np.flatnonzero(tried[person])
        senders = inbox.sender[person, places].tolist()
        if len(set(senders)) == len(senders):
            continue

        def order(at: int, person: int = person, places: np.ndarray = places) -> tuple[float, str, int]:
            place = person, places[at]
            return inbox.age[place], digest(named(inbox.stack[place], layout)), -inbox.frames[place]

        tried[person, places[sorted(overtaken(senders, order))]] = False
