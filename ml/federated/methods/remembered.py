"""A method whose rule remembers: reputation over rounds, kept beside whatever the method itself keeps.

Methods are stateless and ask their rule anew each round; so the memory of a `Remembering` rule goes into the state, in
arrays of its own that are saved and resumed like all others, and each round the method gets a rule that is good for
this round alone. Knows no single method and no single rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ml.federated.cohort import Stack
from ml.federated.method import Ground, Inbox, Method, State, Taken, judge_of
from ml.federated.rules.reputation import Remembering

MEMORY = "rule."
"""What the names of the memory's arrays begin with."""


def remembering(method: Method) -> Method:
    """The method, with a memory for its `rule` if that wants one and has none yet; else the method itself."""
    rule = getattr(method, "rule", None)
    kind: object = type(method)
    bare = dataclasses.is_dataclass(kind) and kind is not Remembered
    return Remembered(method, rule) if bare and isinstance(rule, Remembering) else method


@dataclasses.dataclass(frozen=True)
class Remembered:
    """`method`, a dataclass with a field `rule`, whose rule `rule` remembers from round to round."""

    method: Method
    rule: Remembering

    @property
    def name(self) -> str:
        """As the method's."""
        return self.method.name

    def begin(self, ground: Ground, who: Sequence[int]) -> State:
        """As the method, and nobody is known."""
        return {**self.method.begin(ground, who), **_marked(self.rule.begin(len(who)))}

    def round(self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int) -> tuple[State, Stack]:
        """As the method's, with a rule that remembers."""
        memory = {name.removeprefix(MEMORY): array for name, array in state.items() if name.startswith(MEMORY)}
        bound = _Bound(self.rule, memory)
        own = {name: array for name, array in state.items() if not name.startswith(MEMORY)}
        told: Method = dataclasses.replace(self.method, rule=bound)  # type: ignore[type-var]
        after, published = told.round(ground, who, own, inbox, number)
        return {**after, **_marked(bound.memory)}, published

    def personal(self, state: State) -> Stack:
        """As the method's."""
        return self.method.personal(state)

    def twin(self, state: State) -> Stack:
        """As the method's; what speaks where it has none."""
        return judge_of(self.method, state)


class _Bound:
    """A rule with its memory, for one round."""

    def __init__(self, rule: Remembering, memory: State) -> None:
        self.name, self.memory, self._rule = rule.name, memory, rule

    def take(self, ground: Ground, who: Sequence[int], own: Stack, inbox: Inbox) -> Taken:
        taken, self.memory = self._rule.remember(ground, who, own, inbox, self.memory)
        return taken


def _marked(memory: State) -> State:
    return {MEMORY + name: array for name, array in memory.items()}
