"""Subtitles are in the pictures while they are said, and nowhere else; stopped work goes on; lips stay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from ml.errors import BadVideo, Unavailable
from ml.speech.subtitles import Cue
from ml.video.mux import Extras
from ml.video.probe import probe
from ml.video.sound import Sound
from node.film.burning import Burning, BurnOptions
from tests.ml.video.clips import Recipe, Track, beep, make, packets, turned

RATE, COUNT = 25, 60
CUES = (Cue(0.4, 1.2, "uno dos"), Cue(1.6, 2.0, "tres"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sound = Track(beep(COUNT / RATE, 0.5), language="eng")
    return make(tmp_path_factory.mktemp("burn") / "a.mp4", Recipe(count=COUNT, rate=RATE, sounds=(sound,)))


def burn(clip: Path, target: Path, cues: Sequence[Cue] = CUES, **options):
    told: list[tuple[str, float, float | None]] = []
    facts = Burning(BurnOptions(hardware=False, **options), target.parent / "jobs").film(
        clip,
        target,
        cues,
        lambda: iter([beep(COUNT / RATE, 0.5)]),
        Extras(sound=Sound(language="spa"), source=clip, captioned=True),
        lambda *step: told.append(step),
    )
    return facts, told


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(path) as file:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in file.decode(video=0)]


def marked(source: Path, target: Path) -> list[bool]:
    """Of each picture whether its foot was changed; its upper half must not be."""
    found = []
    for before, after in zip(pictures(source), pictures(target), strict=True):
        change = np.abs(before - after).max(axis=2)
        middle = len(change) // 2
        assert np.percentile(change[: middle - 16], 99) < 25
        found.append(bool((change[middle:] > 100).any()))
    return found


def test_texts_are_in_the_pictures_while_they_are_said(clip: Path, tmp_path: Path) -> None:
    facts, told = burn(clip, tmp_path / "b.mp4")
    shown = [any(cue.start <= at / RATE < cue.end for cue in CUES) for at in range(COUNT)]
    assert marked(clip, tmp_path / "b.mp4") == shown
    assert (facts.pictures, facts.left, facts.captioned) == (COUNT, COUNT, sum(shown))
    assert (facts.renderer, facts.codec, facts.moved, facts.resumed) == ("off", "libx264", 0, 0)
    assert set(facts.compute) == {"decode", "draw subtitles", "encode"}
    assert [track.language for track in probe(tmp_path / "b.mp4").audio] == ["spa"]
    assert {stage for stage, _, _ in told} == {"draw subtitles"}
    assert told[-1][1:] == (pytest.approx(COUNT / RATE, abs=0.05), pytest.approx(COUNT / RATE, abs=0.05))
    assert not list((tmp_path / "jobs").iterdir()), "nothing is kept of what is done"
    assert (tmp_path / "jobs").stat().st_mode & 0o077 == 0, "unfinished work shows the video: it is the owner's alone"


def test_an_upright_video_gets_upright_texts(tmp_path: Path) -> None:
    source = turned(make(tmp_path / "a.mp4", Recipe(count=8, width=160, height=120)), "90")
    facts, _ = burn(source, tmp_path / "b.mp4", [Cue(0, 1, "hola")])
    info = probe(tmp_path / "b.mp4")
    assert (info.width, info.height, info.rotation) == (120, 160, 0)
    assert facts.captioned == 8
    after = pictures(tmp_path / "b.mp4")[0]
    rows = np.flatnonzero((after.min(axis=2) > 235).any(axis=1))
    assert rows.max() > 130, "at the foot of the upright picture"
    assert np.ptp(np.flatnonzero((after[120:].min(axis=2) > 235).any(axis=0))) > np.ptp(rows[rows > 120])


def test_stopped_work_goes_on_where_it_was(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ml.video import segments
    from ml.video.burn import Captions

    begin, draw = segments.Segments.__init__, Captions.draw

    def short(self, folder, like, options=None, key="", seconds=0.4):
        begin(self, folder, like, options, key, seconds)

    asked: list[float] = []
    stopped: list[bool] = []

    def stopping(self, time, picture):
        asked.append(time)
        if len(asked) == 40 and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt
        return draw(self, time, picture)

    monkeypatch.setattr(segments.Segments, "__init__", short)
    monkeypatch.setattr(Captions, "draw", stopping)
    with pytest.raises(KeyboardInterrupt):
        burn(clip, tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()
    asked.clear()
    facts, _ = burn(clip, tmp_path / "b.mp4")
    assert 20 <= facts.resumed <= 40
    assert len(asked) == COUNT - facts.resumed
    assert facts.captioned == 30, "those of the first run are counted too"
    assert marked(clip, tmp_path / "b.mp4") == [0.4 <= at / 25 < 1.2 or 1.6 <= at / 25 < 2.0 for at in range(COUNT)]
    other, _ = burn(clip, tmp_path / "c.mp4", [Cue(0, 1, "otra")])
    assert other.resumed == 0, "other words are other work"


def test_without_words_pictures_are_copied(clip: Path, tmp_path: Path) -> None:
    facts, _ = burn(clip, tmp_path / "b.mp4", [Cue(0, 1, "  ")])
    assert (facts.codec, facts.captioned, facts.left) == ("copied", 0, COUNT)
    assert "no words" in facts.notes[0]
    assert [data for _, _, data, _ in packets(tmp_path / "b.mp4")] == [data for _, _, data, _ in packets(clip)]


def test_what_cannot_be_drawn_is_told_and_leaves_nothing(clip: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", list)
    with pytest.raises(Unavailable, match="世"):
        burn(clip, tmp_path / "b.mp4", [Cue(0, 1, "世")])
    light = make(tmp_path / "hdr.mp4", Recipe(count=3, colour=(9, 9, 16)))
    with pytest.raises(BadVideo, match="high dynamic range"):
        burn(light, tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()
    assert not (tmp_path / "jobs").exists()


@pytest.mark.parametrize("turn", [None, "90"])
@pytest.mark.parametrize("times", [(0.0, 1.0, 3.0), (0.0, 0.5)])
def test_the_last_picture_is_shown_as_long_as_before(
    tmp_path: Path, times: tuple[float, ...], turn: str | None
) -> None:
    source = make(tmp_path / "a.mp4", Recipe(times=times))
    source = turned(source, turn) if turn else source
    burn(source, tmp_path / "b.mp4", [Cue(0, 1, "hola")], quality="fast")
    assert probe(tmp_path / "b.mp4").seconds == pytest.approx(probe(source).seconds, abs=1e-4)
