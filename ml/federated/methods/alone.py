"""Learning without peers: the controls. What peers add is what a method gains over the best of these.

None of them looks at its inbox. Knows nothing of merging.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.federated.cohort import Stack
from ml.federated.method import Ground, Inbox, State
from ml.federated.methods.lines import BEST, begun, genesis, judged, kept, line


@dataclass(frozen=True)
class Unchanged:
    """Genesis for everybody, for ever."""

    name: str = "genesis"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        return begun(ground, who)

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        return state, line(state, BEST)

    def personal(self, state: State) -> Stack:  # noqa: D102
        return line(state, BEST)


@dataclass(frozen=True)
class Alone:
    """Local training, stopped early: the best checkpoint on held-out speech speaks for the person.

    `back` is the share by which the weights return to genesis after every round. `anchored`: the training's pull goes
    to genesis for ever (the mode of a posterior around genesis: MAP adaptation, Gauvain and Lee 1994), otherwise to
    where the round began.
    """

    name: str = "local"
    back: float = 0.0
    anchored: bool = False

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        return begun(ground, who, "working")

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        start = genesis(ground, who)
        learnt = ground.cohort.train(line(state, "working"), who, ground.training, start if self.anchored else None)
        working, tried = learnt.last, [(learnt.best, learnt.error)]
        if self.back:
            working = working + np.float32(self.back) * (start - working)
            tried.append((working, judged(ground, working, who)))
        return {**state, "working": working, **kept(state, *tried)}, working

    def personal(self, state: State) -> Stack:  # noqa: D102
        return line(state, BEST)


@dataclass(frozen=True)
class Returned:
    """Another method's personal weights, returned once towards genesis by a share that was fixed beforehand.

    The return happens when the weights are asked for, so nothing promises that held-out speech likes it.
    """

    method: Alone
    share: float = 0.3
    name: str = "local, returned to genesis once"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        return {**self.method.begin(ground, who), "returned": genesis(ground, who)}

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        after, published = self.method.round(ground, who, state, inbox, number)
        best = self.method.personal(after)
        return {**after, "returned": best + np.float32(self.share) * (ground.genesis - best)}, published

    def personal(self, state: State) -> Stack:  # noqa: D102
        return line(state, "returned")


SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7)
"""Among which held-out speech chooses."""


@dataclass(frozen=True)
class Chosen:
    """Another method's personal weights, returned towards genesis by the share that own held-out speech likes best."""

    method: Alone
    name: str = "local, return to genesis chosen"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        return {**self.method.begin(ground, who), "chosen": genesis(ground, who)}

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        after, published = self.method.round(ground, who, state, inbox, number)
        best = self.method.personal(after)
        chosen, error = best.copy(), judged(ground, best, who)
        for share in SHARES[1:]:
            mixed = best + np.float32(share) * (ground.genesis - best)
            found = judged(ground, mixed, who)
            better = found < error
            chosen[better], error[better] = mixed[better], found[better]
        return {**after, "chosen": chosen}, published

    def personal(self, state: State) -> Stack:  # noqa: D102
        return line(state, "chosen")
