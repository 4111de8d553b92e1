"""A whole simulation: what it says is so, it goes on after a stop, and the same seed gives the same numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from node.errors import BadRequest
from node.simulation import run
from node.simulation.cast import cast
from node.simulation.outcome import Outcome, RoundRow
from node.simulation.run import simulate
from node.simulation.wish import Cut, Wish
from tests.fakes import Shuffled

WISH = Wish(peers=6, rounds=3, seconds=3, seed=5)


def numbers(outcome: Outcome) -> object:
    """All but what depends on the machine's haste."""
    rows = [msgspec.structs.replace(row, seconds=0.0, cpu_seconds=0.0) for row in outcome.rounds]
    return msgspec.to_builtins((rows, outcome.final, outcome.bytes_per_person_round))


@pytest.fixture(scope="module")
def whole() -> Outcome:
    return simulate(WISH, Cut(threads=1))


def test_people_gain_and_every_round_is_told(whole: Outcome) -> None:
    assert [row.number for row in whole.rounds] == [1, 2, 3]
    assert whole.people == 6
    assert whole.final is not None
    assert whole.final.gain.people == 6
    assert whole.rounds[-1].gain.mean > whole.rounds[0].gain.mean > 0
    assert whole.rounds[0].messages == 0, "nobody has said anything before the first round"
    assert whole.rounds[1].messages == 6 * 3
    assert 18 * 3_000 < whole.rounds[1].sent < 18 * 8_000, "snapshots"
    assert 18 * 3_000 < whole.rounds[2].sent < 18 * 8_000, "updates, of the same encoding"
    assert whole.final.alone is not None
    assert len(whole.final.gains) == len(whole.final.gains_alone) == 6
    assert whole.final.rmse_db < whole.final.genesis_rmse_db


@pytest.mark.parametrize("cut", [Cut(threads=2, chunk=1), Cut(threads=1, chunk=5)])
def test_how_the_work_is_cut_changes_no_number(whole: Outcome, cut: Cut) -> None:
    assert numbers(simulate(WISH, cut)) == numbers(whole)


def test_another_seed_gives_other_numbers(whole: Outcome) -> None:
    assert numbers(simulate(replace(WISH, seed=6), Cut(threads=1))) != numbers(whole)


def test_it_goes_on_after_a_stop_as_if_there_had_been_none(
    whole: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "SAVE_EVERY", 0.0)
    out = tmp_path / "out"

    def stop(row: RoundRow) -> None:
        if row.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(WISH, Cut(threads=1), out, stop)
    told: list[int] = []
    outcome = simulate(WISH, Cut(threads=2, chunk=2), out, lambda row: told.append(row.number))
    assert numbers(outcome) == numbers(whole)
    assert told == [1, 2, 3]
    assert {path.name for path in out.iterdir()} == {"result.json", "report.html", "plots.png"}
    again = simulate(WISH, Cut(), out, lambda row: told.append(row.number))
    assert numbers(again) == numbers(whole)
    assert told == [1, 2, 3] * 2, "a finished one is read, and told"
    with pytest.raises(BadRequest, match="another seed"):
        simulate(replace(WISH, seed=9), Cut(), out)


def test_hostile_people_do_not_count_among_the_people(whole: Outcome) -> None:
    outcome = simulate(replace(WISH, hostile="0.34:nan", control=False), Cut(threads=1))
    assert outcome.hostile == 2
    assert outcome.final is not None
    assert outcome.final.gain.people == 4
    assert np.isfinite(outcome.final.gains).all()
    assert outcome.final.alone is None
    assert all(row.alone is None for row in outcome.rounds)


def test_people_who_are_away_do_not_take_part() -> None:
    outcome = simulate(replace(WISH, peers=20, churn=0.5, rounds=2, control=False), Cut(threads=1))
    assert all(2 < row.online < 18 for row in outcome.rounds)


def test_another_engine_gives_the_same_numbers_and_is_let_go(whole: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Shuffled(2)
    monkeypatch.setattr(run, "cast", lambda wish, cut: replace(cast(wish, cut), engine=engine))
    found = simulate(WISH, Cut(threads=1, chunk=2))
    assert numbers(found) == numbers(whole)
    assert engine.closed == 1
    assert all(row.cpu_seconds > 3 for row in found.rounds), "seconds of other processes count"
