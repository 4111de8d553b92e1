"""`node simulate` as its user sees it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from cli.app import run
from ml.federated.simulation import RoundFacts, Simulation

SMALL = ("--peers", "5", "--rounds", "2", "--seconds", "3", "--threads", "1")


def test_a_simulation_is_shown_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(["simulate", *SMALL, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "5 nodes" in shown
    assert "The same people alone" in shown
    assert str(out / "report.html") in shown
    assert (out / "plots.png").read_bytes().startswith(b"\x89PNG")
    assert run(["simulate", *SMALL, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["people"] == 5
    assert [row["number"] for row in told["rounds"]] == [1, 2]
    assert told["seconds_per_round"] > 0
    assert told == json.loads((out / "result.json").read_text())


def test_without_a_control_nothing_is_said_of_being_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", *SMALL, "--no-control", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["final"]["alone"] is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--topology", "star"], "star"),
        (["--algorithm", "magic"], "magic"),
        (["--hostile", "0.5"], "0.5"),
        (["--peers", "1"], "One node alone"),
        (["--peers", "many"], "many"),
        (["--speech", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--disk", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--peers", "100000000"], "100,000,000 nodes"),
        (["--engine", "cloud"], "cloud"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", *arguments, "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert named in told["error"]
    assert told["remedy"]


def test_ctrl_c_keeps_the_round_and_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = Simulation.step, tmp_path / "out"

    def pressed(self: Simulation) -> RoundFacts:
        if self.number == 1:
            signal.raise_signal(signal.SIGINT)
        return whole(self)

    words = ["simulate", "--peers", "5", "--rounds", "3", "--seconds", "3", "--threads", "1", "--out", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr(Simulation, "step", pressed)
        assert run(words) == 130
    shown = capfd.readouterr().err
    assert "Stopping after this round" in shown
    assert f"2 of 3 rounds are kept in {out}" in shown
    assert run([*words, "--json"]) == 0
    assert len(json.loads(capfd.readouterr().out)["rounds"]) == 3


def test_ctrl_c_before_the_first_round_keeps_nothing_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.simulation.run.cast", lambda wish, cut: signal.raise_signal(signal.SIGINT))
    assert run(["simulate", *SMALL, "--out", str(tmp_path / "out"), "--json"]) == 130
    assert "nothing is kept" in json.loads(capsys.readouterr().out)["error"]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("wait", [2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
def test_a_real_process_keeps_what_it_says_it_keeps(tmp_path: Path, wait: float) -> None:
    """Whenever the signal comes: it ends, and what it says of rounds is what is in the folder."""
    start = [sys.executable, "-c", "from cli.app import main; main()"]
    words = [*start, "simulate", "--peers", "60", "--rounds", "500", "--out", str(tmp_path / "o")]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    with suppress(subprocess.TimeoutExpired):
        process.wait(wait)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130, told
    found = re.search(r"(\d+) of 500 rounds are kept", told)
    state = tmp_path / "o" / "state.json"
    kept = len(json.loads(state.read_bytes())["rows"]) if state.exists() else 0
    assert kept == (int(found[1]) if found else 0), told


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result.json").write_text("mine")
    assert run(["simulate", *SMALL, "--out", str(tmp_path), "--json"]) == 2
    assert "no simulation" in json.loads(capsys.readouterr().out)["error"]
    assert (tmp_path / "result.json").read_text() == "mine"
