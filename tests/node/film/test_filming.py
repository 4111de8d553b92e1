"""A film's pictures get new lips where something is said and a face is seen; stopped work goes on; the rest stays."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from ml.errors import OutOfMemory
from ml.lips import saying
from ml.lips.renderers import Heard
from ml.lips.syncnet import SyncScore
from ml.lips.types import Curves, Face, Mouth, Patch, Picture
from ml.types import Audio
from ml.video.mux import Extras
from ml.video.probe import probe
from ml.video.sound import Sound
from node.film.drawing import Drawing
from node.film.filming import AROUND, Filming, FilmOptions, Said
from node.film.scoring import Judge
from node.film.showing import Shown
from node.report import WeightsLine
from tests.ml.lips.streams import Watcher
from tests.ml.video.clips import Recipe, Track, beep, make, packets, turned

RATE, COUNT = 25, 60
BOX = (60, 80, 20, 10)
"""x, y, width, height of what the fake renderer paints."""


class Painter:
    """A renderer that paints a red box; None for pictures in which it would do harm; fails when it is told to."""

    name = "painter"

    def __init__(self, harm: Sequence[int] = (), fails: int | None = None) -> None:
        self.harm, self.fails = frozenset(harm), fails
        self.offered: list[int] = []
        self.asked: list[int] = []
        self.planned: list[tuple[bool, bool]] = []
        self.closed = False

    def offer(self, index: int, picture: Picture, face: Face) -> None:
        self.offered.append(index)

    def plan(self, faces: Sequence[Face | None], mouths: Sequence[Mouth | None]) -> None:
        self.planned = [(face is not None, mouth is not None) for face, mouth in zip(faces, mouths, strict=True)]

    def render(self, index: int, picture: Picture, face: Face, mouth: Mouth) -> Patch | None:
        if index == self.fails:
            raise KeyboardInterrupt
        self.asked.append(index)
        if index in self.harm:
            return None
        x, y, width, height = BOX
        red = np.zeros((height, width, 3), np.uint8)
        red[..., 0] = 255
        return Patch(x, y, red, np.full((height, width), 255, np.uint8))

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sound = Track(beep(COUNT / RATE, 0.5), language="eng")
    return make(tmp_path_factory.mktemp("film") / "a.mp4", Recipe(count=COUNT, rate=RATE, sounds=(sound,)))


def said(*spans: tuple[float, float], start: float = 0.0) -> Said:
    return Said(Curves(np.full((300, 4), 0.3, np.float32), 100.0, "phonemes"), spans, start)


class PainterAtOnce(Painter):
    """One that paints several pictures at once."""

    batch = 8

    def __init__(self, harm: Sequence[int] = (), fails: int | None = None) -> None:
        super().__init__(harm, fails)
        self.batches: list[int] = []

    def render_batch(
        self, indices: Sequence[int], pictures: Sequence[Picture], faces: Sequence[Face]
    ) -> list[Patch | None]:
        self.batches.append(len(indices))
        rows = zip(indices, pictures, faces, strict=True)
        return [self.render(index, picture, face, Mouth(0, 0)) for index, picture, face in rows]


class Listener:
    """A scorer that says what it is told to, and keeps the sound that it heard."""

    def __init__(self) -> None:
        self.heard: list[Audio] = []
        self.closed, self.fails = 0, False

    def score(self, squares: Iterator[Picture], sound: Audio) -> SyncScore:
        if self.fails:
            raise OutOfMemory("There is too little memory.", "Use the CPU.")
        self.heard.append(sound)
        assert all(square.shape == (224, 224, 3) for square in squares)
        return SyncScore(1, 7.0, 6.0, np.zeros(31, np.float32))

    def close(self) -> None:
        self.closed += 1


SILENCE = np.zeros(16_000, np.float32)
WEIGHTS = WeightsLine("mine", "/x/wav2lip_gan.pth", "0" * 64, False)


def film(
    clip: Path,
    folder: Path,
    what: Said,
    painter: Painter,
    watcher: Watcher | None = None,
    drawing: Drawing | None = None,
    judge: Judge | None = None,
    sound: np.ndarray = SILENCE,
    **options,
):
    drawing = drawing or Drawing(lambda heard: lambda: painter)
    job = Filming(FilmOptions(hardware=False, **options), watcher or Watcher(), drawing, folder / "jobs", judge)
    told: list[tuple[str, float]] = []
    facts = job.film(
        clip,
        folder / "b.mp4",
        what,
        lambda: iter([sound]),
        Extras(sound=Sound(language="spa"), source=clip),
        lambda stage, done, total: told.append((stage, done)),
    )
    return facts, told


def reds(path: Path) -> list[bool]:
    """Of each picture whether its box is red."""
    x, y, width, height = BOX
    with av.open(path) as file:
        parts = [
            frame.to_ndarray(format="rgb24")[y + 3 : y + height - 3, x + 4 : x + width - 4]
            for frame in file.decode(video=0)
        ]
    means = [part.reshape(-1, 3).mean(axis=0) for part in parts]
    return [bool(mean[0] > 180 and mean[1] < 70 and mean[2] < 70) for mean in means]


def test_lips_are_ours_as_long_as_live() -> None:
    assert saying.AROUND == AROUND


def test_lips_move_where_something_is_said_and_a_face_is_seen(clip: Path, tmp_path: Path) -> None:
    painter, blind, harm = Painter(harm=[30]), [20, 21], [30]
    facts, told = film(clip, tmp_path, said((0.6, 1.4)), painter, Watcher(blind))
    ours = [at for at in range(COUNT) if 0.6 - AROUND <= at / RATE < 1.4 + AROUND]
    moved = [at for at in ours if at not in (*blind, *harm)]
    assert reds(tmp_path / "b.mp4") == [at in moved for at in range(COUNT)]
    assert (facts.pictures, facts.moved, facts.kept) == (COUNT, len(moved), 1)
    assert facts.faceless == 2
    assert facts.moved + facts.kept + facts.faceless + facts.silent == COUNT
    assert (facts.found, facts.turned, facts.covered, facts.lost) == (COUNT - 2, 0, 0, 2)
    assert painter.offered == [at for at in range(COUNT) if at not in blind]
    assert painter.planned == [(at not in blind, at in ours and at not in blind) for at in range(COUNT)]
    assert painter.closed
    assert [stage for stage, _ in told][:1] == ["find faces"]
    for stage in ("find faces", "look at mouths", "draw lips"):
        done = [at for name, at in told if name == stage]
        assert done == sorted(done)
        assert done[-1] == pytest.approx(COUNT / RATE, abs=0.05)
    assert not list((tmp_path / "jobs").iterdir()), "nothing is kept of what is done"


def test_those_that_draw_many_at_once_are_given_many_and_offered_none(clip: Path, tmp_path: Path) -> None:
    painter, blind, harm = PainterAtOnce(harm=[30]), [20, 21], [30]
    facts, told = film(clip, tmp_path, said((0.6, 1.4)), painter, Watcher(blind))
    ours = [at for at in range(COUNT) if 0.6 - AROUND <= at / RATE < 1.4 + AROUND]
    moved = [at for at in ours if at not in (*blind, *harm)]
    assert reds(tmp_path / "b.mp4") == [at in moved for at in range(COUNT)]
    assert (facts.moved, facts.kept, facts.faceless) == (len(moved), 1, 2)
    assert painter.asked == [at for at in ours if at not in blind]
    assert max(painter.batches) == 8
    assert len(painter.batches) <= 1 + -(-len(ours) // 8)
    assert painter.offered == []
    assert "look at mouths" not in {stage for stage, _ in told}, "nor is the video read for it"
    done = [at for stage, at in told if stage == "draw lips"]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(COUNT / RATE, abs=0.05)


def test_stopped_work_with_weights_goes_on_only_with_the_same_weights_and_sound(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ml.video import segments

    real = segments.Segments.__init__

    def short(self, folder, like, options=None, key="", seconds=0.4):
        real(self, folder, like, options, key, seconds)

    monkeypatch.setattr(segments.Segments, "__init__", short)

    def run(weights: WeightsLine, sound: np.ndarray, fails: int | None = None, **options) -> int:
        drawing = Drawing(lambda heard: lambda: PainterAtOnce(fails=fails), weights)
        facts, _ = film(clip, tmp_path, said((0.0, 2.4)), Painter(), drawing=drawing, sound=sound, **options)
        return facts.resumed

    quiet, loud = np.zeros(16_000, np.float32), np.full(16_000, 0.1, np.float32)
    for weights, sound, resumes in (
        (WEIGHTS, loud, False),
        (replace(WEIGHTS, sha256="1" * 64), quiet, False),
        (WEIGHTS, quiet, True),
    ):
        with pytest.raises(KeyboardInterrupt):
            run(WEIGHTS, quiet, fails=40)
        assert (run(weights, sound, score=True, syncnet="sync.model") > 0) is resumes, "a score changes no picture"
        for left in (tmp_path / "jobs").iterdir():
            shutil.rmtree(left)


def test_what_draws_hears_the_sound_at_the_time_of_its_pictures(clip: Path, tmp_path: Path) -> None:
    told: list[Heard] = []
    closed: list[bool] = []

    def brush(heard: Heard):
        told.append(heard)
        return Painter

    drawing = Drawing(brush, WEIGHTS, "Not for money.", lambda: closed.append(True))
    sound = np.arange(16_000, dtype=np.float32) / 16_000
    facts, _ = film(clip, tmp_path, said((0.0, 1.0), start=0.5), Painter(), drawing=drawing, sound=sound)
    (heard,) = told
    assert [heard.when(index) for index in (0, 25)] == pytest.approx([-0.5, 0.5])
    assert all(np.array_equal(np.concatenate(list(heard.sound())), sound) for _ in range(2)), "as often as is wanted"
    assert facts.weights == WEIGHTS
    assert facts.curves == "sound"
    assert facts.notes[0] == "Not for money."
    Filming(FilmOptions(), Watcher(), drawing, tmp_path).close()
    assert closed == [True]


def test_a_film_is_scored_when_that_is_asked_for(clip: Path, tmp_path: Path) -> None:
    ear = Listener()
    judge = Judge(ear, replace(WEIGHTS, name="syncnet_v2.model"))
    facts, told = film(clip, tmp_path, said((0.0, 2.4)), Painter(), judge=judge)
    assert facts.sync is not None
    assert (facts.sync.confidence, facts.sync.offset, facts.sync.weights.name) == (6.0, 1, "syncnet_v2.model")
    assert facts.sync.seconds == pytest.approx(COUNT / RATE)
    assert len(ear.heard[0].samples) == COUNT * 640
    assert facts.compute["score lips"] > 0
    assert "score lips" in {stage for stage, _ in told}
    nobody, _ = film(clip, tmp_path, said((0.0, 2.4)), Painter(), Watcher(range(COUNT)), judge=judge)
    assert nobody.sync is None
    assert any("not scored" in note for note in nobody.notes)
    ear.fails = True
    failed, _ = film(clip, tmp_path, said((0.0, 2.4)), Painter(), judge=judge)
    assert (failed.moved, failed.sync) == (COUNT, None), "the film is there, and worth more than its score"
    assert "Lips are not scored: There is too little memory. To mend: Use the CPU." in failed.notes
    unasked, _ = film(clip, tmp_path, said((0.0, 2.4)), Painter())
    assert unasked.sync is None
    assert not any("scored" in note for note in unasked.notes)
    Filming(FilmOptions(), Watcher(), Drawing(lambda heard: Painter), tmp_path, judge).close()
    assert ear.closed == 1


def test_the_sound_begins_where_it_is_told_and_lips_with_it(clip: Path, tmp_path: Path) -> None:
    facts, _ = film(clip, tmp_path, said((0.0, 0.4), start=1.0), Painter())
    ours = [1.0 - AROUND <= at / RATE < 1.4 + AROUND for at in range(COUNT)]
    assert reds(tmp_path / "b.mp4") == ours
    assert facts.curves == "phonemes"
    with av.open(tmp_path / "b.mp4") as file:
        assert [track.language for track in file.streams.audio] == ["spa"]


def test_stopped_work_goes_on_where_it_was(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ml.video import segments

    real = segments.Segments.__init__

    def short(self, folder, like, options=None, key="", seconds=0.4):
        real(self, folder, like, options, key, seconds)

    monkeypatch.setattr(segments.Segments, "__init__", short)
    with pytest.raises(KeyboardInterrupt):
        film(clip, tmp_path, said((0.0, 2.4)), Painter(fails=40))
    assert not (tmp_path / "b.mp4").exists()
    again = Painter(harm=[45])
    facts, _ = film(clip, tmp_path, said((0.0, 2.4)), again)
    assert 20 <= facts.resumed <= 40
    assert (facts.moved, facts.kept, facts.untold) == (COUNT - 1, 1, 0), "those of the first run are counted too"
    assert again.asked == list(range(facts.resumed, COUNT)), "no picture twice, and none left out"
    assert reds(tmp_path / "b.mp4") == [at != 45 for at in range(COUNT)]
    assert len(packets(tmp_path / "b.mp4")) == COUNT
    other, _ = film(clip, tmp_path, said((0.0, 1.0)), Painter())
    assert other.resumed == 0, "what is said otherwise is other work"


def test_where_nobody_is_seen_not_a_bit_of_the_pictures_changes(clip: Path, tmp_path: Path) -> None:
    facts, _ = film(clip, tmp_path, said((0.0, 2.4)), Painter(), Watcher(range(COUNT)))
    assert (facts.moved, facts.faceless, facts.codec) == (0, COUNT, "copied")
    assert (facts.found, facts.lost) == (0, COUNT)
    assert [data for _, _, data, _ in packets(tmp_path / "b.mp4")] == [data for _, _, data, _ in packets(clip)]


def test_all_faces_can_speak_each_with_a_renderer_of_its_own(clip: Path, tmp_path: Path) -> None:
    made: list[Painter] = []

    def another() -> Painter:
        made.append(Painter())
        return made[-1]

    drawing = Drawing(lambda heard: another)
    job = Filming(FilmOptions(face="all", hardware=False), Watcher(faces=2), drawing, tmp_path / "jobs")
    facts = job.film(clip, tmp_path / "b.mp4", said((0, 1)), lambda: iter(()), Extras(source=clip), lambda *told: None)
    assert facts.faces == len(made) == 2
    assert made[0].asked == made[1].asked != []
    job.close()


@pytest.mark.parametrize("turn", [None, "90"])
def test_the_last_picture_is_shown_as_long_as_before(tmp_path: Path, turn: str | None) -> None:
    source = make(tmp_path / "a.mp4", Recipe(times=(0.0, 1.0, 3.0), width=120, height=160))
    source = turned(source, turn) if turn else source
    facts, _ = film(source, tmp_path, said((0.0, 3.0)), Painter(), preset="fast")
    assert facts.moved == 3
    assert probe(tmp_path / "b.mp4").seconds == pytest.approx(probe(source).seconds, abs=1e-4)


def test_a_preview_and_a_sheet_show_before_and_after(clip: Path, tmp_path: Path) -> None:
    import cv2

    shown = Shown(tmp_path / "both.mp4", tmp_path / "faces.png")
    facts, _ = film(clip, tmp_path, said((0.0, 1.0)), Painter(), shown=shown)
    assert facts.beside == (str(tmp_path / "both.mp4"), str(tmp_path / "faces.png"))
    with av.open(tmp_path / "both.mp4") as file:
        both = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    x, y, width, height = BOX
    assert len(both) == COUNT
    assert both[0].shape == (120, 320, 3)
    middle = np.array([x + width // 2, y + height // 2])
    assert both[5][middle[1], middle[0] + 160, 0] > 150 > both[5][middle[1], middle[0] + 160, 1]
    assert np.abs(both[5][middle[1], middle[0]].astype(int) - both[5][middle[1], middle[0] + 160]).max() > 60
    assert np.abs(both[50][:, :160].astype(int) - both[50][:, 160:]).mean() < 4, "nothing was said there"
    paper = cv2.imread(str(tmp_path / "faces.png"))
    assert paper is not None
    assert paper.shape[1] > 6 * 240


def test_what_is_looked_at_is_drawn_from_its_beginning_and_left_out_when_it_fails(clip: Path, tmp_path: Path) -> None:
    shown = Shown(tmp_path / "both.mp4", tmp_path / "faces.png")
    with pytest.raises(KeyboardInterrupt):
        film(clip, tmp_path, said((0.0, 2.4)), Painter(fails=30), shown=shown)
    assert [path.name for path in tmp_path.iterdir()] == ["jobs"]
    facts, _ = film(clip, tmp_path, said((0.0, 2.4)), Painter(), shown=shown)
    assert facts.resumed == 0
    assert (tmp_path / "both.mp4").exists()
