"""What the two shipped voice models bring in a node's own rounds: gain, seconds and bytes, on real speakers.

`python benchmarks/node_models.py [--people 12] [--rounds 8] [--batch 64] [--models res64 b4h80] [--json FILE]
[--quick]`. Whole
households in one process with homes on disk, by the node's own round, gate, exchange and memory, but without links: an
update's messages go straight to the other household. The speakers are those of docs/personalisation.md.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
import logging
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from strict_json import strict

from ml.audio.logmel import HOP_SECONDS
from ml.federated.crowd import Person
from ml.federated.diff import Encoding
from ml.federated.people import recorded
from ml.threads import limit_threads
from ml.voice.genesis import FILES, genesis
from ml.voice.measures import score
from node.app import Surroundings, assemble
from node.config import Config, TrainSettings
from node.exchange import Exchange, Ours
from node.frames import FrameShelf
from node.learner import Plan, VoiceLearner, options_of
from node.rounds import Rounds
from node.store.rows import Role, RoundRow
from p2p.errors import RefusedByPeer
from p2p.host.options import HostOptions
from p2p.host.transport import Libp2pTransport
from p2p.identity import Identity
from p2p.wire import Answer, Offer, Piece, Refused, Request

SPEAKERS = Path(__file__).resolve().parents[2] / "shared" / "data" / "speakers"
PEERS = 3


class Household:
    """One person's node; what it asks goes to the others' intakes."""

    def __init__(self, folder: Path, person: Person, train: TrainSettings, others: dict[str, Household]) -> None:
        self.person, self.others = person, others
        config = Config(folder / person.name, folder / "models", train=train)
        frames = FrameShelf(config.voices)
        frames.add("me", [*person.speech.train, *person.speech.held_out])
        self.learner = VoiceLearner(frames, genesis(train.model), options_of(train))
        self.identity = Identity.new()
        transport = Libp2pTransport(self.identity, HostOptions())
        self.mesh = assemble(config, Surroundings(self.identity, transport, self.learner))
        parts = self.mesh.parts
        ours = Ours(self.learner, parts.store, parts.shelf, self.identity, time.time)
        self.exchange = Exchange(ours, self, Encoding(train.encoding))  # type: ignore[arg-type]
        others[self.identity.peer_id] = self

    async def ask(self, peer: str, request: Request, wait: float) -> Answer:
        """One message to another household."""
        intake, me = self.others[peer].mesh.parts.intake, self.identity.peer_id
        if not isinstance(request, Offer | Piece):
            raise TypeError("nothing else is asked in an exchange")
        answer = await (intake.offer(me, request) if isinstance(request, Offer) else intake.piece(me, request))
        if isinstance(answer, Refused):
            raise RefusedByPeer(answer.sentence)
        return answer

    async def round(self, number: int) -> RoundRow:
        """A whole round, committed."""
        parts = self.mesh.parts
        self.learner.listen()
        rounds = Rounds(0.0, number=number, merge_first=parts.learning.merge_first)
        rounds.next(0.0, ready=True)
        commit = await parts.learning.round(rounds, Plan(number), lambda peer: 1.0, lambda facts: None)
        parts.store.commit(commit)
        self.mesh.tidy()
        return commit.round

    def gain(self, role: Role) -> float:
        """Percent of genesis' squared error on test speech that is gone with a role's weights."""
        start, weights = self.learner.origin, self.mesh.parts.learning.weights(role)
        body = genesis(self.learner.layout.name).autoencoder
        before, after = (score(body, one, self.person.test).mse for one in (start, weights))
        return 100 * (1 - after / before)

    @property
    def seconds(self) -> float:
        """Of speech to learn from."""
        return HOP_SECONDS * sum(map(len, [*self.person.speech.train, *self.person.speech.held_out]))


async def measure(model: str, people: Sequence[Person], wishes: argparse.Namespace) -> dict[str, Any]:
    """One model's row."""
    rng, spent = random.Random(0), 0.0
    sizes: dict[str, list[int]] = {"snapshot": [], "update": []}
    with tempfile.TemporaryDirectory() as folder:
        others: dict[str, Household] = {}
        train = TrainSettings(model=model, batch=wishes.batch)
        homes = [Household(Path(folder), person, train, others) for person in people]
        for number in range(1, wishes.rounds + 1):
            rows = []
            for home in homes:
                began = time.process_time()
                rows.append(await home.round(number))
                spent += time.process_time() - began
            for home, row in zip(homes, rows, strict=True):
                current = home.mesh.parts.publication.current(row)
                for peer in rng.sample([one for one in others if others[one] is not home], min(PEERS, len(homes) - 1)):
                    first = not home.mesh.parts.store.shadow(peer, "sent")
                    sent = await home.exchange.deliver(peer, *current, number) if current else None
                    if sent is None or sent.outcome != "done":
                        raise RuntimeError(f"the exchange failed: {sent}")
                    sizes["snapshot" if first else "update"].append(sent.size)
        gains = {role.value: np.sort([home.gain(role) for home in homes]) for role in (Role.BEST, Role.ALONE)}
        start = genesis(model)
        body, merged = start.autoencoder, sum(home.mesh.parts.store.verdicts().get("merged", 0) for home in homes)
        before = [score(body, start.weights, home.person.test).rmse_db for home in homes]
        after = [score(body, home.mesh.parts.learning.weights(Role.BEST), home.person.test).rmse_db for home in homes]
        speech = sum(home.seconds for home in homes)
        for home in homes:
            home.mesh.parts.store.close()
    tenth = max(1, round(len(homes) / 10))
    return {
        "model": model,
        "genesis_db": float(np.mean(before)),
        "learnt_db": float(np.mean(after)),
        **{f"{name}_mean": float(values.mean()) for name, values in gains.items()},
        **{f"{name}_worst": float(values[:tenth].mean()) for name, values in gains.items()},
        "cpu_s_round_of_60_s": 60 * spent / wishes.rounds / speech,
        "snapshot": int(np.median(sizes["snapshot"])),
        "update": int(np.median(sizes["update"])) if sizes["update"] else 0,
        "merged": merged,
        "speech_s": speech / len(homes),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """For people."""
    lines = [
        "model    genesis dB  learnt dB  gain %  worst tenth  without peers  worst  CPU s/round  snapshot B  update B"
    ]
    lines += [
        f"{row['model']:8} {row['genesis_db']:10.3f} {row['learnt_db']:10.3f} {row['best_mean']:7.2f} "
        f"{row['best_worst']:12.2f} {row['alone_mean']:14.2f} {row['alone_worst']:6.2f} "
        f"{row['cpu_s_round_of_60_s']:12.2f} {row['snapshot']:11} {row['update']:9}"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--batch", type=int, default=64, help="rows a step: frames, or blocks of four")
    parser.add_argument("--models", nargs="+", choices=list(FILES), default=list(FILES))
    parser.add_argument("--speakers", type=Path, default=SPEAKERS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="four people, two rounds: shows that it runs")
    wishes = parser.parse_args()
    if wishes.quick:
        wishes.people, wishes.rounds = 4, 2
    if not (wishes.speakers / "manifest.json").is_file():
        print(f"There are no speakers in {wishes.speakers}: nothing was measured (docs/architectures.md).")
        return
    limit_threads()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    everybody = recorded(wishes.speakers)
    places = np.linspace(0, len(everybody) - 1, min(wishes.people, len(everybody))).round().astype(int)
    people = [everybody[place] for place in places]  # evenly from all groups, which their names order
    rows = [asyncio.run(measure(model, people, wishes)) for model in wishes.models]
    print(
        f"{len(people)} people, {rows[0]['speech_s']:.0f} s of speech each, {wishes.rounds} rounds, {PEERS} peers each"
    )
    print(table(rows))
    if wishes.json:
        wishes.json.write_text(strict(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
