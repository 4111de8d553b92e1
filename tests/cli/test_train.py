"""`node train` as its user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run
from cli.train import outcome
from ml.audio.logmel import HOP_SECONDS
from tests.fakes import running_node

ROW = {
    "number": 3,
    "frames": round(30 / HOP_SECONDS),
    "seconds": 7.5,
    "rmse_start": 2.5,
    "rmse_trained": 2.0,
    "rmse_adopted": 1.9,
    "rmse_best": 1.9,
    "rmse_genesis": 2.5,
    "merged": 0,
}


def test_a_running_node_does_it(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_node(babelmesh_home) as mesh:
        assert run(["train", "--epochs", "2", "--batch", "32", "--rounds", "2"]) == 0
        assert mesh.asked == [("train", 2, 32)] * 2
        assert capsys.readouterr().out.count("Round 3: trained on") == 2
        assert run(["train", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["rounds"][0]["number"] == 3


def test_without_speech_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train"]) == 2
    told = capsys.readouterr().err
    assert "not enough speech" in told
    assert "node voice add" in told


@pytest.mark.parametrize("option", ["--epochs", "--batch", "--rounds"])
def test_nothing_is_done_no_times(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", option, "0"]) == 2
    assert option in capsys.readouterr().err


def test_the_outcome_in_words() -> None:
    told = " ".join(outcome(ROW))
    assert "trained on 30 s of speech in 7.5 s" in told
    assert "from 2.500 to 2.000 dB: 0.500 dB, or 36.0% of the squared error" in told
    assert "best model so far: 1.900 dB, 42.2% less" in told
    assert "30 s more of speech would help: a minute" in told
    assert "peers" not in told


def test_the_outcome_when_nothing_got_better_and_when_peers_helped() -> None:
    row = ROW | {"rmse_trained": 2.5, "merged": 1, "rmse_genesis": None, "frames": round(120 / HOP_SECONDS)}
    told = " ".join(outcome(row))
    assert "nothing got better: 2.500 dB" in told
    assert "With an update of peers: 1.900 dB." in told
    assert "best model so far: 1.900 dB." in told
    assert "4 min more of speech would help" in told
    assert "more of speech" not in " ".join(outcome(row | {"frames": round(400 / HOP_SECONDS)}))
