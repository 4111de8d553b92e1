"""A whole simulation: what it says is so, it goes on after a stop, and the same seed gives the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ml.federated.simulation.chance import Many
from ml.federated.simulation.engine import Local
from ml.federated.simulation.work import Done, Turn, Work
from node.errors import BadRequest
from node.simulation import run
from node.simulation.cast import cast
from node.simulation.outcome import Outcome, RoundRow
from node.simulation.run import simulate
from node.simulation.stop import Stop
from node.simulation.wish import Cut, Wish
from node.stopped import Stopped
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
    assert whole.origin["command"] == "node simulate --peers 6 --rounds 3 --seconds 3 --seed 5 --threads 1"


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
    for name in ("report.html", "plots.png"):
        (out / name).unlink()
    again = simulate(WISH, Cut(), out, lambda row: told.append(row.number))
    assert numbers(again) == numbers(whole)
    assert told == [1, 2, 3] * 2, "a finished one is read, and told"
    assert {path.name for path in out.iterdir()} == {"result.json", "report.html", "plots.png"}
    (out / "report.html").write_text("mine now")
    simulate(WISH, Cut(), out)
    assert (out / "report.html").read_text() == "mine now", "only what is missing is written"
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


class Pressed:
    """An engine beside which somebody asks to stop in the middle of a round, so many times."""

    def __init__(self, stop: Stop, number: int, times: int = 1, *, dropped: bool = False) -> None:
        self.elsewhere = 0.0
        self._local, self._stop, self._number, self._times, self._dropped = Local(1), stop, number, times, dropped

    def run(self, work: Work, chunks: Sequence[Many], turn: Callable[[Many], Turn]) -> Iterator[Done]:
        for done in self._local.run(work, chunks, turn):
            self._ask(turn(chunks[0]).number)
            yield done

    def _ask(self, number: int) -> None:
        while number == self._number and self._times:
            self._times -= 1
            try:
                self._stop.ask()
            except KeyboardInterrupt:
                if not self._dropped:
                    raise

    def close(self) -> None:
        """Nothing to let go."""


def stopped(monkeypatch: pytest.MonkeyPatch, out: Path | None, number: int, times: int = 1, **how: bool) -> Stopped:
    """Asked in the middle of round `number`, what a simulation says."""
    stop = Stop()
    engine = Pressed(stop, number, times, **how)
    with monkeypatch.context() as patch:
        patch.setattr(run, "cast", lambda wish, cut: replace(cast(wish, cut), engine=engine))
        with pytest.raises(Stopped) as said:
            simulate(WISH, Cut(threads=1), out, stop=stop)
    return said.value


def test_who_asks_once_loses_no_finished_round(whole: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert f"2 of 3 rounds are kept in {out}." in stopped(monkeypatch, out, 2).sentence
    assert numbers(simulate(WISH, Cut(threads=1), out)) == numbers(whole)


def test_in_the_last_round_too(whole: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "3 of 3 rounds are kept" in stopped(monkeypatch, tmp_path, 3).sentence
    assert numbers(simulate(WISH, Cut(threads=1), tmp_path)) == numbers(whole)
    assert (tmp_path / "report.html").exists()


def test_before_the_first_round_is_finished_nothing_is_kept_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = stopped(monkeypatch, tmp_path / "out", 1)
    assert said.sentence == "Stopped: nothing is kept, as no round was finished."
    assert not (tmp_path / "out").exists()


def test_without_a_folder_it_stops_at_once_and_says_how_to_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = stopped(monkeypatch, None, 2)
    assert said.sentence == "Stopped: nothing is kept, as there is no --out."
    assert "--out" in said.remedy


def test_who_asks_twice_does_not_wait_and_is_told_what_it_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stopped(monkeypatch, tmp_path / "out", 2, 2).sentence == "Stopped at once: nothing is kept."
    assert not (tmp_path / "out").exists()


def test_a_request_that_python_drops_stops_it_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "1 of 3 rounds are kept" in stopped(monkeypatch, tmp_path, 1, dropped=True).sentence


def test_stopped_while_the_report_is_drawn_the_same_command_writes_it(
    whole: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(outcome: Outcome) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("node.simulation.kept.png", interrupted)
        with pytest.raises(Stopped, match="all 3 rounds and what came out of them are kept") as said:
            simulate(WISH, Cut(threads=1), tmp_path)
    assert "writes what is missing" in said.value.remedy
    assert {path.name for path in tmp_path.iterdir()} == {"result.json"}
    assert numbers(simulate(WISH, Cut(threads=1), tmp_path)) == numbers(whole)
    assert {path.name for path in tmp_path.iterdir()} == {"result.json", "report.html", "plots.png"}
