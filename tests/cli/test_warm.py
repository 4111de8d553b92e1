"""`node warm` as its user sees it."""

from __future__ import annotations

import json

from cli.app import run


def test_it_says_what_each_engine_took(babelmesh_home, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "140")
    assert run(["warm", "--task", "tts", "--task", "mt"]) in (0, 2)
    shown = capsys.readouterr().out
    assert "espeak-ng" in shown
    assert "second job" in shown


def test_json_has_the_figures_and_what_is_not_there_is_told(babelmesh_home, capsys):
    assert run(["warm", "--task", "tts", "--task", "conversion", "--json"]) == 2
    speech, conversion = json.loads(capsys.readouterr().out)["engines"]
    assert speech["engine"] == "espeak-ng"
    assert speech["warm"] > 0
    assert conversion["trouble"]
