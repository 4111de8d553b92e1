"""`node config` as its user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cli.app import run
from node.frames import FrameShelf


def test_settings_are_shown_with_where_they_come_from(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (babelmesh_home / "babelmesh.toml").write_text('[train]\nalpha = 0.5\n[node]\nlisten = ["/ip4/0.0.0.0/tcp/1"]\n')
    assert run(["config", "show", "--json"]) == 0
    told = {one["key"]: one for one in json.loads(capsys.readouterr().out)["settings"]}
    assert told["train.alpha"] == {"key": "train.alpha", "value": 0.5, "source": "babelmesh.toml:2"}
    assert told["home"]["source"] == "BABELMESH_HOME"
    assert run(["config", "show"]) == 0
    shown = capsys.readouterr().out
    assert "babelmesh.toml:2" in shown
    assert "/ip4/0.0.0.0/tcp/1" in shown
    assert "true" in shown


def test_checking_says_when_a_voice_is_not_there(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, voices = babelmesh_home / "babelmesh.toml", babelmesh_home / "voices"
    file.write_text('[voice]\nprofile = "me"\n[train]\nvoice = "me"\n')
    assert run(["config", "check"]) == 2
    told = capsys.readouterr().err.replace("\n", "")
    assert f"{file}:2: voice.profile: there is no voice called 'me'." in told
    assert "node voice add me" in told
    voices.mkdir()
    (voices / "me.voice").write_bytes(b"")
    assert run(["config", "check", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert ":4: train.voice: there is no voice with speech to learn from called 'me'." in told["error"]
    assert "node voice add me RECORDING... --more" in told["remedy"]
    FrameShelf(voices).add("me", [np.zeros((100, 80), np.float32)])
    assert run(["config", "check"]) == 0
    assert "is fine" in capsys.readouterr().out


def test_checking_says_fine_or_what_is_wrong(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = babelmesh_home / "babelmesh.toml"
    assert run(["config", "check"]) == 0
    assert f"no {file}" in capsys.readouterr().out
    file.write_text('[train]\nmethod = "mix"\nalpha = 0.5\n')
    assert run(["config", "check"]) == 0
    assert "is fine" in capsys.readouterr().out
    assert run(["config", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    file.write_text("[train]\nalfa = 0.5\n")
    for command in ("check", "show"):
        assert run(["config", command, "--json"]) == 2
        told = json.loads(capsys.readouterr().out)
        assert "babelmesh.toml:2: train.alfa" in told["error"]
        assert told["remedy"] == "Did you mean alpha?"


def test_checking_notes_an_alpha_that_nothing_uses(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = babelmesh_home / "babelmesh.toml"
    file.write_text('[train]\nalpha = "auto"\n')
    assert run(["config", "check"]) == 0
    told = capsys.readouterr()
    assert ":2: train.alpha is not used" in told.out
    assert 'method = "mix"' in told.out
    assert run(["config", "check", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["notes"]) == 1
    file.write_text('[train]\nalpha = "auto"\nmethod = "mix"\n')
    assert run(["config", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []


def test_an_alpha_that_cannot_be_is_told_of_auto(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (babelmesh_home / "babelmesh.toml").write_text("[train]\nalpha = 1.4\n")
    assert run(["config", "check"]) == 2
    assert 'of at most 1.0 or "auto"' in " ".join(capsys.readouterr().err.split())


def test_checking_refuses_a_privacy_that_no_peer_could_use(
    babelmesh_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Accountant:
        def sigma_for(self, epsilon: float, delta: float, shares: int) -> float:
            return 5.0

    monkeypatch.setattr("ml.federated.privacy.accountant.Accountant", Accountant)
    (babelmesh_home / "babelmesh.toml").write_text("[privacy]\nepsilon = 8.0\n")
    assert run(["config", "check"]) == 2
    assert "nobody could use what you publish" in " ".join(capsys.readouterr().err.split())
    (babelmesh_home / "babelmesh.toml").write_text('[privacy]\nepsilon = 8.0\nshare = "subspace"\n')
    assert run(["config", "check"]) == 0


@pytest.mark.parametrize(
    ("said", "told", "remedy"),
    [
        ('mt = "nope"', "engines.mt: There is no mt engine called 'nope'.", "Those that are here"),
        ('mt = "espeak-ng"', "engines.mt: espeak-ng is no mt engine: its task is tts.", ""),
        ('ast = "x"', "engines.ast: There is no ast engine called 'x'.", ""),
        ('isolation = ["zz"]', "toml:2: engines.isolation: 'zz' is no engine of a fetched", "node models list"),
        ('warm = true\nisolation = ["whisper-smal"]', "toml:3: engines.isolation: 'whisper-smal'", "whisper-small"),
        ('isolation = "process"', "engines.isolation: expected a list", 'isolation = ["whisper-small"]'),
        ("compile = true", "engines.compile: expected", 'compile = "auto", "off" or "on"'),
    ],
)
def test_checking_finds_engines_that_cannot_be_used(
    said: str, told: str, remedy: str, babelmesh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (babelmesh_home / "babelmesh.toml").write_text(f"[engines]\n{said}\n")
    assert run(["config", "check", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert told in found["error"]
    assert remedy in found["remedy"]
    (babelmesh_home / "babelmesh.toml").write_text('[engines]\nmt = "auto"\ntts = "espeak-ng"\n')
    assert run(["config", "check"]) == 0


def test_checking_finds_catalogues_and_folders_of_models_that_are_not_there(
    babelmesh_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BABELMESH_MODELS", raising=False)
    file, mine = babelmesh_home / "babelmesh.toml", babelmesh_home / "mine.toml"
    file.write_text('models = "mine.toml"\ncatalogues = ["mine.toml"]\n')
    assert run(["config", "check", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert f"{file}:2: catalogues: {mine} is not there." in told["error"]
    assert "docs/models.md" in told["remedy"]
    mine.write_text("model = 3\n")
    assert run(["config", "check", "--json"]) == 2
    assert str(mine) in json.loads(capsys.readouterr().out)["error"]
    mine.write_text("")
    assert run(["config", "check", "--json"]) == 2
    assert f"{file}:1: models: {mine} is a file, not a folder." in json.loads(capsys.readouterr().out)["error"]
    file.write_text('models = "nope"\ncatalogues = ["mine.toml"]\n')
    assert run(["config", "check", "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert f"{file}:1: models: {babelmesh_home / 'nope'} is not there" in note
    (babelmesh_home / "nope").mkdir()
    assert run(["config", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []


def test_checking_looks_at_the_homes_own_catalogue(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (babelmesh_home / "catalogue.toml").write_text("model = 3\n")
    assert run(["config", "check", "--json"]) == 2
    assert "catalogue" in json.loads(capsys.readouterr().out)["error"]


def test_what_an_editor_of_windows_writes_is_read(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = babelmesh_home / "babelmesh.toml"
    file.write_bytes(b'\xef\xbb\xbfmodels = "nowhere"\r\n[train]\r\nalpha = 0.5\r\n')
    assert run(["config", "check"]) == 0
    told = capsys.readouterr().out
    assert f"{file}:1: models:" in told
    assert f"{file}:3: train.alpha is not used" in told
    assert run(["config", "show", "--json"]) == 0
    shown = {one["key"]: one for one in json.loads(capsys.readouterr().out)["settings"]}
    assert shown["models"]["source"] == "babelmesh.toml:1"


def test_an_engine_without_a_name_is_no_engine(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (babelmesh_home / "babelmesh.toml").write_text('[engines]\nasr = ""\n')
    assert run(["config", "check", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert "babelmesh.toml:2: engines.asr: " in told["error"]
    assert told["remedy"]


@pytest.mark.parametrize("key", ["models", "catalogues"])
def test_a_home_folder_that_nobody_has_is_a_mistake_of_the_settings(
    babelmesh_home: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    named = '"~nobody-here/x"' if key == "models" else '["~nobody-here/x"]'
    (babelmesh_home / "babelmesh.toml").write_text(f"{key} = {named}\n")
    for command in (["config", "check"], ["config", "show"], ["doctor"]):
        assert run([*command, "--json"]) == 2
        told = json.loads(capsys.readouterr().out)
        assert f"babelmesh.toml:1: {key}: ~nobody-here/x: nobody here has that home folder." in told["error"]
        assert told["remedy"]
