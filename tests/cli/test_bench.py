"""`node bench engines` as its user sees it."""

from __future__ import annotations

import json

import msgspec
import pytest

from cli.app import run
from node import measuring
from node.measuring import Measured


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    asked = []

    def answer(question, patience=0.0):
        asked.append(question)
        trouble = "It broke." if question.name == "apertium" else ""
        return Measured(
            question.name,
            "tts",
            "cpu",
            question.placement.dtype,
            "a job",
            1.0,
            0.5,
            0.25,
            0.2,
            2.0,
            8.0,
            compiled=question.placement.compiled,
            trouble=trouble,
        )

    monkeypatch.setattr(measuring, "measure_apart", answer)
    monkeypatch.setenv("COLUMNS", "140")
    return asked


def test_engines_are_measured_in_each_dtype(apart, babelmesh_home, capsys):
    assert run(["bench", "engines", "espeak-ng", "--dtype", "float32", "--dtype", "int8"]) == 0
    assert [(question.name, question.placement.dtype) for question in apart] == [
        ("espeak-ng", "float32"),
        ("espeak-ng", "int8"),
    ]
    told = capsys.readouterr()
    shown = told.out
    assert "espeak-ng int8: measured\n" in told.err
    assert "250 ms" in shown
    assert "x8.0" in shown
    assert "Random weights" not in shown


def test_json_has_the_machine_and_all_figures(apart, babelmesh_home, capsys):
    assert run(["bench", "engines", "espeak-ng", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "torch" in told["machine"]
    assert msgspec.convert(told["engines"], list[Measured])[0].real_time == 8.0


def test_what_breaks_is_told_and_the_others_are_measured(apart, babelmesh_home, capsys):
    assert run(["bench", "engines", "apertium", "espeak-ng"]) == 2
    told = capsys.readouterr()
    assert "apertium: failed\n" in told.err
    assert (told.out + told.err).count("It broke.") == 1
    assert "It broke." in told.out
    assert len(apart) == 2


def test_random_weights_are_called_so(apart, babelmesh_home, capsys):
    assert run(["bench", "engines", "--shapes", "published", "opus-mt"]) == 0
    assert "Random weights" in capsys.readouterr().out
    assert apart[0].shape


def test_compiled_ones_are_called_so(apart, babelmesh_home, capsys):
    assert run(["bench", "engines", "--shapes", "published", "opus-mt"]) == 0
    assert "float32 compiled" not in capsys.readouterr().out
    assert run(["bench", "engines", "--shapes", "published", "opus-mt", "--compile"]) == 0
    assert "float32 compiled" in capsys.readouterr().out
    assert [question.placement.compiled for question in apart] == [False, True]


@pytest.mark.parametrize(
    "words", [["nonesuch"], ["--shapes", "published", "nonesuch"], ["espeak-ng", "--dtype", "int5"], ["--jobs", "0"]]
)
def test_what_cannot_be_meant_is_refused(words, apart, babelmesh_home, capsys):
    assert run(["bench", "engines", *words]) == 2
    assert "error" in capsys.readouterr().err
    assert not apart


def test_names_and_figures_are_whole_at_80_letters(capsys, monkeypatch):
    from cli.bench import COLUMNS, _show

    monkeypatch.setenv("COLUMNS", "80")
    figures = (12.34, 5.321, 5.322, 5.323, 30.0, 5.6, 1_118_000_000, 1_359_000_000)
    names = ("whisper-large-v3-turbo", "nllb-200-distilled-600m-ct2")
    _show("Some machine", [Measured(name, "asr", "cpu", "bfloat16", "x", *figures, compiled=True) for name in names])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    whole = ("cpu bfloat16 compiled", "12.34 s", "5321 ms", "5323 ms", "x5.6", "1118 MB", "1359 MB", *COLUMNS)
    for text in ("whisper-large-v3-turbo", *whole):
        assert text in shown
    assert "…" not in shown
    assert "nllb-200-distilled-600m-ct2"[:24] in shown, "what does not fit goes on in the next line"


def test_a_name_that_is_nearly_right_is_told(apart, babelmesh_home, capsys):
    assert run(["bench", "engines", "espeak"]) == 2
    told = capsys.readouterr().err
    assert "Did you mean espeak-ng?" in told
    assert "resemblyzer" not in told


def test_what_is_no_device_is_not_measured_as_another(apart, babelmesh_home, capsys, monkeypatch):
    assert run(["bench", "engines", "espeak-ng", "--device", "nonsense"]) == 2
    told = capsys.readouterr().err
    assert "--device nonsense: there is no such device." in told
    assert "cpu" in told
    monkeypatch.setattr("ml.device.best_device", lambda: "cpu")
    assert run(["bench", "engines", "espeak-ng", "--device", "cuda"]) == 2
    assert "torch sees no such device here" in capsys.readouterr().err
    assert not apart
