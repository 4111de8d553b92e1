"""`node train`: training rounds at once, by the running node or, when none runs, here.

Parses, asks, shows progress and what came of it. Knows nothing of how training is done.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from cli.client import Client
from cli.common import Common
from cli.identity import note_unprotected, read_passphrase
from cli.render import console, show_line, write_json
from cli.words import mixture, span
from node.errors import NotRunning
from node.stopped import Stopped

if TYPE_CHECKING:
    from ml.voice.training import EpochFacts
    from node.config import Config

Positive = Parameter(validator=validators.Number(gte=1))
Epochs = Parameter(validator=validators.Number(gte=1, lte=1_000))
Batch = Parameter(validator=validators.Number(gte=1, lte=65_536))
"""What `[train]` takes too."""
Tell = Callable[[Mapping[str, Any]], None]

EVERY = 15.0
"""Seconds between two lines of progress where there is no terminal."""

HELPS = {
    60.0: "a minute is a good start",
    360.0: "up to six minutes or so the model still gains by it",
}
"""What more speech would bring, by how much there must be of it, in seconds."""


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line; None is as the settings say."""

    epochs: int | None
    batch: int | None
    passphrase: str | None


def train(
    *,
    epochs: Annotated[int | None, Epochs] = None,
    batch: Annotated[int | None, Batch] = None,
    rounds: Annotated[int, Positive] = 1,
    passphrase_file: Path | None = None,
    common: Common | None = None,
) -> int:
    """Learn from the speech of your voice now: one round of local training, and what peers have sent is merged.

    Parameters
    ----------
    epochs
        Times that the whole speech is gone through, 1 to 1000.
    batch
        Frames per step.
    rounds
        Rounds to do, one after the other.
    passphrase_file
        File with the passphrase of the key, when it has one and the node does not run.
    """
    common = common or Common()
    from node.config import load

    config = load(common.home, os.environ)
    options = Options(epochs, batch, read_passphrase(passphrase_file))
    note_unprotected(config.identity, options.passphrase)
    done: list[dict[str, Any]] = []
    for number in range(rounds):
        try:
            with told(f"round {number + 1} of {rounds}", epochs or config.train.epochs_in_force) as tell:
                done.append(_round(config, options, tell))
        except Stopped:
            raise
        except KeyboardInterrupt as error:
            raise stopped(number, rounds) from error
        if not common.json:
            for line in outcome(done[-1]):
                show_line(line)
    if common.json:
        write_json({"rounds": done})
    return 0


def outcome(row: Mapping[str, Any]) -> list[str]:
    """What a round has brought, in words."""
    from ml.audio.logmel import HOP_SECONDS

    seconds = row["frames"] * HOP_SECONDS
    before, after, best = row["rmse_start"], row["rmse_trained"], row["rmse_best"]
    gain = 1 - (after / before) ** 2 if before else 0.0
    lines = [f"Round {row['number']}: trained on {span(seconds)} of speech in {span(row['seconds'])}."]
    if gain > 0.0005:
        lines.append(
            f"On speech that it never saw, the error went from {before:.3f} to {after:.3f} dB: "
            f"{before - after:.3f} dB, or {gain:.1%} of the squared error."
        )
    else:
        after_all = f"{before:.3f} dB" if after == before else f"{before:.3f} dB, and then {after:.3f} dB"
        lines.append(f"On speech that it never saw nothing got better: {after_all}. What spoke best still speaks.")
    if row["merged"]:
        shares = mixture(row)
        mixed = f" ({shares})" if shares else ""
        lines.append(f"With {_updates(row['merged'])} of peers{mixed}: {row['rmse_adopted']:.3f} dB.")
    genesis = row.get("rmse_genesis")
    since = f", {1 - (best / genesis) ** 2:.1%} less squared error than the shared start" if genesis else ""
    if best > after + 0.0005 and gain > 0.0005:
        held = (
            "What speaks for you is another one, held nearer to the shared model so that it stays sound on new speech"
        )
        lines.append(f"{held}: {best:.3f} dB{since}.")
    else:
        lines.append(f"The best model so far: {best:.3f} dB{since}.")
    if lost := row.get("lost"):
        what = "A model that was learnt here is" if lost == 1 else f"{lost} models that were learnt here are"
        since = "from the shared start" if row["from_genesis"] else "from an older one"
        lines.append(f"{what} lost or damaged on the disk: learning went on {since}.")
    if row.get("method") == "shared-prior":
        lines.append("(Measured on its twin: the one that speaks for you has learnt from all of your speech.)")
    for enough, what in HELPS.items():
        if seconds < enough:
            lines.append(f"{span(enough - seconds)} more of speech would help: {what} (node voice record).")
            break
    return lines


def stopped(done: int, rounds: int) -> Stopped:
    """What is left when so many of the rounds were done, and the next one was not."""
    if not done:
        sentence = "Stopped before the first round was finished: nothing of it is kept."
        return Stopped(sentence, "The same command begins it again; fewer --epochs make a shorter round.")
    kept = "Round 1 is kept" if done == 1 else f"Rounds 1 to {done} are kept"
    sentence = f"Stopped in round {done + 1} of {rounds}. {kept}, nothing is of the one that was not finished."
    return Stopped(sentence, f"For the rest: --rounds {rounds - done}")


def _round(config: Config, options: Options, tell: Tell) -> dict[str, Any]:
    def hear(kind: str, facts: Mapping[str, Any]) -> None:
        if kind == "epoch":
            tell(facts)

    try:
        with Client.of(config.control) as client, client.listening(hear):
            try:
                return client.train(options.epochs, options.batch)
            except KeyboardInterrupt as error:
                raise Stopped("Stopped waiting: the running node finishes this round.", "See: node stats") from error
    except NotRunning:  # also when a node that was killed has left its control file
        return _here(config, options, tell)


def _here(config: Config, options: Options, tell: Tell) -> dict[str, Any]:
    from ml.threads import limit_threads

    limit_threads()
    import msgspec

    from node.app import open_mesh
    from node.single import one_round
    from node.telemetry import notes

    def progress(facts: EpochFacts) -> None:
        tell(msgspec.to_builtins(facts))

    with notes(sys.stderr), open_mesh(config, options.passphrase) as mesh:
        row = asyncio.run(one_round(mesh, progress, options.epochs, options.batch))
        lost = mesh.parts.learning.lost
        start = mesh.parts.learner.genesis
    facts = dict(msgspec.to_builtins(row))
    if lost:  # a chain of them that ends at the shared start has lost all there was
        facts |= {"lost": len(lost), "from_genesis": any(parent in ("", start) for parent in lost.values())}
    return facts


@contextmanager
def told(what: str, epochs: int) -> Iterator[Tell]:
    """A progress bar of epochs on standard error; where that is no terminal, a line now and then."""
    if not sys.stderr.isatty():
        yield _now_and_then(what, epochs)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[place]}"), TimeElapsedColumn())
    with Progress(*columns, console=console(error=True), transient=True) as bars:
        task = bars.add_task(what, total=epochs, place="")

        def tell(facts: Mapping[str, Any]) -> None:
            place = f"epoch {facts['epoch']} of {epochs}: {facts['rmse_db']:.3f} dB"
            bars.update(task, completed=facts["epoch"], place=place)

        yield tell


def _now_and_then(what: str, epochs: int) -> Tell:
    last = time.monotonic()

    def tell(facts: Mapping[str, Any]) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= EVERY:
            last = now
            show_line(f"{what}, epoch {facts['epoch']} of {epochs}: {facts['rmse_db']:.3f} dB", error=True)

    return tell


def _updates(count: int) -> str:
    return "an update" if count == 1 else f"{count} updates"
