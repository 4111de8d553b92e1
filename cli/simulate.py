"""`node simulate`: thousands of nodes on this machine, to see what learning together brings and what it costs.

Parses, asks, shows progress and what came out. Knows nothing of how a simulation is done.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cli.common import Common
from cli.render import console, show_error, show_line, show_table, write_json
from node.simulation.stop import Stop
from node.simulation.wish import Cut, Wish

if TYPE_CHECKING:
    from rich.console import RenderableType

    from node.simulation.outcome import Outcome, RoundRow

Tell = Callable[["RoundRow"], None]
INTERRUPTED = 130
"""Exit code: stopped by the user."""
WAITING = "stopping after this round, to keep it; once more stops at once"
ROWS = 12
"""Rounds that the live table shows."""
HEAD = ("round", "gain %", "worst 10 %", "alone %", "online", "taken %", "KB sent", "s")


def simulate(
    *,
    wish: Annotated[Wish | None, Parameter(name="*")] = None,
    cut: Annotated[Cut | None, Parameter(name="*")] = None,
    out: Path | None = None,
    common: Common | None = None,
) -> int:
    """Run many nodes on this machine, with the merge, gate and encodings of real ones, on a virtual clock.

    Parameters
    ----------
    out
        Folder for result.json, report.html, plots.png, and the state that the same command goes on from after a stop.
    """
    common, wish, cut = common or Common(), wish or Wish(), cut or Cut()
    if cut.engine == "flower" and out is not None:
        return _export(wish, out, common)
    try:
        with _live(wish.rounds) as (tell, waiting):
            stop = Stop(waiting)
            with stop.listening():
                outcome = _run(wish, cut, out, tell, stop)
    except KeyboardInterrupt as stopped:
        sentence = getattr(stopped, "sentence", "Stopped before anything was simulated: nothing has changed.")
        remedy = getattr(stopped, "remedy", "The same command does what this one would have done.")
        show_error(sentence, remedy, as_json=common.json)
        return INTERRUPTED
    if common.json:
        import msgspec

        write_json(msgspec.to_builtins(outcome))
        return 0
    _show(outcome, out)
    return 0


def _run(wish: Wish, cut: Cut, out: Path | None, tell: Tell, stop: Stop) -> Outcome:
    from ml.threads import limit_threads

    limit_threads()
    from node.simulation.run import simulate as run

    return run(wish, cut, out, tell, stop)


def _export(wish: Wish, out: Path, common: Common) -> int:
    from node.simulation.flower.export import export

    written = export(wish, out)
    if common.json:
        write_json({"written": [str(path) for path in written]})
        return 0
    for path in written:
        show_line(str(path))
    show_line(f"How to run it: {out / 'README.md'}")
    return 0


def _show(outcome: Outcome, out: Path | None) -> None:
    from node.simulation.page import told

    title = f"{outcome.people} nodes: gain in % of the squared error, on held-out speech"
    show_table(title, HEAD, [_cells(row) for row in outcome.rounds[-ROWS:]])
    for line in (outcome.speech, *told(outcome)):
        show_line(line)
    if out is not None:
        show_line(f"Report, plots and figures: {out / 'report.html'}")


def _cells(row: RoundRow) -> tuple[str, ...]:
    return (
        str(row.number),
        f"{row.gain.mean:z.2f}",
        f"{row.gain.worst_decile:z.2f}",
        f"{row.alone.mean:z.2f}" if row.alone is not None else "-",
        str(row.online),
        "-" if row.accepted is None else f"{100 * row.accepted:.0f}",
        f"{row.sent / 1e3:.0f}",
        f"{row.seconds:.2f}",
    )


@contextmanager
def _live(rounds: int) -> Iterator[tuple[Tell, Callable[[], None]]]:
    """What is told after a round, and when a stop waits for one: a bar and the last rounds on standard error while it
    goes on; only a stop that waits is told when that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda row: None, lambda: _note(WAITING)
        return
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    task = bar.add_task("rounds", total=rounds)
    rows: list[RoundRow] = []
    with Live(bar, console=console(error=True), transient=True, refresh_per_second=4) as live:

        def tell(row: RoundRow) -> None:
            rows.append(row)
            bar.update(task, completed=row.number)
            live.update(_table(rows, bar))

        yield tell, lambda: bar.update(task, description=WAITING)


def _note(text: str) -> None:
    """A line past Python's buffers, which a signal's handler may find in the middle of a write."""
    with suppress(OSError):
        os.write(2, f"{text[:1].upper()}{text[1:]}.\n".encode())


def _table(rows: list[RoundRow], bar: RenderableType) -> RenderableType:
    from rich.console import Group
    from rich.table import Table

    table = Table(*HEAD, pad_edge=False, header_style="bold")
    for row in rows[-ROWS:]:
        table.add_row(*_cells(row))
    return Group(table, bar)
