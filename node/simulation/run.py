"""A simulation from the wish to the outcome: people, ground, rounds, the control, and the report on disk.

The same people with the same work and no peers run beside it as the control. With a folder everything is kept there,
and the same wish goes on from where it was stopped. Knows nothing of how it is asked for or shown.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ml.federated.simulation import RoundFacts
from node.simulation.cast import Cast, cast
from node.simulation.kept import Kept
from node.simulation.origin import origin
from node.simulation.outcome import Errors, Final, Outcome, RoundRow, Spread, gains, largest_loss, spread, worse
from node.simulation.stop import Stop
from node.simulation.wish import Cut, Wish, check
from node.simulation.within import Within
from node.stopped import Stopped

SAVE_EVERY = 20.0
"""Seconds of work that a power cut, or whoever does not wait for a round's end, may lose beside that round."""

Tell = Callable[[RoundRow], None]


def simulate(
    wish: Wish, cut: Cut, out: Path | None = None, tell: Tell = lambda row: None, stop: Stop | None = None
) -> Outcome:
    """All rounds of the wish. `tell` is called after every round, also for those that were done before a stop.

    Whoever asks `stop`, once, loses no round that was finished, when there is a folder. Raises Stopped then; BadRequest
    for what makes no sense or an `out` that holds something else or cannot be written to, the studio's errors for
    speech that cannot be read, and Unavailable for an engine that is not installed.
    """
    check(wish, cut)
    kept = Kept(out, _settings(wish)) if out is not None else None
    done = 0

    def count(row: RoundRow) -> None:
        nonlocal done
        done = row.number
        tell(row)

    try:
        outcome = kept.outcome() if kept is not None else None
        if outcome is None:
            outcome = _played(wish, cut, kept, count, stop or Stop())
        else:
            for row in outcome.rounds:
                count(row)
        if kept is not None:
            kept.report(outcome)
    except KeyboardInterrupt as error:
        raise _stopped(wish, kept, out, done) from error
    return outcome


def _played(wish: Wish, cut: Cut, kept: Kept | None, tell: Tell, stop: Stop) -> Outcome:
    """All rounds that are left, and what came out of them, which is kept."""
    stage = cast(wish, cut)
    with closing(stage.engine):
        play = _Play(stage, wish, kept)
        try:
            for row in play.rows:
                tell(row)
            while len(play.rows) < wish.rounds:
                with stop.held(play.unsaved):
                    row = play.step()
                tell(row)
            with stop.held(play.unsaved):
                outcome = msgspec.structs.replace(play.outcome(), origin=origin(wish, cut))
                if kept is not None:
                    kept.finish(outcome)
        except KeyboardInterrupt:
            play.save()
            raise
    return outcome


def _stopped(wish: Wish, kept: Kept | None, out: Path | None, done: int) -> Stopped:
    """What is on the disk at a stop, in words."""
    number = kept.number if kept is not None else 0
    if kept is not None and kept.outcome() is not None:
        sentence = f"Stopped: all {number} rounds and what came out of them are kept in {out}."
        return Stopped(sentence, "The same command writes what is missing of the report.")
    if not number:
        sentence = f"Stopped: nothing is kept, as {'no round was finished' if not done else 'there is no --out'}."
        if out is not None and done:
            sentence = "Stopped at once: nothing is kept."
        again = "The same command begins anew." if out is not None else "With --out FOLDER finished rounds are kept."
        return Stopped(sentence, again)
    lost = f", {done - number} later ones are not" if done > number else ""
    sentence = f"Stopped: {number} of {wish.rounds} rounds are kept in {out}{lost}."
    return Stopped(sentence, "The same command goes on from there.")


class _Play:
    """The simulation and its control, round by round."""

    def __init__(self, stage: Cast, wish: Wish, kept: Kept | None) -> None:
        self._stage, self._wish, self._kept = stage, wish, kept
        self.rows: list[RoundRow] = []
        self._main = stage.main()
        self._alone = stage.alone(self._main) if wish.control else None
        if kept is not None and (found := kept.resume(stage, wish.control)) is not None:
            self.rows, self._main, self._alone = found
        self._saved, self._on_disk, self._within = time.monotonic(), len(self.rows), False

    @property
    def unsaved(self) -> bool:
        """Whether there are finished rounds that a stop would lose, and a folder to keep them in."""
        return self._kept is not None and len(self.rows) > self._on_disk

    def save(self) -> None:
        """Keep the last finished round. In the middle of another there is none, and what was kept stays."""
        if self._kept is None or self._within or not self.unsaved or self._kept.outcome() is not None:
            return
        self._kept.save(self.rows, self._main, self._alone)
        self._saved, self._on_disk = time.monotonic(), len(self.rows)

    def step(self) -> RoundRow:
        """One round of both."""
        began, worked, self._within = time.monotonic(), self._worked(), True
        facts = self._main.step()
        seconds, cpu = time.monotonic() - began, self._worked() - worked
        row = self._row(facts, self._errors_alone(), seconds, cpu)
        self.rows.append(row)
        self._within = False
        if time.monotonic() - self._saved > SAVE_EVERY:
            self.save()
        return row

    @cached_property
    def _start(self) -> Errors:
        """Everybody's error before the first round; hostile people have none. Known from then on."""
        start = self._stage.errors(None, range(self._stage.people), "held_out")
        start[list(self._main.hostile)] = np.nan
        return start

    def _errors_alone(self) -> Errors | None:
        """Everybody's errors in the control, which goes a round on when it runs beside."""
        if isinstance(self._alone, Within):
            return self._alone.errors()
        return self._alone.step().errors if self._alone is not None else None

    def _worked(self) -> float:
        """Seconds of processor time so far, those of other processes included."""
        return time.process_time() + self._stage.engine.elsewhere

    def _row(self, facts: RoundFacts, alone: Errors | None, seconds: float, cpu: float) -> RoundRow:
        return RoundRow(
            number=facts.number,
            time=facts.time,
            gain=spread(gains(facts.errors, self._start)),
            alone=self._spread_alone(alone),
            worse_than_alone=worse(facts.errors, alone) if alone is not None else None,
            online=facts.online,
            accepted=facts.accepted if np.isfinite(facts.accepted) else None,
            messages=facts.messages,
            sent=facts.sent,
            seconds=seconds,
            cpu_seconds=cpu,
        )

    def _spread_alone(self, alone: Errors | None) -> Spread | None:
        return spread(gains(np.where(np.isnan(self._start), np.nan, alone), self._start)) if alone is not None else None

    def outcome(self) -> Outcome:
        """All that was found out."""
        people, rows = self._stage.people, self.rows
        rounds = max(len(rows), 1)
        work = max(sum(row.online for row in rows), 1)
        return Outcome(
            settings=_settings(self._wish),
            speech=self._stage.speech,
            people=people,
            hostile=len(self._main.hostile),
            parameters=self._stage.ground.cohort.layout.parameters,
            rounds=list(rows),
            final=self._final(),
            seconds_per_round=sum(row.seconds for row in rows) / rounds,
            cpu_ms_per_person_round=1e3 * sum(row.cpu_seconds for row in rows) / work,
            bytes_per_person_round=sum(row.sent for row in rows) / work,
            memory_mb=max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
            / 1e3,
            version=version("babelmesh"),
        )

    def _final(self) -> Final:
        honest = np.setdiff1d(np.arange(self._stage.people), self._main.hostile).tolist()
        genesis = self._stage.errors(None, honest, "test")
        errors = self._stage.errors(self._main, honest, "test")
        gained = gains(errors, genesis)
        alone = self._stage.errors(self._alone, honest, "test") if self._alone is not None else None
        return Final(
            rmse_db=_db(errors),
            genesis_rmse_db=_db(genesis),
            gain=spread(gained),
            alone=spread(gains(alone, genesis)) if alone is not None else None,
            worse_than_alone=worse(errors, alone) if alone is not None else None,
            largest_loss=largest_loss(errors, alone) if alone is not None else None,
            gains=_numbers(gained),
            gains_alone=_numbers(gains(alone, genesis)) if alone is not None else [],
        )


def _db(errors: Errors) -> float:
    """Log-mel RMSE in dB of the mean over people."""
    from ml.voice.measures import rmse_db

    return rmse_db(float(np.nanmean(errors)))


def _numbers(values: Errors) -> list[float]:
    return [round(float(value), 4) for value in values[np.isfinite(values)]]


def _settings(wish: Wish) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(wish).items()}
