"""Reputation over rounds: who sent what did badly weighs less, and at last is not heard, until it is forgotten.

A rule has no memory, so the method's `State` keeps it (`ml/federated/methods/remembered.py`): `begin` gives the memory
of some people as arrays, `remember` takes and gives it. Per person the last `slots` senders are known. Trust is the
mean of a beta distribution over faded counts of good and bad (Josang and Ismail, "The beta reputation system", 2002). A
word about others is never believed: reputations are not exchanged. Knows no attack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from ml.federated.cohort import Stack
from ml.federated.method import Ground, Inbox, Rule, State, Taken


@runtime_checkable
class Remembering(Protocol):
    """A rule whose verdicts depend on earlier ones. A method that knows such rules keeps their memory in its state."""

    name: str

    def begin(self, people: int) -> State:
        """The memory of so many people before the first round: arrays with people as their first axis."""
        ...

    def remember(
        self, ground: Ground, who: Sequence[int], own: Stack, inbox: Inbox, memory: State
    ) -> tuple[Taken, State]:
        """As `Rule.take`, with the memory of `who`; and that memory afterwards."""
        ...


@dataclass(frozen=True)
class Reputation:
    """`rule`, told how far each sender is trusted, and not shown what senders with less than `least` trust sent.

    Trust moves by the merit that the rule saw in what was sent, or by whether it had a part where a rule sees no more.
    """

    rule: Rule
    name: str = "reputation"
    fade: float = 0.9
    """What is left of a verdict after another round."""
    least: float = 0.4
    """A first refusal gives 0.33, a first model of full merit 0.67, nothing known 0.5: one refusal is heard for a few
    rounds."""
    slots: int = 64

    def begin(self, people: int) -> State:
        """As `Remembering.begin`: nobody is known."""
        return {
            "known": np.full((people, self.slots), -2, np.int64),
            "good": np.zeros((people, self.slots), np.float32),
            "bad": np.zeros((people, self.slots), np.float32),
            "idle": np.full((people, self.slots), np.iinfo(np.int32).max, np.int32),
        }

    def take(self, ground: Ground, who: Sequence[int], own: Stack, inbox: Inbox) -> Taken:
        """As `Rule.take`, of people who remember nobody."""
        return self.remember(ground, who, own, inbox, self.begin(len(own)))[0]

    def remember(
        self, ground: Ground, who: Sequence[int], own: Stack, inbox: Inbox, memory: State
    ) -> tuple[Taken, State]:
        """As `Remembering.remember`."""
        known, idle = memory["known"].copy(), memory["idle"].astype(np.int64) + 1
        good, bad = (memory[one].astype(np.float32) * np.float32(self.fade) for one in ("good", "bad"))
        heard, trust = inbox.present.copy(), np.ones(inbox.present.shape)
        slots = np.zeros(inbox.present.shape, np.int64)
        for person, place in np.argwhere(inbox.present):
            slot = slots[person, place] = _slot(known[person], idle[person], int(inbox.sender[person, place]))
            if known[person, slot] != inbox.sender[person, place]:
                known[person, slot], good[person, slot], bad[person, slot] = inbox.sender[person, place], 0, 0
            idle[person, slot] = 0
            trust[person, place] = (good[person, slot] + 1) / (good[person, slot] + bad[person, slot] + 2)
            heard[person, place] = trust[person, place] >= self.least
        given = trust if inbox.trust is None else trust * inbox.trust
        taken = self.rule.take(ground, who, own, replace(inbox, present=heard, trust=given))
        merit = taken.accepted if taken.merit is None else taken.merit
        for person, place in np.argwhere(heard):
            good[person, slots[person, place]] += merit[person, place]
            bad[person, slots[person, place]] += 1 - merit[person, place]
        return taken, {
            "known": known,
            "good": good,
            "bad": bad,
            "idle": np.minimum(idle, np.iinfo(np.int32).max).astype(np.int32),
        }


def _slot(known: np.ndarray, idle: np.ndarray, sender: int) -> int:
    """Where a sender is remembered, or else the place that was not used for longest."""
    found = np.flatnonzero(known == sender)
    return int(found[0]) if len(found) else int(np.argmax(idle))
