"""What a stage is: an object with its own state that turns one item into any number of others.

A stage is synchronous and single-threaded; whoever runs it adds threads and queues. `process` may hold items back
until it knows more; `flush` gives what is left at the end of the input. A test is `list(stage.process(item))`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from ml.speech.items import Utterance

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class Stage(Protocol[In, Out]):
    """One step of the pipeline."""

    name: str

    def process(self, item: In) -> Iterable[Out]:
        """Take one item, give those that are ready."""
        ...

    def flush(self) -> Iterable[Out]:
        """The input is over: give what was held back. The stage may then be used for a new input."""
        ...


class UtteranceStage(Protocol):
    """A step that adds its part to one utterance, depending on nothing but it: its result can be remembered."""

    name: str

    def fingerprint(self, utterance: Utterance) -> str:
        """All that decides the result besides the utterance's key: engine, version, options, room in time."""
        ...

    def fill(self, utterance: Utterance) -> Utterance:
        """The utterance with this stage's part added. The key is the caller's business."""
        ...


class Filling:
    """Makes an `UtteranceStage` a `Stage`: one utterance in, one out, key extended."""

    def __init__(self, stage: UtteranceStage) -> None:
        """`stage` does the work."""
        self.name = stage.name
        self._stage = stage

    def process(self, item: Utterance) -> Iterable[Utterance]:
        """One utterance in, one out."""
        key = item.extended_key(self._stage.fingerprint(item))
        yield self._stage.fill(item).with_key(key)

    def flush(self) -> Iterable[Utterance]:
        """Nothing is held back."""
        return ()


def chain(stages: Sequence[Stage[Any, Any]], items: Iterable[Any]) -> Iterator[Any]:
    """Run stages one behind the other in this thread: what the threaded runner must give too."""
    if not stages:
        yield from items
        return
    first, rest = stages[0], stages[1:]

    def through() -> Iterator[Any]:
        for item in items:
            yield from first.process(item)
        yield from first.flush()

    yield from chain(rest, through())
