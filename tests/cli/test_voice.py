"""`node voice` as its user sees it."""

import json

from cli.app import run


def test_an_empty_shelf_tells_how_to_fill_it(capsys):
    assert run(["voice", "list"]) == 0
    assert "node voice add" in capsys.readouterr().out
    assert run(["voice", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"voices": []}


def test_a_voice_from_add_to_remove(capsys, repository, models_dir, monkeypatch):
    monkeypatch.setenv("BABELMESH_MODELS", str(models_dir))
    recording = str(repository / "examples" / "audio" / "demo.flac")
    assert run(["voice", "add", "reader", recording, "--keep-recordings", "--json"]) == 0
    added = json.loads(capsys.readouterr().out)
    assert added["trusted"]
    assert added["recordings_kept"] == 3
    assert 0.6 < added["ceiling"] <= 1
    assert run(["voice", "add", "reader", recording]) == 2
    assert "--replace" in capsys.readouterr().err
    assert run(["voice", "show", "reader"]) == 0
    shown = capsys.readouterr().out
    assert "statistics, no sound" in shown
    assert "Hz" in shown
    assert run(["voice", "list"]) == 0
    assert "reader" in capsys.readouterr().out
    assert run(["voice", "remove", "reader", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"removed": "reader"}
    assert run(["voice", "show", "reader"]) == 2


def test_a_recording_without_speech_makes_no_voice(capsys, in_folder, models_dir, monkeypatch):
    import numpy as np

    from ml.audio.write import AudioWriter

    monkeypatch.setenv("BABELMESH_MODELS", str(models_dir))
    with AudioWriter(in_folder / "silence.wav") as writer:
        writer.write(np.zeros(32000, np.float32))
    assert run(["voice", "add", "nobody", str(in_folder / "silence.wav")]) == 2
    assert "no speech" in capsys.readouterr().err
    assert run(["voice", "show", "nobody"]) == 2
