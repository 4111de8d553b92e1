"""FedALA (Zhang et al. 2023): what is taken over from the shared model is learnt number by number on own speech.

`start = own + share * (shared - own)` with a share in [0, 1] for every number of the upper part (here the decoder); the
lower part is taken over whole. Knows no rule beyond that it gives a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.federated.cohort import Stack
from ml.federated.method import Ground, Inbox, Rule, State
from ml.federated.methods.lines import ACCEPTED, BEST, MEAN, averaged, begun, judged, kept, line
from ml.federated.methods.partial import decoder, places
from ml.weights import Tensor


@dataclass(frozen=True)
class Fedala:
    """`rate` is by how much a share moves for a unit of the derivative (of the standardised error), `rows` of the
    training speech, evenly spread, are what it is taken on; `first` steps at the first meeting, one in later rounds."""

    rate: float = 1e5
    rows: int = 1024
    first: int = 5
    rule: Rule = MEAN
    name: str = "FedALA"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        state = begun(ground, who, "working")
        return {**state, "share": np.ones_like(state["working"], np.float32)}

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        own, share = line(state, "working"), line(state, "share").copy()
        shared, accepted = averaged(ground, who, own, inbox, self.rule)
        upper = places(ground.cohort.layout, decoder)
        way = shared - own
        for at, person in enumerate(who):
            if accepted[at]:
                for _ in range(self.first if number <= 2 else 1):
                    slope = self._slope(ground, person, own[at] + share[at] * way[at])
                    share[at, upper] = np.clip(share[at] - np.float32(self.rate) * slope * way[at], 0, 1)[upper]
        start = own + share * way
        learnt = ground.cohort.train(start, who, ground.training)
        best = kept(state, (start, judged(ground, start, who)), (learnt.best, learnt.error))
        return {**state, "working": learnt.last, "share": share, ACCEPTED: accepted, **best}, learnt.last

    def personal(self, state: State) -> Stack:  # noqa: D102
        return line(state, BEST)

    def _slope(self, ground: Ground, person: int, weights: Tensor) -> Tensor:
        """The derivative of the error on a sample of the person's training speech, `[parameters]`."""
        import torch

        autoencoder = ground.cohort.autoencoder
        spoken = [one for one in ground.cohort.people[person].speech.train if len(one)]
        heard = np.concatenate([autoencoder.rows(one) for one in spoken])
        rows = torch.from_numpy(heard[:: max(1, len(heard) // self.rows)])
        with torch.enable_grad():
            flat = torch.from_numpy(weights.copy()).requires_grad_(True)
            tensors, first = {}, 0
            for name, shape in ground.cohort.layout.shapes.items():
                count = int(np.prod(shape))
                tensors[name] = flat[first : first + count].view(shape)
                first += count
            error = (autoencoder.predict(tensors, rows) - rows).square().mean()
            found: Tensor = torch.autograd.grad(error, flat)[0].numpy()
        return found
