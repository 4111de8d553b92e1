"""The picture of `benchmarks/hostile.py`: docs/pictures/robustness.svg. Knows how no row is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hostile_rows import ALLOWED, Row

ALONE, CONTROL, SHARED, AIM = "#2c6fbb", "#d9822b", "#8a8a8a", "#b03030"


def plot(rows: Sequence[Row], path: Path) -> None:
    """Four panels: every attack, shares of hostile people, other rules, the shared line over many rounds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ((first, second), (third, fourth)) = plt.subplots(2, 2, figsize=(12, 10), layout="constrained")
    _attacks(first, [row for row in rows if row.case.part == "attacks"])
    _shares(second, [row for row in rows if row.case.part in ("attacks", "shares") and row.case.seed == 0])
    _rules(third, [row for row in rows if row.case.part == "rules"])
    _long(fourth, [row for row in rows if row.case.part == "long"])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


def _aim(axes: Any, upright: bool = True) -> None:
    (axes.axvline if upright else axes.axhline)(ALLOWED, color=AIM, ls="--", lw=1.2)
    (axes.axvline if upright else axes.axhline)(0, color="black", lw=0.6)


def _dots(axes: Any, names: Sequence[str], kinds: dict[str, list[Row]], label: bool) -> None:
    for kind, colour, end, shape in (
        ("than learning alone", ALONE, "worst", "o"),
        ("than the same method without peers", CONTROL, "worst_control", "D"),
    ):
        found = [max(getattr(row.lines["speaks"], end) for row in kinds[name]) for name in names]
        axes.scatter(
            found, range(len(names)), s=34, color=colour, marker=shape, label=kind if label else None, zorder=3
        )


def _attacks(axes: Any, rows: Sequence[Row]) -> None:
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(row.case.attack if row.case.share else "nobody hostile", []).append(row)
    names = sorted(kinds, key=lambda name: max(row.lines["speaks"].worst for row in kinds[name]))
    if "nobody hostile" in names:
        names.remove("nobody hostile")
        names.insert(0, "nobody hostile")
    _dots(axes, names, kinds, label=True)
    _aim(axes)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.grid(axis="y", lw=0.3)
    axes.set(xlabel="how much worse the worst honest person is, % of the error (left of 0: better)")
    axes.set_title("30 % hostile: nobody may be 1 % worse (red line)", fontsize=11)
    axes.set_ylim(-1 - len(names) / 7, len(names))
    axes.legend(fontsize=8, title="the worst honest person is worse ...", title_fontsize=8, loc="lower left", ncols=2)


def _shares(axes: Any, rows: Sequence[Row]) -> None:
    calm = [row for row in rows if not row.case.share]
    names = dict.fromkeys(row.case.attack for row in rows if row.case.part == "shares")
    for name in names:
        some = sorted((row for row in rows if row.case.attack == name), key=lambda row: row.case.share)
        line = [(0.0, row) for row in calm] + [(100 * row.case.share, row) for row in some]
        add = [row.lines["speaks"].gain - row.lines["control"].gain for _, row in line]
        axes.plot([at for at, _ in line], add, marker="o", ms=4, label=name)
    axes.axhline(0, color="black", lw=0.8)
    axes.annotate("below: peers do more harm than good", (0.98, 0.02), xycoords="axes fraction", ha="right", fontsize=8)
    axes.set(xlabel="hostile people, %", ylabel="what peers add, points of gain")
    axes.set_title("What peers still add, against the same people without peers", fontsize=11)
    if names:
        axes.legend(fontsize=8)


def _rules(axes: Any, rows: Sequence[Row]) -> None:
    names = list(dict.fromkeys(row.case.rule or "" for row in rows))[::-1]
    attacks = list(dict.fromkeys(row.case.attack for row in rows))
    for at, (attack, colour) in enumerate(zip(attacks, (SHARED, CONTROL, AIM), strict=False)):
        some = {row.case.rule or "": row for row in rows if row.case.attack == attack}
        height = np.array([names.index(name) for name in some]) + 0.27 * (1 - at)
        gain = [row.lines["speaks"].gain - row.lines["control"].gain for row in some.values()]
        label = "nobody hostile" if attack == "none" else f"30 % {attack}"
        axes.barh(height, gain, height=0.25, color=colour, label=label)
    axes.axvline(0, color="black", lw=0.8)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set(xlabel="what peers add, points of gain (right is better)")
    axes.set_title("Other rules in the gate's place", fontsize=11)
    if names:
        axes.legend(fontsize=8, loc="lower left")


def _long(axes: Any, rows: Sequence[Row]) -> None:
    for row, colour in zip(rows, (SHARED, CONTROL, AIM), strict=False):
        label = "nobody hostile" if not row.case.share else f"30 % {row.case.attack}"
        rounds = range(1, len(row.published) + 1)
        axes.plot(rounds, row.published, color=colour, label=f"{label}: published")
        axes.scatter([len(row.published)], [row.lines["speaks"].gain], color=colour, marker="*", s=90, zorder=3)
    if rows:
        axes.axhline(rows[0].lines["control"].gain, color="black", lw=0.8, ls=":", label="control, at the end")
        axes.legend(fontsize=8)
    axes.set(xlabel="round", ylabel="gain over genesis, %, mean of honest people")
    axes.set_title("Many rounds: the shared line; stars: what speaks at the end", fontsize=11)
