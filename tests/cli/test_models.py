"""`node models` as its user sees it."""

import json

from cli.app import run


def test_models_are_listed_with_their_licence(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("BABELMESH_MODELS", str(tmp_path))
    assert run(["models", "list"]) == 0
    shown = capsys.readouterr().out
    assert "resemblyzer" in shown
    assert "Apache-2.0" in shown
    assert "missing" in shown


def test_what_is_here_is_not_pulled_again_and_verifies(capsys, models_dir, monkeypatch):
    monkeypatch.setenv("BABELMESH_MODELS", str(models_dir))
    assert run(["models", "pull", "resemblyzer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["state"] == "present"
    assert run(["models", "verify"]) == 0
    assert "present" in capsys.readouterr().out


def test_a_wrong_wheel_is_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("BABELMESH_MODELS", str(tmp_path / "models"))
    wheel = tmp_path / "resemblyzer-0.1.4-py3-none-any.whl"
    wheel.write_bytes(b"PK nothing")
    assert run(["models", "pull", "resemblyzer", "--from", str(wheel)]) == 2
    assert str(wheel.name) in capsys.readouterr().err
