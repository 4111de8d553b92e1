"""`node voice encode` and `node voice decode` as their user sees them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli.app import run
from ml.audio.read import read


def test_there_and_back(capsys: pytest.CaptureFixture[str], repository: Path, tmp_path: Path) -> None:
    recording, coded, sound = repository / "examples/audio/lj.flac", tmp_path / "a.bmc", tmp_path / "a.wav"
    assert run(["voice", "encode", str(recording), str(coded), "--rate", "1.6", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["bytes"] == coded.stat().st_size
    assert 0.8 < facts["kbits"] < 2.4
    assert facts["kbits"] < facts["file_kbits"] < facts["kbits"] + 0.1
    assert facts["codebook_bytes"] == 0
    assert run(["voice", "decode", str(coded), str(sound)]) == 0
    assert "kbit/s" in capsys.readouterr().out
    assert len(read(sound).samples) == len(read(recording).samples)


def test_the_figures_of_a_file_agree_and_say_what_they_are_of(
    capsys: pytest.CaptureFixture[str], repository: Path, tmp_path: Path
) -> None:
    recording, coded = repository / "examples/audio/lj.flac", tmp_path / "a.bmc"
    assert run(["voice", "encode", str(recording), str(coded), "--rate", "1.6"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    told = re.search(r"\(([\d.]+) s, (\d+) bytes\)\. The file is ([\d.]+) kbit/s, ([\d.]+) as bare packets", shown)
    assert told is not None, shown
    seconds, size, whole, bare = map(float, told.groups())
    assert size == coded.stat().st_size
    assert whole == pytest.approx(size * 8 / 1000 / seconds, rel=0.01)
    assert bare < whole
    assert "about 1.6 were asked for" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["encode", "nothing.wav", "a.bmc"], "nothing.wav"),
        (["encode", "{lj}", "a.bmc", "--rate", "64"], "rate"),
        (["encode", "{lj}", "a.wav"], ".bmc"),
        (["encode", "{lj}", "a.bmc", "--voice", "nobody"], "nobody"),
        (["encode", "{lj}", "no/such/a.bmc"], "written"),
        (["decode", "nothing.bmc", "a.wav"], "nothing.bmc"),
        (["decode", "{lj}", "a.wav"], "no file of coded speech"),
        (["decode", "{lj}", "{lj}"], "overwrite"),
    ],
)
def test_bad_input_is_one_sentence(
    capsys: pytest.CaptureFixture[str], repository: Path, in_folder: Path, words: list[str], said: str
) -> None:
    recording = str(repository / "examples" / "audio" / "lj.flac")
    assert run(["voice", *(word.format(lj=recording) for word in words)]) == 2
    shown = capsys.readouterr()
    assert said in " ".join(shown.err.split())
    assert "Traceback" not in shown.err
    assert not list(in_folder.glob("a.*"))
