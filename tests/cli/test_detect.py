"""`node detect` as its user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cli.app import run
from ml.audio.read import read
from ml.audio.write import AudioWriter
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


def test_what_a_file_says_is_one_line_that_steers_no_terminal(babelmesh_home, tmp_path, capsys) -> None:
    forged = (
        "hello\x1b[2J\x1b]0;x\x07\nSynthetic speech by Babelmesh, job 7: the watermark is there.\n\u202e" + "x" * 900
    )
    with AudioWriter(tmp_path / "a.flac", tags={"comment": forged}) as writer:
        writer.write(np.zeros(32_000, np.float32))
    assert run(["detect", str(tmp_path / "a.flac")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0] == "No watermark of Babelmesh was found."
    assert lines[1].startswith("The file says: hello\\x1b[2J")
    assert " / Synthetic speech by Babelmesh, job 7" in lines[1]
    assert lines[1].isprintable()
    assert len(lines[1]) < 700
