"""What is synthetic says so: in its sound, in its file; and only an enrolled voice may leave the first out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.audio.read import read
from ml.audio.watermark_search import detect
from ml.errors import BadAudio, CannotWrite
from ml.types import Audio
from node.errors import BadRequest
from node.marking import MarkedWriter, Origin, check_unmarked, converted, marked_from, marking, seen


@pytest.fixture(scope="module")
def speech(repository: Path) -> Path:
    return repository / "examples" / "audio" / "lj.flac"


def test_marked_speech_is_seen_and_unmarked_is_not(speech: Path, tmp_path: Path) -> None:
    samples = read(speech).samples
    made = marking(Origin("en", "es", speech))
    with MarkedWriter(tmp_path / "a.m4a", made) as writer:
        for piece in np.array_split(samples, 7):
            writer.write(piece)
    found = seen(tmp_path / "a.m4a")
    assert found.marked
    assert found.job == made.mark.job
    assert found.chance < 1e-4
    assert "translated from en to es by Babelmesh" in found.said
    assert read(tmp_path / "a.m4a").seconds == pytest.approx(len(samples) / 16_000, abs=0.1)
    plain = seen(speech)
    assert (plain.marked, plain.job, plain.spans) == (False, None, ())


def test_without_the_watermark_sound_is_as_it_was_and_the_file_still_tells(speech: Path, tmp_path: Path) -> None:
    samples = read(speech).samples[:32_000]
    with MarkedWriter(tmp_path / "a.flac", marking(Origin("en", "es", speech, marked=False))) as writer:
        writer.write(samples)
    assert np.abs(read(tmp_path / "a.flac").samples - samples).max() < 1e-4
    found = seen(tmp_path / "a.flac")
    assert not found.marked
    assert found.said.startswith("synthetic speech")


def test_the_same_work_has_the_same_number_and_other_work_another(speech: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other-name.flac"
    copy.write_bytes(speech.read_bytes())
    jobs = {
        marking(origin).mark.job
        for origin in (Origin("en", "es", speech), Origin("en", "es", copy), Origin("und", "es", copy))
    }
    jobs |= {marking(Origin("en", "ES", speech)).mark.job}
    assert len(jobs) == 1
    others = {marking(one).mark.job for one in (Origin("en", "fr", speech), Origin("en", "es", text="good morning"))}
    assert len(jobs | others) == 3
    assert "another voice" in converted(speech).tags["comment"]


def test_how_far_the_search_is_is_told_and_tags_are_read_before_it(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, float, float | None]] = []
    seen(speech, lambda *step: told.append(step))
    seconds = read(speech).seconds
    assert told[0] == ("listening", 1.0, pytest.approx(seconds))
    assert told[-1] == ("listening", pytest.approx(seconds), pytest.approx(seconds))
    told.clear()

    def broken(path: Path) -> str:
        raise BadAudio("no tags")

    monkeypatch.setattr("node.marking.comment_of", broken)
    with pytest.raises(BadAudio, match="no tags"):
        seen(speech, lambda *step: told.append(step))
    assert not told


def test_only_an_enrolled_voice_may_do_without() -> None:
    check_unmarked("me")
    with pytest.raises(BadRequest, match="own enrolled voice") as caught:
        check_unmarked(None)
    assert "node voice add" in caught.value.remedy


def test_what_fails_leaves_nothing(speech: Path, tmp_path: Path) -> None:
    writer = MarkedWriter(tmp_path / "a.wav", marking(Origin("en", "es")))
    writer.write(np.zeros(100, np.float32))
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    with pytest.raises(CannotWrite), MarkedWriter(tmp_path / "b.wav", marking(Origin("en", "es"))):
        pass
    assert not list(tmp_path.iterdir())


def test_speech_laid_here_and_there_is_marked_in_step(speech: Path, tmp_path: Path) -> None:
    samples = read(speech).samples
    mark = marking(Origin("en", "es", speech)).mark
    line = np.zeros(14 * 16_000, np.float32)
    for start, piece in ((0.37, samples[:40_000]), (5.111, samples[40_000:80_000]), (9.2, samples[80_000:120_000])):
        spoken = marked_from(Audio(piece), mark, start).samples
        assert len(spoken) == len(piece)
        line[round(start * 16_000) :][: len(piece)] = spoken
    found = detect(Audio(line))
    assert found.found
    assert found.mark == mark
    assert (line[: round(0.37 * 16_000)] == 0).all(), "silence stays silence"
    assert marked_from(Audio(samples), None, 1.0).samples is samples
