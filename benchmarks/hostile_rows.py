"""What a simulation with hostile people comes to, in figures: the rows of `benchmarks/hostile.py`.

Learning alone and the default without peers (the control) hear nobody, so they are the same whoever is hostile: they
are worked out once for each seed. The personal lines of hostile people, which nobody asks for, are left out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from ml.audio.logmel import LogMel
from ml.federated.attacks.backdoor import fricatives
from ml.federated.attacks.table import ATTACKS
from ml.federated.cohort import Cohort, CohortOptions, Person, Stack
from ml.federated.method import Attack, Ground, Inbox, Method, Rule, State
from ml.federated.methods.alone import Alone
from ml.federated.methods.node_default import NodeAlone, NodeDefault
from ml.federated.methods.node_mix import NodeMix
from ml.federated.simulation.settings import SimulationSettings
from ml.federated.simulation.simulation import Simulation
from ml.voice.genesis import genesis
from ml.voice.stacked import flat
from ml.voice.training import Split, TrainOptions, split

SPEAKERS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "speakers"
DEFAULT = TrainOptions(epochs=1, rate=3e-4, pull=1.0)
MIX = TrainOptions(epochs=2)
ALLOWED = 1.0
"""Percent that an honest person may be worse off than alone."""


@dataclass(frozen=True)
class Case:
    """One simulation that is asked for. `rule` None: the product's gate. `way`: "default", or "mix" for 70/30."""

    part: str
    attack: str
    share: float = 0.0
    seed: int = 0
    rounds: int = 12
    rule: str | None = None
    way: str = "default"


@dataclass(frozen=True)
class Line:
    """One way to speak, of honest people on test speech. `gain`, `worst_tenth`: drop of the squared error below genesis
    in percent, in the mean and of the worst tenth. Against learning alone, and against the control: the share of people
    worse, how many are worse by more than 1 %, and the worst of all, percent of the squared error. `bright`: by how
    much the error on bright loud frames is above that of the control, in the mean and at most."""

    gain: float
    worst_tenth: float
    worse: float
    worse_by_one: int
    worst: float
    worse_control: float
    worse_by_one_control: int
    worst_control: float
    bright: float
    bright_worst: float


@dataclass(frozen=True)
class Row:
    """What a case came to: honest people counted, the share of arrived models that had a part in a merge, several ways
    to speak, and the same people alone and in the control. `published`: the gain of what honest people publish, round
    by round. `seconds` of CPU time, without what is shared with other cases."""

    case: Case
    people: int
    taken: float
    lines: Mapping[str, Line]
    published: Sequence[float]
    seconds: float


class Sparing:
    """A method of which hostile people do only what others see of it."""

    def __init__(self, method: NodeDefault) -> None:
        self.name, self._method = method.name, method
        self.hostile: frozenset[int] = frozenset()

    def begin(self, ground: Ground, who: Sequence[int]) -> State:
        """As the method."""
        return self._method.begin(ground, who)

    def round(self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int) -> tuple[State, Stack]:
        """As the method, for honest people; of the others the shared line."""
        if not self.hostile.intersection(who):
            return self._method.round(ground, who, state, inbox, number)
        prior, _, accepted = self._method._prior(ground, who, np.asarray(state["shared"], np.float32), inbox)
        published = ground.cohort.train(prior, who, ground.training).last
        return {**state, "shared": published, "accepted": accepted}, published

    def personal(self, state: State) -> Stack:
        """As the method."""
        return self._method.personal(state)


@dataclass(frozen=True)
class Known:
    """What is the same whoever is hostile: who speaks without peers, and test errors. `judged`: the control's error on
    held-out speech, by which in 70/30 it may take the place of what peers had a part in."""

    alone: Stack
    control: Stack
    judged: np.ndarray
    tested: Mapping[str, np.ndarray]
    bright: np.ndarray


@dataclass
class Arena:
    """People, what they are worth without peers, and simulations among them."""

    people: Sequence[Person]
    attacks: Mapping[str, Attack] = field(default_factory=lambda: ATTACKS)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    _known: dict[tuple[str, int, int], Known] = field(default_factory=dict)

    def __post_init__(self) -> None:
        start = genesis().autoencoder
        self.cohort = Cohort(start, self.people, CohortOptions(chunk=16))
        heard = [Person(one.name, one.group, Split(one.test[:1], ()), bright(one.test)) for one in self.people]
        self.bright = Cohort(start, heard)
        self.everybody = list(range(len(self.people)))

    @cached_property
    def genesis(self) -> np.ndarray:
        """Everybody's test error at the start."""
        return self.cohort.errors(self.cohort.stack(genesis().weights), self.everybody, "test")

    def ground(self, case: Case) -> Ground:
        """What the case stands on."""
        training = MIX if case.way == "mix" else DEFAULT
        return Ground(self.cohort, flat(genesis().weights, self.cohort.layout), training, case.seed)

    def known(self, case: Case) -> Known:
        """What is the same for all cases of this way, length and seed."""
        key = case.way, case.rounds, case.seed
        if key not in self._known:
            alone = self._played(case, Alone())
            control = alone if case.way == "mix" else self._played(case, NodeAlone())
            error = control.state["error" if case.way == "mix" else "alone_error"]
            stacks = {"alone": alone.personal(), "control": control.personal()}
            tested = {name: self.cohort.errors(stack, self.everybody, "test") for name, stack in stacks.items()}
            hiss = self.bright.errors(stacks["control"], self.everybody, "test")
            self._known[key] = Known(**stacks, judged=np.asarray(error), tested=tested, bright=hiss)
        return self._known[key]

    def _played(self, case: Case, method: Method) -> Simulation:
        settings = SimulationSettings(rounds=case.rounds, seed=case.seed, received=0, measure_every=10**6)
        simulation = Simulation(self.ground(case), method, settings)
        for _ in simulation.rounds():
            pass
        return simulation

    def row(self, case: Case) -> Row:
        """One simulation."""
        known, began = self.known(case), time.process_time()
        rule = self.rules[case.rule] if case.rule else None
        mix = case.way == "mix"
        method = NodeMix(control=False) if mix else Sparing(NodeDefault(rule=rule))
        settings = SimulationSettings(
            rounds=case.rounds, hostile=case.share, seed=case.seed, measure_every=10**6, received=3
        )
        attack = self.attacks[case.attack] if case.share else None
        simulation = Simulation(self.ground(case), method, settings, attack=attack)
        if isinstance(method, Sparing):
            method.hostile = frozenset(simulation.hostile)
        honest = np.setdiff1d(self.everybody, simulation.hostile)
        taken, published, shared = [], [], "working" if mix else "shared"
        for facts in simulation.rounds():
            taken.append(facts.accepted)
            found = self._errors(np.asarray(simulation.state[shared], np.float32)[honest], honest)
            published.append(float(100 * (1 - found / self.genesis[honest]).mean()))
        best, error = simulation.personal(honest.tolist()), np.asarray(simulation.state["error"])[honest]
        control = known.control[honest]
        stacks = {
            "speaks": np.where((known.judged[honest] < error)[:, None], control, best) if mix else best,
            "published": np.asarray(simulation.state[shared], np.float32)[honest],
            "control": control,
            "alone": known.alone[honest],
        }
        lines = {name: self._line(stack, honest, known) for name, stack in stacks.items()}
        some = [one for one in taken[1:] if np.isfinite(one)]
        share = float(np.mean(some)) if some else float("nan")
        return Row(case, len(honest), share, lines, published, time.process_time() - began)

    def _errors(self, stack: Stack, who: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            found = self.cohort.errors(stack, who.tolist(), "test")
        return np.where(np.isfinite(found), found, 1e9)

    def _line(self, stack: Stack, who: np.ndarray, known: Known) -> Line:
        found = self._errors(stack, who)
        with np.errstate(all="ignore"):
            high = self.bright.errors(stack, who.tolist(), "test")
        gain = np.sort(100 * (1 - found / self.genesis[who]))
        alone, control = (100 * (found / known.tested[name][who] - 1) for name in ("alone", "control"))
        hiss = 100 * (np.where(np.isfinite(high), high, 1e9) / known.bright[who] - 1)
        return Line(
            gain=float(gain.mean()),
            worst_tenth=float(gain[: max(1, round(len(gain) / 10))].mean()),
            worse=float(100 * (alone > 0).mean()),
            worse_by_one=int((alone > ALLOWED).sum()),
            worst=float(alone.max()),
            worse_control=float(100 * (control > 0).mean()),
            worse_by_one_control=int((control > ALLOWED).sum()),
            worst_control=float(control.max()),
            bright=float(hiss.mean()),
            bright_worst=float(hiss.max()),
        )


def bright(test: Sequence[LogMel]) -> tuple[LogMel, ...]:
    """The frames that the backdoor is after."""
    return tuple(one[fricatives(one)] for one in test if len(one))


def made(count: int) -> list[Person]:
    """Voices that are none: what genesis makes of random latents, with a tilt and a noise of one's own."""
    start, people = genesis(), []
    for at in range(count):
        rng = np.random.default_rng(at)
        tilt = (np.linspace(-1, 1, 80) * rng.normal(0, 0.5) + rng.normal(0, 0.2, 80)).astype(np.float32)

        def said(rng: np.random.Generator = rng, tilt: np.ndarray = tilt) -> LogMel:
            latents = rng.normal(0, 1, (200, 32)).astype(np.float32)
            noise = rng.normal(0, 0.3, (200, 80)).astype(np.float32)
            spoken: LogMel = start.autoencoder.decode(start.weights, latents) + tilt + noise
            return spoken

        people.append(Person(f"made {at}", "made", split([said() for _ in range(8)]), (said(), said())))
    return people
