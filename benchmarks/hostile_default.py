"""What hostile peers can do to the default (`ml/federated/methods/hierarchical.py`), and what had best speak then.

`python benchmarks/hostile_default.py [--json FILE] [--quick] [--seeds N] [--slack]`. Twelve rounds of one epoch, three
random peers a round, the gated rule, nobody hostile and 30 % of the people. Honest people are judged on test speech
that neither training nor any choice has seen, beside themselves learning alone (`local` of
benchmarks/personalisation.py) and beside the default without peers (`control`), with the same seed. Several ways to let
somebody speak are judged in the same simulations. Without ../shared/data/speakers made voices stand in, and the table
says so.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from hostile_rows import ALLOWED, SPEAKERS, bright, made

from ml.federated.attacks.table import ATTACKS
from ml.federated.cohort import Cohort, Person, Stack
from ml.federated.gate import SLACK
from ml.federated.gated import Gated
from ml.federated.method import Ground, Method
from ml.federated.methods.alone import Alone
from ml.federated.methods.hierarchical import Hierarchical, whole
from ml.federated.people import recorded
from ml.federated.simulation.settings import SimulationSettings
from ml.federated.simulation.simulation import Simulation
from ml.voice.genesis import genesis
from ml.voice.stacked import flat
from ml.voice.training import Split, TrainOptions

MET = ("flip10", "alie", "ipm", "adaptive-flip", "backdoor", "freerider", "sybil")
SHARE, ROUNDS = 0.3, 12
TRAINING = TrainOptions(epochs=1, rate=3e-4, pull=1.0)


@dataclass(frozen=True)
class Line:
    """One way to speak, on test speech. `gain`, `worst_tenth`: drop of the squared error below genesis in percent.
    `worst` and `worse_by_one`: the honest person who is worst off against learning alone, percent of the squared error,
    and how many are more than 1 % worse; `..._control`: against the default without peers. `fricatives`: by how much
    the error on bright loud frames is above that of learning alone, at most."""

    gain: float
    worst_tenth: float
    worst: float
    worse_by_one: int
    worst_control: float
    worse_by_one_control: int
    fricatives: float


@dataclass(frozen=True)
class Row:
    """One simulation. `accepted`: the share of arrived models that had a part in a merge."""

    attack: str
    share: float
    seed: int
    people: int
    accepted: float
    lines: Mapping[str, Line]


class Arena:
    """People, what they are worth alone, and simulations among them, of one seed."""

    def __init__(self, people: Sequence[Person], rounds: int, seed: int) -> None:
        start = genesis()
        self.rounds, self.seed, self.everybody = rounds, seed, list(range(len(people)))
        self.cohort = Cohort(start.autoencoder, people)
        self.entire = whole(self.cohort)
        self.bright = Cohort(
            start.autoencoder,
            [Person(one.name, one.group, Split(one.test[:1], ()), bright(one.test)) for one in people],
        )
        self.ground = Ground(self.cohort, flat(start.weights, self.cohort.layout), TRAINING, seed)
        self.genesis = self.cohort.errors(self.cohort.stack(start.weights), self.everybody, "test")
        self.alone, self.alone_held_out, _, _ = self._play(Alone(), None)
        self.control, self.control_held_out, _, _ = self._play(Hierarchical(False, self.entire), None)
        self.tested = {
            "alone": self.cohort.errors(self.alone, self.everybody, "test"),
            "control": self.cohort.errors(self.control, self.everybody, "test"),
        }
        self.alone_bright = self.bright.errors(self.alone, self.everybody, "test")

    def _play(self, method: Method, attack: str | None) -> tuple[Stack, np.ndarray, float, Simulation]:
        settings = SimulationSettings(
            rounds=self.rounds, hostile=SHARE if attack else 0.0, seed=self.seed, measure_every=10**6
        )
        simulation = Simulation(self.ground, method, settings, attack=ATTACKS[attack] if attack else None)
        accepted = [facts.accepted for facts in simulation.rounds()][1:]
        taken = float(np.mean(accepted)) if accepted and np.isfinite(accepted).all() else float("nan")
        return np.asarray(simulation.personal()), np.asarray(simulation.state["error"]), taken, simulation

    def row(self, attack: str | None, slack: float | None) -> Row:
        method = Hierarchical(whole=self.entire, rule=Gated(), slack=slack)
        best, error, taken, done = self._play(method, attack)
        honest = np.setdiff1d(self.everybody, done.hostile)
        best, error, alone, control = best[honest], error[honest], self.alone[honest], self.control[honest]
        stacks = {
            "published": np.asarray(done.state["shared"], np.float32)[honest],
            "best": best,
            "best or alone": np.where((self.alone_held_out[honest] < error)[:, None], alone, best),
            "best or control": np.where((self.control_held_out[honest] < error)[:, None], control, best),
            "best and alone, half each": (best + alone) / 2,
            "best and control, half each": (best + control) / 2,
        }
        lines = {name: self._line(stack, honest) for name, stack in stacks.items()}
        return Row(attack or "none", SHARE if attack else 0.0, self.seed, len(honest), taken, lines)

    def _line(self, stack: Stack, who: np.ndarray) -> Line:
        found = self.cohort.errors(stack, who.tolist(), "test")
        high = self.bright.errors(stack, who.tolist(), "test")
        gain = np.sort(100 * (1 - found / self.genesis[who]))
        alone, control = (100 * (found / self.tested[name][who] - 1) for name in ("alone", "control"))
        return Line(
            gain=float(gain.mean()),
            worst_tenth=float(gain[: max(1, round(len(gain) / 10))].mean()),
            worst=float(alone.max()),
            worse_by_one=int((alone > ALLOWED).sum()),
            worst_control=float(control.max()),
            worse_by_one_control=int((control > ALLOWED).sum()),
            fricatives=float(100 * (high / self.alone_bright[who] - 1).max()),
        )


def said(row: Row) -> Iterator[str]:
    """Lines of the table."""
    hostile = f"{100 * row.share:.0f} % hostile" if row.share else "nobody hostile"
    yield f"seed {row.seed}, {row.attack}, {hostile}, {100 * row.accepted:.0f} % of what arrived was taken:"
    for name, line in row.lines.items():
        yield (
            f"  {name:28s} gain {line.gain:6.2f}, worst tenth {line.worst_tenth:6.2f}; against alone at most "
            f"{line.worst:+6.2f} % ({line.worse_by_one} of {row.people} worse by more than {ALLOWED:.0f} %); against "
            f"the control {line.worst_control:+6.2f} % ({line.worse_by_one_control}); bright sounds "
            f"{line.fricatives:+6.2f} %"
        )


def verdict(rows: Sequence[Row]) -> Iterator[str]:
    """Each way to speak over all simulations."""
    yield f"All {len(rows)} simulations: gain in the mean; the worst against alone, against the control:"
    for name in rows[0].lines:
        some = [row.lines[name] for row in rows]
        yield (
            f"  {name:28s} {np.mean([line.gain for line in some]):6.2f}  {max(line.worst for line in some):+6.2f} %  "
            f"{max(line.worst_control for line in some):+6.2f} %"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--slack", action="store_true", help="refuse a prior 2 % worse than one's own shared model")
    arguments = parser.parse_args()
    real = SPEAKERS.is_dir()
    people: Sequence[Person] = recorded(SPEAKERS) if real else made(16)
    rounds, attacks = ROUNDS, [None, *MET]
    if arguments.quick:
        people, rounds, attacks = people[:: max(1, len(people) // 12)], 3, [None, "adaptive-flip"]
    who = f"{len(people)} real speakers" if real else f"{len(people)} MADE voices (no recordings beside the checkout)"
    print(f"{who}, {rounds} rounds of one epoch, three random peers a round, the gated rule.", flush=True)
    rows = []
    for seed in range(arguments.seeds):
        arena = Arena(people, rounds, seed)
        for name, errors in arena.tested.items():
            print(f"seed {seed}, {name}: gain {100 * (1 - errors / arena.genesis).mean():.2f} %")
        for attack in attacks:
            rows.append(arena.row(attack, SLACK if arguments.slack else None))
            print("\n".join(said(rows[-1])), flush=True)
            if arguments.json:
                arguments.json.parent.mkdir(parents=True, exist_ok=True)
                found = {"people": who, "rounds": rounds, "slack": arguments.slack}
                arguments.json.write_text(json.dumps({**found, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    print("\n".join(["", *verdict(rows)]))


if __name__ == "__main__":
    main()
