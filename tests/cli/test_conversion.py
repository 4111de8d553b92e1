"""`node voice convert` as its user sees it, with a small network in a folder of the user's own catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run
from ml.audio.read import read
from ml.audio.write import write
from ml.types import SAMPLE_RATE, Audio
from tests.ml.engines.tiny import catalogue


@pytest.fixture
def reader(repository: Path, models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A voice that keeps its recordings, and the recording that shall be said in it: 3.5 s of another speaker."""
    monkeypatch.setenv("BABELMESH_MODELS", str(models_dir))
    demo = str(repository / "examples" / "audio" / "demo.flac")
    assert run(["voice", "add", "reader", demo, "--keep-recordings", "--no-training"]) == 0
    other = tmp_path / "other.flac"
    write(other, Audio(read(repository / "examples" / "audio" / "lj.flac").samples[: 7 * SAMPLE_RATE // 2]))
    return str(other)


def test_without_an_engine_it_says_what_to_fetch(capsys, reader: str, in_folder: Path) -> None:
    capsys.readouterr()
    assert run(["voice", "convert", reader, "out.wav", "--voice", "reader"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "node models pull speecht5-vc" in said
    assert not (in_folder / "out.wav").exists()


def test_a_recording_is_said_in_an_enrolled_voice(
    capsys, reader: str, repository: Path, babelmesh_home: Path, in_folder: Path
) -> None:
    (babelmesh_home / "catalogue.toml").write_text(catalogue(["tiny-speecht5-vc"]))
    capsys.readouterr()
    assert run(["voice", "convert", reader, "out.wav", "--voice", "reader", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["engine"], facts["licence"], facts["voice"]) == ("tiny-speecht5-vc", "CC0-1.0", "reader")
    assert facts["pieces"] >= 1
    assert facts["silent"] == []
    assert -1 <= facts["similarity_before"] < facts["ceiling"] <= 1
    assert -1 <= facts["similarity_after"] <= 1
    assert read(in_folder / "out.wav").seconds == pytest.approx(facts["seconds"], abs=0.01)
    mine = str(repository / "examples" / "audio" / "demo.flac")
    words = [
        "voice",
        "convert",
        reader,
        "out.flac",
        "--voice",
        "reader",
        "--engine",
        "tiny-speecht5-vc",
        "--like",
        mine,
    ]
    assert run(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "asked for by name" in said
    assert "of the recordings given" in said
    assert "Likeness to reader" in said
    assert "synthetic imitation" in said
    assert run(["voice", "convert", reader, "no.wav", "--voice", "reader", "--like", reader]) == 2
    assert "do not sound like the voice reader" in " ".join(capsys.readouterr().err.split())
    assert run(["voice", "convert", reader, "no.wav", "--voice", "reader", "--engine", "odd"]) == 2
    assert "odd" in capsys.readouterr().err
    assert not (in_folder / "no.wav").exists()
