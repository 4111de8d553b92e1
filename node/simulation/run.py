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

import numpy as np

from ml.federated.simulation import RoundFacts
from node.files import write_bytes, write_text
from node.simulation.cast import Cast, cast
from node.simulation.kept import Kept
from node.simulation.outcome import Errors, Final, Outcome, RoundRow, Spread, gains, largest_loss, spread, worse
from node.simulation.page import page
from node.simulation.plots import png
from node.simulation.wish import Cut, Wish, check
from node.simulation.within import Within

SAVE_EVERY = 20.0
"""Seconds of work that a stop may lose, beside the round that is running."""

Tell = Callable[[RoundRow], None]


def simulate(wish: Wish, cut: Cut, out: Path | None = None, tell: Tell = lambda row: None) -> Outcome:
    """All rounds of the wish. `tell` is called after every round, also for those that were done before a stop.

    Raises BadRequest for what makes no sense or an `out` that holds something else, the studio's errors for speech that
    cannot be read, Unavailable for an engine that is not installed, and OSError when `out` cannot be written to.
    """
    check(wish, cut)
    kept = Kept(out, _settings(wish)) if out is not None else None
    if kept is not None and (finished := kept.outcome()) is not None:
        for row in finished.rounds:
            tell(row)
        return finished
    stage = cast(wish, cut)
    with closing(stage.engine):
        play = _Play(stage, wish, kept)
        for row in play.rows:
            tell(row)
        while len(play.rows) < wish.rounds:
            tell(play.step())
        outcome = play.outcome()
    if kept is not None and out is not None:
        kept.finish(outcome)
        write_bytes(out / "plots.png", png(outcome))
        write_text(out / "report.html", page(outcome))
    return outcome


class _Play:
    """The simulation and its control, round by round."""

    def __init__(self, stage: Cast, wish: Wish, kept: Kept | None) -> None:
        self._stage, self._wish, self._kept = stage, wish, kept
        self.rows: list[RoundRow] = []
        self._main = stage.main()
        self._alone = stage.alone(self._main) if wish.control else None
        if kept is not None and (found := kept.resume(stage, wish.control)) is not None:
            self.rows, self._main, self._alone = found
        self._saved = time.monotonic()

    def step(self) -> RoundRow:
        """One round of both."""
        began, worked = time.monotonic(), self._worked()
        facts = self._main.step()
        seconds, cpu = time.monotonic() - began, self._worked() - worked
        alone = self._errors_alone()
        row = self._row(facts, alone, seconds, cpu)
        self.rows.append(row)
        if self._kept is not None and time.monotonic() - self._saved > SAVE_EVERY:
            self._kept.save(self.rows, self._main, self._alone)
            self._saved = time.monotonic()
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
