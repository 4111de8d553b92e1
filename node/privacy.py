"""The privacy ledger: how much all that was published may tell of the owner, written down before it is published.

A budget is (epsilon, delta) for the owner's whole speech, whoever looks and whatever they do with it (user-level,
local). A share is on the disk as spent before its noise is drawn, so a power cut can lose a part of the budget and
never overspend it. A budget can be tightened at any time and never widened: to publish more the owner declares a new
one by giving it a new name in the settings, and what was spent before stays spent. Knows nothing of models or peers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ml.federated.privacy.accountant import Share
from node.errors import BudgetSpent, BudgetWidened
from node.store.repair import FRESH
from node.store.rows import BudgetRow, BudgetState, ShareRow
from node.store.store import Store

ATTEMPTS = 10
"""Times to count again when somebody else has spent meanwhile."""


class Counter(Protocol):
    """What says how much a history has spent; `ml.federated.privacy.accountant.Accountant` is one."""

    def spent(self, history: Sequence[Share], delta: float) -> float:
        """The epsilon of these shares together."""
        ...


@dataclass(frozen=True)
class Budget:
    """What the owner allows, under a name. An infinite epsilon allows to publish without noise."""

    name: str
    epsilon: float
    delta: float


class Ledger:
    """One budget of one home."""

    def __init__(self, store: Store, budget: Budget, counter: Counter, clock: Callable[[], float]) -> None:
        """Declares the budget, or tightens it. `clock` gives seconds since the epoch, for the records only.

        Raises BudgetWidened when it was declared stricter before, or when the memory was rebuilt since.
        """
        declare(store, budget, clock())
        self._store, self._budget, self._counter, self._clock = store, budget, counter, clock

    def reserve(self, sigma: float, sampling: float = 1.0, number: int = 0) -> ShareRow:
        """Spend a share with noise of `sigma` sensitivities, for round `number`; when this returns it is on the disk.

        Raises BudgetSpent when there is not that much left: nothing is spent then. `sampling`, the chance that a share
        was made at all, is noted and never counted as a help: the bounds for it are about adding or removing somebody,
        this promise is about putting other speech in the place of the owner's, and what a node sends can be seen.
        """
        share = Share(Share(sigma, sampling).sigma)
        for _ in range(ATTEMPTS):
            history = self._store.shares(self._budget.name)
            spent = self._counter.spent([*map(_share, history), share], self._budget.delta)
            if not spent <= self._budget.epsilon:
                self._store.mark_spent(self._budget.name, True)
                raise BudgetSpent(
                    f"The privacy budget {self._budget.name!r} is spent: another share would make epsilon "
                    f"{spent:.3g} of {self._budget.epsilon:g}.",
                    "Nothing more is published; learning goes on. A new name in privacy.budget declares a new budget.",
                )
            row = ShareRow(
                budget=self._budget.name,
                at=self._clock(),
                round=number,
                sigma=sigma,
                sampling=sampling,
                epsilon=spent,
            )
            if self._store.add_share(row, len(history)):
                self._store.mark_spent(self._budget.name, False)
                return row
        raise BudgetSpent(
            f"The privacy budget {self._budget.name!r} gives nothing: something else writes to it all the time, or it "
            "is closed.",
            "See that only one node runs in this home.",
        )

    def spent(self) -> float:
        """The epsilon that is gone, at this budget's delta."""
        return self._counter.spent([*map(_share, self._store.shares(self._budget.name))], self._budget.delta)

    def left(self) -> float:
        """The epsilon that is left: 0 or more, never more than before."""
        return max(0.0, self._budget.epsilon - self.spent())


def declare(store: Store, budget: Budget, now: float) -> None:
    """Note the budget under its name, or tighten the one that has it. Raises BudgetWidened, and changes nothing then.

    An infinite budget (no noise) needs no declaration where no other was ever declared.
    """
    known = {row.name: row for row in store.budgets()}
    fresh = store.fact(FRESH)
    before = known.get(budget.name)
    if before is None:
        if math.isinf(budget.epsilon) and not known:
            return
        if fresh is not None and not budget.name.startswith(fresh):
            raise BudgetWidened(
                "This home's memory was damaged and rebuilt, so it is not known how much privacy was spent before.",
                f'Declare a new budget whose name begins like this, to say that you know: privacy.budget = "{fresh}"',
            )
    elif before.state is BudgetState.CLOSED:
        raise BudgetWidened(
            f"The privacy budget {budget.name!r} is closed: the memory was damaged and rebuilt, and what was spent may "
            "be lost.",
            f'Declare a new one whose name begins like this: privacy.budget = "{fresh or "after"}"',
        )
    elif budget.epsilon > before.epsilon or budget.delta > before.delta:
        allowed = "publishing without noise" if math.isinf(budget.epsilon) else f"epsilon {budget.epsilon:g}"
        raise BudgetWidened(
            f"The privacy budget {budget.name!r} was declared with epsilon {before.epsilon:g} and delta "
            f"{before.delta:g}, and the settings now ask for {allowed} with delta {budget.delta:g}.",
            "Put them back, or declare a new budget by giving privacy.budget a new name; what was spent stays spent.",
        )
    store.declare(BudgetRow(name=budget.name, epsilon=budget.epsilon, delta=budget.delta, declared_at=now))


def _share(row: ShareRow) -> Share:
    return Share(row.sigma)
