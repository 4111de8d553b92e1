"""Four pictures of a simulation in one figure: how people fare, what peers add, what it costs, who took part.

Knows nothing of how the numbers came about.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from node.simulation.outcome import Outcome, RoundRow, Spread

OURS, ALONE, LIGHT = "#1b6ca8", "#c1662b", "#a9c7dd"


def png(outcome: Outcome) -> bytes:
    """The figure as PNG."""
    return _saved(outcome, "png")


def svg(outcome: Outcome) -> str:
    """The figure as SVG, with text as shapes: it looks the same everywhere and refers to nothing outside."""
    text = _saved(outcome, "svg").decode()
    return text[text.index("<svg") :]


def _saved(outcome: Outcome, kind: str) -> bytes:
    import matplotlib as mpl

    figure = draw(outcome)
    out = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "babelmesh"}):
        figure.savefig(out, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None)
    return out.getvalue()


def draw(outcome: Outcome) -> Figure:
    """The figure: gain by round, gain of every person, bytes, who took part."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 7), layout="constrained")
    (by_round, by_person), (bytes_, part) = figure.subplots(2, 2)
    rows = outcome.rounds
    _gain_by_round(by_round, rows)
    _gain_by_person(by_person, outcome)
    numbers = [row.number for row in rows]
    people = max(outcome.people, 1)
    bytes_.plot(numbers, np.cumsum([row.sent for row in rows]) / people / 1e3, color=OURS)
    _label(bytes_, "Sent so far", "round", "KB per person, away or not")
    part.plot(numbers, [100 * row.online / people for row in rows], color=LIGHT, label="online")
    known = [row for row in rows if row.accepted is not None]
    share = [100 * row.accepted for row in known if row.accepted is not None]
    part.plot([row.number for row in known], share, color=OURS, label="of received models accepted")
    part.set_ylim(0, 105)
    part.legend(loc="lower right", frameon=False)
    _label(part, "Who and what took part", "round", "%")
    return figure


def _gain_by_round(axes: Axes, rows: Sequence[RoundRow]) -> None:
    numbers = [row.number for row in rows]
    _band(axes, numbers, [row.gain for row in rows], OURS, "with peers")
    alone = [row.alone for row in rows if row.alone is not None]
    if len(alone) == len(rows):
        _band(axes, numbers, alone, ALONE, "alone")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.legend(loc="best", frameon=False)
    _label(
        axes, "Gain over the shared start, held-out speech", "round", "% of squared error (mean; worst decile dashed)"
    )


def _band(axes: Axes, numbers: Sequence[int], spreads: Sequence[Spread], colour: str, name: str) -> None:
    axes.plot(numbers, [one.mean for one in spreads], color=colour, label=name)
    axes.plot(numbers, [one.worst_decile for one in spreads], color=colour, linestyle="--", linewidth=1)


def _gain_by_person(axes: Axes, outcome: Outcome) -> None:
    final = outcome.final
    title = "Every person at the end, test speech"
    if final is None:
        axes.text(0.5, 0.5, "not at its end yet", ha="center", transform=axes.transAxes)
        _label(axes, title, "", "")
        return
    share = np.linspace(0, 100, len(final.gains))
    axes.plot(share, np.sort(final.gains), color=OURS, label="with peers")
    if final.gains_alone:
        axes.plot(share, np.sort(final.gains_alone), color=ALONE, label="alone")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.legend(loc="best", frameon=False)
    _label(axes, title, "% of people, each line sorted", "gain, % of squared error")


def _label(axes: Axes, title: str, across: str, up: str) -> None:
    if across == "round":
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel(up, fontsize=9)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
