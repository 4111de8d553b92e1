"""An engine is measured in a process of its own; what goes wrong there is told."""

from __future__ import annotations

import pytest

from node import measuring
from node.measuring import Measured, Question, measure, measure_all, measure_apart


def test_an_embedded_engine_is_measured_apart(tmp_path):
    heard = []
    (line,) = measure_all([Question(str(tmp_path), "espeak-ng", later=2)], heard.append)
    assert heard == [line]
    assert (line.name, line.task, line.trouble, line.random_weights) == ("espeak-ng", "tts", "", False)
    assert line.sound > 1.0
    assert line.real_time == pytest.approx(line.sound / line.later)
    assert line.load > 0
    assert line.first > 0
    assert line.most >= line.memory


def test_what_does_not_exist_is_told(tmp_path):
    assert "no engine" in measure(Question(str(tmp_path), "nonesuch")).trouble
    assert "whisper-tiny" in measure(Question(str(tmp_path), "nonesuch", shape=True)).trouble


def test_a_process_that_dies_or_dawdles_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring.sys, "executable", "/bin/false")
    assert "ended with 1" in measure_apart(Question(str(tmp_path), "espeak-ng")).trouble
    monkeypatch.undo()
    assert "more than" in measure_apart(Question(str(tmp_path), "espeak-ng"), patience=0.01).trouble


def test_a_job_is_timed_first_and_later(monkeypatch):
    jobs = []
    line = measuring._run(Measured("x"), lambda: jobs.append(1) or 2.0, Question("", "x", later=3), 0)
    assert len(jobs) == 4
    assert (line.sound, line.real_time) == (2.0, 2.0 / line.later)
    assert line.accelerator is None
    assert line.memory > 0


@pytest.mark.slow
def test_a_published_shape_is_measured(tmp_path):
    line = measure_apart(Question(str(tmp_path), "whisper-tiny", shape=True, later=1))
    assert (line.trouble, line.random_weights, line.sound) == ("", True, 30.0)
    assert line.most > 100e6
