"""`node train` as its user sees it."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli.app import run
from cli.train import outcome, stopped, told
from ml.audio.logmel import HOP_SECONDS
from node.stats import LAYOUT
from node.store import Store
from p2p.identity import Identity
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


def test_a_key_with_a_passphrase_opens_with_it(
    babelmesh_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Identity.create(babelmesh_home / "identity.pem", "open sesame")
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    assert run(["train"]) == 2
    assert "passphrase" in capsys.readouterr().err
    assert run(["train", "--passphrase-file", str(secret)]) == 2
    assert "not enough speech" in capsys.readouterr().err
    assert run(["train", "--passphrase-file", str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err


def test_what_a_killed_node_has_left_is_no_obstacle(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        left = {"url": f"http://127.0.0.1:{taken.getsockname()[1]}", "token": "x", "pid": os.getpid(), "started_at": 0}
        (babelmesh_home / "control.json").write_text(json.dumps(left))
        assert run(["train"]) == 2
    assert "not enough speech" in capsys.readouterr().err


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
    mixed = " ".join(outcome(row | {"alpha": 0.7, "alpha_next": 0.72}))
    assert "With an update of peers (0.70 of your own model, 0.72 next time (learnt)): 1.900 dB." in mixed
    fixed = " ".join(outcome(row | {"alpha": 0.7, "alpha_next": None}))
    assert "With an update of peers (0.70 of your own model): 1.900 dB." in fixed
    assert "more of speech" not in " ".join(outcome(row | {"frames": round(400 / HOP_SECONDS)}))


@pytest.mark.parametrize(("option", "most"), [("--epochs", "1000"), ("--batch", "65536")])
def test_no_more_than_the_settings_take(option: str, most: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", option, str(int(most) + 1)]) == 2
    assert f"{most}." in capsys.readouterr().err
    assert run(["train", option, most]) == 2
    assert "not enough speech" in capsys.readouterr().err


def test_ctrl_c_says_what_is_kept(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [dict(ROW), dict(ROW)]

    def one_round(*arguments: object) -> dict[str, object]:
        if not rows:
            raise KeyboardInterrupt
        return rows.pop()

    monkeypatch.setattr("cli.train._here", one_round)
    assert run(["train", "--rounds", "500"]) == 130
    told = capsys.readouterr().err
    assert "round 3 of 500. Rounds 1 to 2 are kept" in told
    assert "--rounds 498" in told
    assert run(["train"]) == 130
    told = capsys.readouterr().err
    assert "nothing of it is kept" in told
    assert "goes on from here" not in told
    assert "Round 1 is kept" in stopped(1, 2).sentence


def test_ctrl_c_leaves_a_running_node_at_its_round(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], babelmesh_home: Path
) -> None:
    def train(*arguments: object) -> None:
        raise KeyboardInterrupt

    with running_node(babelmesh_home):
        monkeypatch.setattr("cli.client.Client.train", train)
        assert run(["train", "--rounds", "3"]) == 130
    assert "the running node finishes this round" in capsys.readouterr().err


def test_progress_is_told_without_a_terminal_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 5.0, 15.0, 20.0, 31.0])
    monkeypatch.setattr("cli.train.time", SimpleNamespace(monotonic=lambda: next(clock)))
    with told("round 2 of 4", 100) as tell:
        for epoch in (1, 2, 3, 4):
            tell({"epoch": epoch, "rmse_db": 2.5})
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["round 2 of 4, epoch 2 of 100: 2.500 dB", "round 2 of 4, epoch 4 of 100: 2.500 dB"]


def test_what_is_to_be_noted_is_said_in_words_and_not_on_standard_output(
    babelmesh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(babelmesh_home / "node.db") as store:
        store.set_fact(LAYOUT, "b4h80")
    assert run(["train", "--json"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["remedy"]
    assert "Note: Another model learns here now (model: " in told.err
    assert "kept: b4h80)" in told.err
    assert "[info" not in told.err


def test_models_that_are_lost_are_told_of_at_the_end() -> None:
    told = " ".join(outcome(ROW | {"lost": 37, "from_genesis": True}))
    assert "37 models that were learnt here are lost or damaged" in told
    assert "from the shared start" in told
    told = " ".join(outcome(ROW | {"lost": 1, "from_genesis": False}))
    assert "A model that was learnt here is lost or damaged" in told
    assert "from an older one" in told


def test_the_line_in_training_is_not_mistaken_for_what_speaks() -> None:
    told = " ".join(outcome(ROW | {"rmse_trained": 1.9, "rmse_best": 1.95}))
    assert "What speaks for you is another one, held nearer to the shared model" in told
    assert "1.950 dB" in told
    assert "best model so far" not in told
    assert "best model so far" in " ".join(outcome(ROW | {"rmse_trained": 1.9004, "rmse_best": 1.9}))
