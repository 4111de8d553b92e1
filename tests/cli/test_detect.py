"""`node detect` as its user sees it."""

from __future__ import annotations

import json
from pathlib import Path

from cli.app import run
from ml.audio.read import read
from node.marking import MarkedWriter, Origin, marking


def test_it_tells_marked_from_unmarked(babelmesh_home, repository: Path, tmp_path, capsys) -> None:
    speech = repository / "examples" / "audio" / "lj.flac"
    made = marking(Origin("en", "es", speech))
    with MarkedWriter(tmp_path / "a.flac", made) as writer:
        writer.write(read(speech).samples)
    assert run(["detect", str(tmp_path / "a.flac")]) == 0
    shown = capsys.readouterr().out
    assert f"Synthetic speech by Babelmesh, job {made.mark.job}" in shown
    assert "once in a thousand million recordings." in " ".join(shown.split())
    assert "The file says: synthetic speech: translated from en to es" in shown
    assert run(["detect", str(speech), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["marked"] is False
    assert told["said"] == ""
    assert run(["detect", str(tmp_path / "nowhere.wav")]) == 2
