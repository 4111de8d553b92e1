"""A file that plays the camera: pictures keep their times, lips and sound go together, in real time and computed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from ml.audio.read import read
from ml.audio.tags import comment_of
from ml.errors import BadVideo, EngineFailed
from ml.lips.live import LiveOptions
from ml.lips.types import Curves
from ml.types import SAMPLE_RATE, Audio, Speech
from ml.video.probe import probe
from node.film import live_file
from node.film.live_file import Cast, LivePace, film_live
from node.film.live_speech import Answer, StreamClock
from tests.ml.lips.streams import BOX, Painter, Watcher
from tests.ml.video.clips import Recipe, Track, beep, make, onset

COUNT, RATE = 30, 25
TONE = (0.3, 0.4)
"""Seconds of an answer in which a tone is heard and the mouth is wide open."""
DELAY, LEAD = 0.6, 0.5
"""Seconds: much, so that a busy machine has time enough, too."""
PACES = [LivePace(real=True, lead=LEAD), LivePace(real=False, lead=LEAD)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("live") / "a.mp4", Recipe(count=COUNT, rate=RATE))


def answer(at: float) -> Answer:
    time = np.arange(round(0.6 * SAMPLE_RATE)) / SAMPLE_RATE
    tone = 0.5 * np.sin(2000 * np.pi * time) * ((time >= TONE[0]) & (time < TONE[1]))
    values = np.zeros((61, 4), np.float32)
    values[30:41, 0] = 1.0
    return Answer(at, Speech(Audio(tone.astype(np.float32)), "a", "es", "test"), Curves(values, 100.0, "phonemes"))


def once(clock: StreamClock) -> Iterator[Answer]:
    clock.until(0.35)
    yield answer(clock.now())


def levels(path: Path) -> list[float]:
    """How bright each picture is where the painter paints."""
    x, y, width, height = BOX
    with av.open(path) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    return [float(picture[y : y + height, x : x + width].mean()) for picture in pictures]


def times(path: Path) -> list[float]:
    with av.open(path) as file:
        return [frame.time for frame in file.decode(video=0)]


@pytest.mark.parametrize("pace", PACES, ids=["real", "computed"])
def test_lips_move_with_the_sound_that_is_heard(pace: LivePace, clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.mp4"
    painter = Painter()
    report = film_live(clip, target, Cast(Watcher(), lambda: painter, ("en", "es")), once, LiveOptions(DELAY), pace)
    assert report.pictures == COUNT
    assert report.moved + report.silent + report.late + report.unknown + report.audio_only == COUNT
    assert report.moved > 10
    assert abs(report.skew.p50) < 1000 * DELAY / 2, "pictures are seen with the sound that is heard"
    assert np.allclose(times(target), times(clip), atol=1e-3)
    found, before = levels(target), levels(clip)
    heard = read(target)
    loud = np.flatnonzero(np.abs(heard.samples) > 0.25) / heard.rate
    assert loud.min() >= 0.35 - DELAY + LEAD + TONE[0] - 0.02
    assert loud.max() - loud.min() == pytest.approx(0.1, abs=0.02)
    middle = float(np.mean([loud.min(), loud.max()]))
    painted = [at for at in range(COUNT) if abs(found[at] - before[at]) > 12]
    assert len(painted) > 10
    most = max(found[at] for at in painted)
    assert most > 140
    widest = float(np.mean([at / RATE for at in painted if found[at] > most - 6]))
    assert abs(widest - middle) <= 1 / RATE, "within a picture of the sound"
    silent = [at for at in range(COUNT) if at / RATE < loud.min() - TONE[0] - 0.25]
    assert all(abs(found[at] - before[at]) < 12 for at in silent)
    assert "synthetic speech: translated from en to es" in comment_of(target)


def test_on_a_computed_clock_a_slow_machine_is_told_as_such(clip: Path, tmp_path: Path) -> None:
    def early(clock: StreamClock) -> Iterator[Answer]:
        yield answer(0.0)

    pace = LivePace(real=False, slow=1e6)
    report = film_live(clip, tmp_path / "b.mp4", Cast(Watcher(), Painter), early, LiveOptions(0.2), pace)
    assert report.pictures == COUNT
    assert report.moved == 0
    assert report.late > 0
    assert report.waited.most == pytest.approx(200)


@pytest.mark.parametrize("pace", PACES, ids=["real", "computed"])
def test_an_engine_that_fails_leaves_no_file(pace: LivePace, clip: Path, tmp_path: Path) -> None:
    def broken(clock: StreamClock) -> Iterator[Answer]:
        yield answer(clock.now())
        raise EngineFailed("the voice stopped")

    with pytest.raises(EngineFailed, match="voice"):
        film_live(clip, tmp_path / "b.mp4", Cast(Watcher(), Painter), broken, None, pace)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_video_is_told_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(BadVideo):
        film_live(tmp_path / "no.mp4", tmp_path / "b.mp4", Cast(Watcher(), Painter), once)


@pytest.mark.parametrize("begins", [0.0, 0.5])
def test_the_sound_is_heard_on_the_time_line_of_the_pictures(tmp_path: Path, begins: float) -> None:
    track = Track(beep(1.0, 0.3), start=begins)
    path = make(tmp_path / "a.mkv", Recipe(count=50, rate=RATE, sounds=(track,)))
    sound = np.concatenate(list(live_file._sound_of(path, probe(path))))
    assert onset(Audio(sound)) == pytest.approx(begins + 0.3, abs=0.05)
