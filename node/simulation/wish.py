"""What is to be simulated, as a person says it, and what makes no sense in it.

Knows nothing of how it is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.errors import BadRequest

TOPOLOGIES = ("gossip", "ring", "full", "mean")
MOST_IN_FULL = 128
LEAST_SPEECH = 2.0
MOST_SPEECH = 7200.0
MOST_HOSTILE = 0.9
HOSTILE = f"Give a share up to {MOST_HOSTILE} and an attack of docs/robustness.md, for instance --hostile 0.2:flip"
ENGINES = ("local", "ray", "flower")


@dataclass(frozen=True)
class Wish:
    """Settings of a simulation. Everything that decides the numbers is here; how the work is cut is not."""

    peers: int | None = None
    "How many nodes [default: everybody in --speech, else 100]."
    rounds: int = 20
    "Rounds that each of them does."
    algorithm: str = "node"
    "How they learn from each other: node is what a real node does; docs/personalisation.md has the others."
    topology: str = "gossip"
    "Who hears of whom: gossip (others drawn anew each round), ring, full, or mean (the average of all others)."
    received: int = 3
    "Models that each takes in per round."
    churn: float = 0.0
    "Share of the nodes that are away in a round, 0 to 1."
    hostile: str = ""
    "SHARE:ATTACK, for instance 0.2:flip; docs/robustness.md has the attacks."
    compression: str = "node"
    "How models travel: node is what a real node does; docs/compression.md has the others."
    bandwidth: float | None = None
    "Median upload of a node in kbit/s; without it a message's length takes no time."
    latency: float | None = None
    "Median delay of a link in ms; without it there is none."
    speech: Path | None = None
    "Folder of recorded speakers with a manifest.json; without it, people are made from what ships with Babelmesh."
    seconds: float = 10.0
    "Speech that each made person has."
    epochs: int = 1
    "Times that the speech is gone through in a round."
    batch: int = 64
    "Frames per step."
    rate: float = 3e-4
    "Adam's learning rate."
    seed: int = 0
    "All chance comes from it: the same seed gives the same numbers, however the work is cut."
    control: bool = True
    "Also run the same people without peers, to tell what peers add; --no-control saves the time."


@dataclass(frozen=True)
class Cut:
    """How the work is cut. It changes the time that a simulation takes, and not one number of it."""

    engine: str = "local"
    "Where the work is done: local, ray (a cluster; needs the extra of that name); flower only writes an app."
    address: str | None = None
    "Address of a Ray cluster, HOST:PORT [default: one is started on this machine, and stopped at the end]."
    threads: int | None = None
    "Processes, or workers of the cluster [default: one per core]."
    chunk: int = 16
    "People that are trained at a time."
    disk: Path | None = None
    "Folder that is there, on whose disk everybody's models are held in place of memory, for very many nodes; slower."


def hostile_share(wish: Wish) -> tuple[float, str]:
    """The share of hostile people and the name of what they do; (0, "") for nobody. Raises BadRequest."""
    if not wish.hostile or wish.hostile == "0":
        return 0.0, ""
    share, _, attack = wish.hostile.partition(":")
    try:
        value = float(share)
    except ValueError as error:
        if attack:
            raise BadRequest(f"--hostile {wish.hostile}: {share!r} is no share of the nodes.", HOSTILE) from error
        raise BadRequest(f"--hostile {wish.hostile} does not say how many nodes are hostile.", HOSTILE) from error
    if not 0 <= value <= MOST_HOSTILE:
        raise BadRequest(f"--hostile {wish.hostile}: the share {share} is not within 0 and {MOST_HOSTILE}.", HOSTILE)
    if not attack:
        raise BadRequest(f"--hostile {wish.hostile} does not say what these nodes do.", HOSTILE)
    return value, attack


def check(wish: Wish, cut: Cut) -> None:
    """Raises BadRequest for the first thing that makes no sense."""
    for wrong, sentence, remedy in _objections(wish, cut):
        if wrong:
            raise BadRequest(sentence, remedy)
    hostile_share(wish)


def _objections(wish: Wish, cut: Cut) -> Iterator[tuple[bool, str, str]]:
    for name in ("rounds", "received", "epochs", "batch"):
        yield getattr(wish, name) < 1, f"--{name} is less than 1.", f"Give --{name} 1 or more."
    yield wish.peers is not None and wish.peers < 2, "One node alone meets nobody.", "Give --peers 2 or more."
    yield not 0 <= wish.churn < 1, "--churn is no share of the nodes.", "Give a number from 0 to less than 1."
    yield not 0 < wish.rate < 1, "--rate is no learning rate.", "Give a number above 0 and below 1; 0.0003 is usual."
    yield not wish.seconds >= LEAST_SPEECH, "There is too little speech to hold some out.", "Give --seconds 2 or more."
    yield (
        wish.seconds > MOST_SPEECH,
        f"--seconds {wish.seconds:g} is more speech than can be made for one person.",
        f"Give --seconds {MOST_SPEECH:.0f}, which is two hours, or less.",
    )
    yield not 0 <= wish.seed < 2**63, "--seed is out of range.", "Give a whole number from 0 on."
    for name, unit in (("bandwidth", "kbit/s"), ("latency", "ms")):
        value = getattr(wish, name)
        yield value is not None and not 0 < value < 1e9, f"--{name} is no number of {unit}.", "Give one above 0."
    yield (
        wish.topology not in TOPOLOGIES,
        f"There is no topology {wish.topology}.",
        f"Take one of: {', '.join(TOPOLOGIES)}.",
    )
    yield (
        wish.topology == "full" and (wish.peers or 0) > MOST_IN_FULL,
        f"With --topology full everybody judges everybody: {wish.peers} nodes are too many for that.",
        f"Take --topology gossip or mean, or at most {MOST_IN_FULL} nodes.",
    )
    yield cut.chunk < 1, "--chunk is less than 1.", "Give 1 or more; 16 is usual."
    yield cut.threads is not None and cut.threads < 1, "--threads is less than 1.", "Give 1 or more."
    yield (
        cut.disk is not None and not cut.disk.is_dir(),
        f"There is no folder {cut.disk}.",
        f"Name one that is there, or make it: mkdir -p '{cut.disk}'",
    )
    yield cut.engine not in ENGINES, f"There is no engine {cut.engine}.", f"Take one of: {', '.join(ENGINES)}."
    yield (
        cut.address is not None and cut.engine != "ray",
        "Only Ray's clusters have an address.",
        "Give --engine ray as well, or leave --address out.",
    )
