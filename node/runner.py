"""Runs the stages of a pipeline side by side: a thread each, bounded queues between, one TaskGroup.

The stages stay synchronous and own their state; here are the clock, the threads and the back-pressure. A stage that
raises ends the run with its own error; nothing is swallowed. Knows nothing of what the items are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from ml.speech.stage import Stage

Observer = Callable[[str, Any, float], None]
"""Called with the stage's name, each item it gave and the seconds the stage worked for it."""

_END: Final = object()


async def run(
    source: Iterable[Any],
    stages: Sequence[Stage[Any, Any]],
    sink: Callable[[Any], None],
    observe: Observer,
    depth: int = 4,
) -> None:
    """Feed `source` through `stages` into `sink`; at most `depth` items wait between two of them.

    Items keep their order. The first error of the source, a stage or the sink is raised as it is and stops the others.
    """
    queues: list[asyncio.Queue[Any]] = [asyncio.Queue(depth) for _ in range(len(stages) + 1)]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_read(iter(source), queues[0]))
            for stage, inbox, outbox in zip(stages, queues, queues[1:], strict=False):
                group.create_task(_pump(stage, inbox, outbox, observe))
            group.create_task(_drain(queues[-1], sink))
    except BaseExceptionGroup as errors:
        raise _first(errors) from None


async def _read(source: Iterator[Any], outbox: asyncio.Queue[Any]) -> None:
    while (item := await asyncio.to_thread(next, source, _END)) is not _END:
        await outbox.put(item)
    await outbox.put(_END)


async def _pump(
    stage: Stage[Any, Any], inbox: asyncio.Queue[Any], outbox: asyncio.Queue[Any], observe: Observer
) -> None:
    def work(item: Any) -> tuple[list[Any], float]:  # noqa: ANN401
        began = time.perf_counter()
        given = list(stage.flush() if item is _END else stage.process(item))
        return given, time.perf_counter() - began

    while True:
        item = await inbox.get()
        given, seconds = await asyncio.to_thread(work, item)
        for out in given:
            observe(stage.name, out, seconds / len(given))
            await outbox.put(out)
        if item is _END:
            await outbox.put(_END)
            return


async def _drain(inbox: asyncio.Queue[Any], sink: Callable[[Any], None]) -> None:
    while (item := await inbox.get()) is not _END:
        await asyncio.to_thread(sink, item)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
