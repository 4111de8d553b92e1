"""What hostile peers can do to a node's default: every attack, several shares of hostile people, other merge rules.

`python benchmarks/hostile.py [--json FILE] [--plot FILE] [--quick] [--part NAME...]`. Honest people do what a node does
by default (`ml/federated/methods/node_default.py`): average the shared models of three random peers that pass the gate,
learn from there, and let speak half way to the control without peers, as held-out speech likes it. They are judged on
test speech that neither training nor any choice has seen, beside themselves learning alone (`local` of
benchmarks/personalisation.py) and beside the control, with the same seed, batches and rounds. Without
../shared/data/speakers made voices stand in, and the table says so; with them, or with --quick, there is no verdict.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from hostile_picture import plot
from hostile_rows import ALLOWED, SPEAKERS, Arena, Case, Line, Row, made
from strict_json import strict

from ml.federated.attacks.table import ATTACKS
from ml.federated.people import recorded
from ml.federated.rules.table import RULES

SHARES = (0.1, 0.2, 0.5)
"""Beside 0.3, at which everything is measured."""
HARMFUL = ("adaptive-flip", "sybil", "prior-overfit")
"""The most harmful of their kinds at 30 %, found by measuring all; they meet all shares."""
AGAIN = (*HARMFUL, "flip10", "alie", "prior-backdoor")
"""At 30 % with a second seed."""
MEET_RULES = ("none", "flip10", "prior-overfit")
PATIENT = ("none", "drift", "prior-overfit")
"""Over `LONG` rounds."""
MEET_MIX = ("none", "flip10", "alie", "backdoor", "adaptive-flip", "adaptive-steepest")
ROUNDS, LONG, FEW, OLD = 12, 30, 4, 6
"""Rounds of the main table, of the long runs, of the table of rules, of 70/30."""
RIVALS = tuple(name for name in RULES if name != "reputation")
"""`reputation` has a section of its own in docs/robustness.md."""


def plan(quick: bool) -> list[Case]:
    """Every simulation, in the order of the page."""
    if quick:
        few = [Case("attacks", attack, 0.3, rounds=3) for attack in ("adaptive-flip", "prior-overfit", "nan")]
        rules = [Case("rules", "flip10", 0.3, rounds=3, rule=rule) for rule in ("mean", "gated")]
        return [
            Case("attacks", "none", rounds=3),
            *few,
            Case("shares", "adaptive-flip", 0.5, rounds=3),
            *rules,
            Case("long", "none", rounds=6),
            Case("mix", "flip10", 0.3, rounds=3, way="mix"),
        ]
    return [
        *(Case("attacks", "none", seed=seed) for seed in (0, 1)),
        *(Case("attacks", attack, 0.3) for attack in ATTACKS),
        *(Case("attacks", attack, 0.3, seed=1) for attack in AGAIN),
        *(Case("shares", attack, share) for attack in HARMFUL for share in SHARES),
        *(
            Case("rules", attack, 0.0 if attack == "none" else 0.3, rounds=FEW, rule=rule)
            for rule in RIVALS
            for attack in MEET_RULES
        ),
        *(Case("long", attack, 0.0 if attack == "none" else 0.3, rounds=LONG) for attack in PATIENT),
        *(Case("mix", attack, 0.0 if attack == "none" else 0.3, rounds=OLD, way="mix") for attack in MEET_MIX),
    ]


Rows = Sequence[Row]
Column = tuple[str, Callable[[Rows], str]]


def mean(rows: Rows, line: str, name: str) -> float:
    """Of one figure over simulations."""
    return float(np.mean([getattr(row.lines[line], name) for row in rows]))


def worst(rows: Rows, line: str, name: str) -> float:
    """Of one figure over simulations."""
    return float(max(getattr(row.lines[line], name) for row in rows))


def percent(value: float) -> str:
    """With its sign; a power of ten when it is beyond all measure."""
    return "-" if np.isnan(value) else f"{value:+.2f} %" if abs(value) < 10_000 else f"{value:+.0e} %"


def gains(rows: Rows, line: str) -> str:
    """Mean and worst tenth."""
    return f"{mean(rows, line, 'gain'):.2f} / {mean(rows, line, 'worst_tenth'):.2f}"


def adds(rows: Rows, line: str = "speaks") -> float:
    """Points of gain above the control of the same people."""
    return mean(rows, line, "gain") - mean(rows, "control", "gain")


ENDS = ("", "_control")
"""Against learning alone, and against the control."""

COLUMNS: Sequence[Column] = (
    ("taken", lambda rows: f"{100 * np.mean([row.taken for row in rows]):.0f} %"),
    ("speaks: gain / worst tenth", lambda rows: gains(rows, "speaks")),
    ("peers add", lambda rows: f"{adds(rows):+.2f}"),
    ("worse than alone", lambda rows: f"{mean(rows, 'speaks', 'worse'):.0f} %"),
    ("against alone, at most", lambda rows: percent(worst(rows, "speaks", "worst"))),
    ("against the control, at most", lambda rows: percent(worst(rows, "speaks", "worst_control"))),
    ("published: gain", lambda rows: f"{mean(rows, 'published', 'gain'):.2f}"),
)
SHORT: Sequence[Column] = (
    *COLUMNS[:3],
    *COLUMNS[4:6],
    ("published: gain, against alone at most", lambda rows: both(rows, "published")),
)
CLASS: Sequence[Column] = (
    ("speaks: mean / at most", lambda rows: hiss(rows, "speaks")),
    ("published: mean / at most", lambda rows: hiss(rows, "published")),
)


def both(rows: Rows, line: str) -> str:
    return f"{mean(rows, line, 'gain'):.2f}, {percent(worst(rows, line, 'worst'))}"


def hiss(rows: Rows, line: str) -> str:
    return f"{percent(mean(rows, line, 'bright'))} / {percent(worst(rows, line, 'bright_worst'))}"


def table(title: str, kinds: Mapping[str, Rows], columns: Sequence[Column], first: str) -> Iterator[str]:
    """A table in Markdown, a line for each kind of simulation."""
    if not kinds:
        return
    yield f"\n{title}\n"
    yield f"| {first} | " + " | ".join(name for name, _ in columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, rows in kinds.items():
        yield f"| {name} | " + " | ".join(say(rows) for _, say in columns) + " |"


def kinds(rows: Rows, key: Callable[[Row], str]) -> Mapping[str, list[Row]]:
    """Rows by what they are called, in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def named(row: Row) -> str:
    return f"`{row.case.attack}`" if row.case.share else "nobody hostile"


def shared_by(row: Row) -> str:
    return f"{named(row)}, {100 * row.case.share:.0f} %" if row.case.share else named(row)


def tables(rows: Rows) -> Iterator[str]:
    """All tables of the page."""
    parts = kinds(rows, lambda row: row.case.part)
    main = parts.get("attacks", [])
    yield from table("The default, 30 % hostile:", kinds(main, named), COLUMNS, "attack")
    thirds = [row for row in main if row.case.attack in HARMFUL and row.case.seed == 0]
    shares = sorted(thirds + parts.get("shares", []), key=lambda row: (row.case.attack, row.case.share))
    calm = [row for row in main if not row.case.share and row.case.seed == 0]
    yield from table("Other shares of hostile people, seed 0:", kinds(calm + shares, shared_by), COLUMNS[:6], "attack")
    for attack, some in kinds(parts.get("rules", []), named).items():
        yield from table(
            f"Other rules in the default, {attack}:", kinds(some, lambda row: f"`{row.case.rule}`"), SHORT, "rule"
        )
    doors = [row for row in main + parts.get("shares", []) if "backdoor" in row.case.attack or not row.case.share]
    yield from table("Bright loud sounds, against the control:", kinds(doors, shared_by), CLASS, "attack")
    yield from table("Long runs:", kinds(parts.get("long", []), named), COLUMNS, "attack")
    yield from table("70/30:", kinds(parts.get("mix", []), named), SHORT, "attack")


def verdict(rows: Rows) -> Iterator[str]:
    """Whether the aim is met, in sentences."""
    product = [row for row in rows if row.case.way == "default" and row.case.rule is None]
    for share, some in sorted(kinds(product, lambda row: f"{100 * row.case.share:3.0f}").items()):
        alone, control = (max(some, key=lambda row: getattr(row.lines["speaks"], f"worst{end}")) for end in ENDS)
        one, other = alone.lines["speaks"].worst, control.lines["speaks"].worst_control
        met = "met" if one <= ALLOWED else "NOT met"
        yield (
            f"{share} % hostile, {len(some)} simulation(s): the worst honest person is {percent(one)} worse than alone "
            f"({alone.case.attack}), the aim of {ALLOWED:.0f} % is {met}; {percent(other)} worse than the control "
            f"({control.case.attack})."
        )
    calm = {row.case.rule: row.lines for row in rows if row.case.part == "rules" and not row.case.share}
    if {"mean", "gated"} <= calm.keys():
        costs = [calm["mean"][line].gain - calm["gated"][line].gain for line in ("speaks", "published")]
        yield (
            f"Without hostile people the gate costs {costs[0]:+.3f} points of what speaks and {costs[1]:+.3f} of what "
            "is published, against the plain mean."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", action="append", help="attacks, shares, rules, long, mix; by default all")
    arguments = parser.parse_args()
    real = SPEAKERS.is_dir()
    idle = ", and ".join(
        why
        for why, so in (
            ("--quick shows only that it runs", arguments.quick),
            ("made voices say nothing of people", not real),
        )
        if so
    )
    people = recorded(SPEAKERS) if real else made(16)
    if arguments.quick:
        people = people[:: max(1, len(people) // 12)]
    who = f"{len(people)} real speakers" if real else f"{len(people)} MADE voices (no recordings beside the checkout)"
    few = "Too few people and rounds to judge by. " if arguments.quick else ""
    arena, rows = Arena(people, ATTACKS, RULES), []
    cases = [case for case in plan(arguments.quick) if not arguments.part or case.part in arguments.part]
    print(
        f"{who}, three random peers a round. {few}Main table: {cases[0].rounds} rounds of one epoch.\n"
        "gain, worst tenth: drop of the squared error on test speech below genesis, percent, of honest people. taken:\n"
        "received models that had a part in a prior. peers add: points of gain above the control of the same people.\n"
        "worse than alone: honest people; at most: the worst of them, percent of the squared error. published: the\n"
        "shared line, which never speaks.\n",
        flush=True,
    )
    for case in cases:
        rows.append(arena.row(case))
        line: Line = rows[-1].lines["speaks"]
        label = " ".join(part for part in (case.part, case.rule, case.attack) if part)
        print(
            f"{label:34s} {100 * case.share:3.0f} % seed {case.seed}: gain {line.gain:5.2f}, at most {line.worst:+.2f} "
            f"and {line.worst_control:+.2f} %; {rows[-1].seconds:.1f} s",
            flush=True,
        )
        if arguments.json:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            found = {"people": who, "cpu": time.process_time(), "rows": [asdict(row) for row in rows]}
            arguments.json.write_text(strict(found, indent=1) + "\n")
    judgement = verdict(rows) if not idle else (f"No verdict: {idle}.",)
    for text in (*tables(rows), "", *judgement, f"\n{time.process_time():.0f} seconds of CPU time."):
        print(text)
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
