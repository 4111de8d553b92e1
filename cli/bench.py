"""`node bench`: how fast the engines are on this machine, and how much memory they take.

Parses, asks the household, prints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import Parameter

from cli.common import Common, household
from cli.errors import BadUsage
from cli.render import console, show_line, write_json
from cli.wording import instead

if TYPE_CHECKING:
    from node.app import Node
    from node.measuring import Measured, Question

RANDOM = "Random weights of the published architecture: such a network's time does not depend on what its weights are."

MEANS = (
    "Each in a process of its own: `first` is cold, `later` warm (median), `CPU` the processor's time of that, and "
    "`speed` how often faster than its sound it is."
)


@Parameter(name="*")
@dataclass(frozen=True)
class Wishes:
    """What can be asked of a measurement."""

    dtype: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    "Numbers to compute in (repeatable): float32, bfloat16, float16, int8 [default: as the engine would be run]."

    device: str = "cpu"
    "Where, for engines and shapes that are told a dtype."

    shapes: Literal["published"] | None = None
    "Measure networks of published sizes with random weights; needs no download."

    compile: Annotated[bool, Parameter(negative="")] = False
    "Compile the steps of decoders that can be, as part of loading; see [engines] compile."

    threads: int = 1
    "Of the CPU."

    jobs: int = 5
    "Jobs after the first; their median is shown."


def engines(*names: str, wishes: Wishes | None = None, common: Common | None = None) -> int:
    """Measure the engines of these names, or all that are here: time cold and warm, speed, memory.

    Parameters
    ----------
    names
        Engines (see: node doctor), or with --shapes published those networks.
    """
    wishes, common = wishes or Wishes(), common or Common()
    if wishes.threads < 1 or wishes.jobs < 1:
        raise BadUsage("--threads and --jobs count from 1.", "node bench engines --threads 2 --jobs 5")
    with household(common) as node:
        _check_device(wishes.device)
        from node.measuring import measure_all

        wanted = _shapes(node, names, wishes) if wishes.shapes else _engines(node, names, wishes)
        lines = measure_all(
            wanted, lambda line: show_line(f"{_titled(line)}: {'failed' if line.trouble else 'measured'}", error=True)
        )
        machine = _machine(wishes.threads)
    if common.json:
        write_json({"machine": machine, "engines": [msgspec.to_builtins(line) for line in lines]})
    else:
        _show(machine, lines)
        for what in dict.fromkeys(f"{line.name}: {line.trouble or line.what}" for line in lines):
            show_line(what)
        show_line(MEANS)
        if wishes.shapes:
            show_line(RANDOM)
    return 2 if any(line.trouble for line in lines) else 0


COLUMNS = ("load", "first", "later", "CPU", "speed", "memory", "at most")


def _check_device(device: str) -> None:
    """Raise BadUsage for what is no device, or one that is not here."""
    from ml.device import DEVICES, best_device

    if device not in DEVICES:
        raise BadUsage(f"--device {device}: there is no such device.", instead(device, DEVICES))
    if device != "cpu" and device != best_device():
        raise BadUsage(f"--device {device}: torch sees no such device here.", "Leave --device out: node doctor")


def _engines(node: Node, names: tuple[str, ...], wishes: Wishes) -> list[Question]:
    here = [spec for spec in node.registry.specs() if not spec.missing(node.registry.home)]
    known = {spec.name for spec in here}
    for name in names:
        if name not in known:
            raise BadUsage(f"{name} is no engine that can run here.", instead(name, sorted(known)))
    return [
        question
        for spec in here
        if not names or spec.name in names
        for question in _in_each(node, spec.name, wishes, shape=False)
    ]


def _shapes(node: Node, names: tuple[str, ...], wishes: Wishes) -> list[Question]:
    from ml.engines.shapes import SHAPES

    for name in names:
        if name not in SHAPES:
            raise BadUsage(f"{name} is none of the published shapes.", instead(name, list(SHAPES)))
    return [question for name in names or SHAPES for question in _in_each(node, name, wishes, shape=True)]


def _in_each(node: Node, name: str, wishes: Wishes, *, shape: bool) -> list[Question]:
    from ml.device import Placement
    from node.measuring import Question

    for dtype in wishes.dtype:
        if dtype not in ("float32", "bfloat16", "float16", "int8"):
            raise BadUsage(f"{dtype} is none of the dtypes.", "Those are: float32, bfloat16, float16, int8.")
    return [
        Question(
            str(node.config.home),
            name,
            shape,
            Placement(wishes.device, dtype, compiled=wishes.compile),
            wishes.threads,
            wishes.jobs,
        )
        for dtype in wishes.dtype or (("float32",) if shape else ("",))
    ]


def _machine(threads: int) -> str:
    from ml.device import describe

    return f"{describe()}, {threads} thread{'s' if threads > 1 else ''}"


def _show(title: str, lines: list[Measured]) -> None:
    """A table of 80 letters in which no figure is cut: under the engine's name the place and the numbers it is in."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 0, 0, 0),
    )
    table.add_column("engine", overflow="fold")
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for line in lines:
        where = " ".join(part for part in (line.device, line.dtype, "compiled" * line.compiled) if part)
        named = Text(line.name).append(f"\n  {where}" if where else "", "dim")
        table.add_row(named, *(Text(cell) for cell in _row(line)))
    console().print(table)


def _titled(line: Measured) -> str:
    return f"{line.name} {line.dtype}".rstrip()


def _row(line: Measured) -> tuple[str, ...]:
    if line.trouble:
        return tuple("-" for _ in COLUMNS)
    memory = line.accelerator if line.accelerator is not None else line.most
    return (
        f"{line.load:.2f} s",
        f"{1000 * line.first:.0f} ms",
        f"{1000 * line.later:.0f} ms",
        f"{1000 * line.later_cpu:.0f} ms",
        f"x{line.real_time:.1f}" if line.real_time else "-",
        f"{line.memory / 1e6:.0f} MB",
        f"{memory / 1e6:.0f} MB",
    )
