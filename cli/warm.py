"""`node warm`: loads the engines that a translation would use, and says what each took.

Parses, asks the household, prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import Parameter

from cli.common import Common, household
from cli.render import show_line, show_table, write_json

if TYPE_CHECKING:
    from node.warming import Warmed

TaskName = Literal["asr", "mt", "tts", "speaker", "ast", "align", "features", "vocoder", "conversion"]


def warm(
    *,
    task: Annotated[tuple[TaskName, ...], Parameter(negative="", show_default=False)] = (),
    common: Common | None = None,
) -> int:
    """Load the engines that `node translate` would use and give each a short job: what it takes, cold and warm.

    The system keeps what was read in its memory, so the next start is quicker.

    Parameters
    ----------
    task
        Only the engines of this task (repeatable).
    """
    common = common or Common()
    with household(common) as node:
        from ml.engines.protocols import TASKS
        from node.warming import warm_up

        lines: list[Warmed] = []
        for line in warm_up(node.registry, node.config, task or TASKS):
            lines.append(line)
            if not common.json:
                show_line(f"{line.task}: {line.engine or line.trouble}", error=True)
    if common.json:
        write_json({"engines": [msgspec.to_builtins(line) for line in lines]})
    else:
        columns = ("task", "engine", "load", "first job", "second job", "version")
        show_table("Warmed up", columns, [_row(line) for line in lines])
        for line in lines:
            if line.trouble:
                show_line(f"Note: {line.task}: {line.trouble}")
    return 2 if any(not line.engine for line in lines) else 0


def _row(line: Warmed) -> tuple[str, ...]:
    if not line.engine:
        return (line.task, "none", "-", "-", "-", "-")
    times = (f"{line.load:.2f} s", f"{1000 * line.cold:.0f} ms", f"{1000 * line.warm:.0f} ms")
    return (line.task, line.engine, *times, line.version)
