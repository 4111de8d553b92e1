"""The owner's own held-out speech as the judge, and nothing else: no clipping, no weights, no majority.

One of the parts of the product's rule (`ml/federated/gated.py`), alone, to see what it does by itself. Related to
FedFomo (Zhang, Sapra, Fidler, Yeung and Alvarez 2021), which weighs models by such a trial. Knows no attack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.federated.cohort import Stack
from ml.federated.method import Ground, Inbox, Taken
from ml.federated.rules.apart import Mask, Numbers, differences_of, in_order


@dataclass(frozen=True)
class Trial:
    """The mean of the models whose error on one's own held-out speech is at most `near_own` times one's own and
    `near_best` times that of the best received. Without speech to judge by, nothing is taken."""

    name: str = "own trial"
    near_own: float = 2.0
    near_best: float = 2.0

    def take(self, ground: Ground, who: Sequence[int], own: Stack, inbox: Inbox) -> Taken:
        """As `Rule.take`."""
        found = tried(ground, who, own, inbox)
        with np.errstate(all="ignore"):
            best = np.min(np.where(np.isfinite(found), found, np.inf), axis=1, initial=np.inf)
            here = ground.cohort.errors(own, who)
            accepted: Mask = (found <= self.near_own * here[:, None]) & (found <= self.near_best * best[:, None])
        step = np.zeros_like(own)
        for person in np.flatnonzero(accepted.any(axis=1)):
            places = in_order(inbox, int(person))
            step[person] = (inbox.stack[person, places[accepted[person, places]]] - own[person]).mean(axis=0)
        return Taken(step, accepted)


def tried(ground: Ground, who: Sequence[int], own: Stack, inbox: Inbox) -> Numbers:
    """Errors of the received models on the receivers' held-out speech `[P, K]`; not a number where there is nothing
    sound to try, or no such speech."""
    found = np.full(inbox.present.shape, np.nan)
    everybody = np.asarray(who)
    sound = sound_in(own, inbox)
    for place in range(inbox.present.shape[1]):
        persons = np.flatnonzero(sound[:, place])
        if len(persons):
            found[persons, place] = ground.cohort.errors(inbox.stack[persons, place], everybody[persons].tolist())
    return found


def sound_in(own: Stack, inbox: Inbox) -> Mask:
    """Which models are there and finite, in a reasonable distance `[P, K]`."""
    sound = np.zeros_like(inbox.present)
    for person in range(len(own)):
        places = np.flatnonzero(inbox.present[person])
        sound[person, places] = differences_of(own[person], inbox, person, places)[1]
    return sound
