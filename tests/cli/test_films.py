"""`node translate` of videos as their user sees it: every kind of video; engines and who finds faces are fakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from cli.app import run
from ml.audio.read import read
from ml.errors import Unavailable
from ml.lips.types import Face, Picture
from ml.speech.subtitles import Cue
from ml.types import Samples
from ml.video import encode
from ml.video.probe import VideoInfo, probe
from ml.video.segments import Segments
from ml.video.subtitle import Subtitles
from node.film.filming import Filming
from tests.fakes import fake_node
from tests.ml.lips.streams import Watcher
from tests.ml.video.clips import Recipe, Track, beep, make, packets, texts, turned

RATE, COUNT = 8, 24
SECONDS = COUNT / RATE
MOVED = 2.5
"""Mean change about the mouth from which on lips are new: the encoder alone makes it 1.9 at most, lips 3.1 at least."""


@pytest.fixture(scope="module")
def speech(repository: Path) -> Samples:
    """Three seconds of a reader."""
    return read(repository / "examples" / "audio" / "demo.flac").cut(0, SECONDS).samples


@pytest.fixture
def shoot(speech: Samples, tmp_path: Path) -> Callable[..., Path]:
    """Makes a talk, in which the reader is heard."""

    def film(name: str = "talk.mp4", **recipe) -> Path:
        sounds = recipe.pop("sounds", (Track(speech, language="eng"),))
        return make(tmp_path / name, Recipe(rate=RATE, sounds=sounds, **({"count": COUNT} | recipe)))

    return film


@pytest.fixture
def watcher() -> Watcher:
    """Sees one face in every picture."""
    return Watcher()


@pytest.fixture(autouse=True)
def fakes(monkeypatch, babelmesh_home, watcher, tmp_path) -> None:
    @contextmanager
    def household(common, isolate=()):
        with fake_node(babelmesh_home) as node:
            yield node

    monkeypatch.setattr("cli.translate.household", household)
    monkeypatch.setattr("cli.lipsync.household", household)
    monkeypatch.setattr("ml.lips.tracker.tracker_at", lambda home: watcher)
    monkeypatch.chdir(tmp_path)


def translate(capsys, source: Path, *options: str) -> tuple[dict, Path]:
    """The report, and where the result is."""
    line = ["translate", str(source), "--to", "es", "--no-own-voice", "--json", *options]
    if not {"--lips", "-o"} & set(options):
        line += ["--lips", "warp", "--no-hardware"]
    code = run(line)
    told = capsys.readouterr()
    assert code == 0, told
    (report,) = json.loads(told.out)["reports"]
    return report, Path(report["output"])


def files() -> set[Path]:
    """All that lie here."""
    return {path for path in Path().rglob("*") if path.is_file()}


def refused(capsys, *line: str) -> str:
    """What is said on standard error by a command that cannot be done."""
    before = files()
    assert run(list(line)) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "Traceback" not in told
    assert files() == before, "nothing is left behind"
    return told


def pictures(path: Path) -> list[tuple[float, np.ndarray]]:
    """Times and pictures as they are stored."""
    with av.open(path) as file:
        return [(frame.time, frame.to_ndarray(format="rgb24").astype(int)) for frame in file.decode(video=0)]


def changed(source: Path, target: Path, part: tuple[slice, slice] = (slice(None), slice(None))) -> list[float]:
    """Of each picture how much a part of it was changed."""
    rows = zip(pictures(source), pictures(target), strict=True)
    return [float(np.abs(before[part] - after[part]).mean()) for (_, before), (_, after) in rows]


def told(info: VideoInfo) -> dict[str, object]:
    """What must be the same before and after."""
    return {
        "size": (info.width, info.height),
        "aspect": info.aspect,
        "chapters": [(one.title, one.start, one.end) for one in info.chapters],
        "covers": info.covers,
        "title": {key.lower(): value for key, value in info.metadata.items()}.get("title"),
    }


UNEVEN = tuple(at / RATE + 0.031 * (at % 3) for at in range(COUNT))
FULL = {
    "metadata": {"title": "A talk"},
    "chapters": ((0.0, 2.0, "First"), (2.0, 3.0, "Second")),
    "cover": True,
}
KINDS = {
    "plain": {},
    "variable frame rate": {"times": UNEVEN},
    "odd size": {"width": 161, "height": 121, "pixels": "yuv444p"},
    "odd size, chroma halved": {
        "width": 160,
        "height": 120,
        "codec": "libvpx-vp9",
        "options": {"deadline": "realtime"},
    },
    "pixels that are not square": {"aspect": (4, 3)},
    "later pictures": {"times": tuple(0.5 + at / RATE for at in range(COUNT))},
    "title, chapters, cover": FULL,
}


WAYS = [(kind, "warp") for kind in KINDS] + [
    ("plain", "off"),
    ("variable frame rate", "off"),
    ("title, chapters, cover", "off"),
    ("variable frame rate", "burn"),
    ("odd size", "burn"),
]


@pytest.mark.parametrize(("kind", "lips"), WAYS)
def test_times_sizes_and_metadata_of_every_kind_are_kept(capsys, shoot, kind, lips) -> None:
    recipe = dict(KINDS[kind])
    if "aspect" in recipe:
        from fractions import Fraction

        recipe["aspect"] = Fraction(*recipe["aspect"])
    source = shoot(**recipe)
    options = ["--lips", "off", "--burn", "--no-hardware"] if lips == "burn" else ["--lips", lips, "--no-hardware"]
    report, out = translate(capsys, source, *options)
    before, after = probe(source), probe(out)
    assert told(after) == told(before)
    assert after.varies == before.varies
    shift = pictures(out)[0][0] - pictures(source)[0][0]
    assert [time for time, _ in pictures(out)] == pytest.approx(
        [time + shift for time, _ in pictures(source)], abs=2e-3
    )
    assert shift <= 0.07
    assert [track.language for track in after.audio] == ["spa"]
    film = report["film"]
    if lips == "off":
        assert film is None
        assert [one[2] for one in packets(out)] == [one[2] for one in packets(source)], "copied bit by bit"
        return
    lip_counts = ("moved", "silent", "faceless", "kept", "left", "untold")
    assert sum(film[one] for one in lip_counts) == film["pictures"] == COUNT
    assert film["captioned"] > 5 if lips == "burn" else film["captioned"] == 0
    assert film["moved"] > 10 if lips == "warp" else film["left"] == COUNT
    quiet = changed(source, out, (slice(0, 20), slice(None)))
    assert max(quiet) < 6, "what is not touched looks as it did"


def test_a_phones_turned_pictures_come_out_upright_with_lips_and_as_they_lie_without(capsys, shoot) -> None:
    source = turned(shoot(width=120, height=160), "90")
    report, out = translate(capsys, source)
    info = probe(out)
    assert (info.width, info.height, info.rotation) == (160, 120, 0)
    assert report["film"]["moved"] > 5
    stored, upright = pictures(source)[0][1], pictures(out)[0][1]
    assert np.abs(np.rot90(stored, -1) - upright)[:20].mean() < 6
    _, out = translate(capsys, source, "--lips", "off")
    assert probe(out).rotation == 90
    assert [one[2] for one in packets(out)] == [one[2] for one in packets(source)]


@pytest.mark.parametrize("late", [0.03, 0.7])
def test_what_is_said_later_is_said_later(capsys, shoot, speech, late) -> None:
    def heard(start: float, *options: str) -> tuple[float, float, float]:
        sounds = (Track(speech, start=start, codec="pcm_s16le"),)
        source = shoot("talk.mkv", sounds=sounds, count=COUNT + 8)
        _, out = translate(capsys, source, "-o", f"late-{start}.mkv", "--srt", *options)
        sound = read(out)
        first = int(np.argmax(np.abs(sound.samples) > 0.1)) / sound.rate
        moving = changed(source, out, (slice(60, 110), slice(20, 130)))
        lips = next(at / RATE for at, much in enumerate(moving) if much > MOVED)
        return first, texts(out)[0][0] / 1000, lips

    before = heard(0.0, "--lips", "warp", "--no-hardware")
    after = heard(late, "--lips", "warp", "--no-hardware")
    assert after[0] - before[0] == pytest.approx(late, abs=0.045), "the voice"
    assert after[1] - before[1] == pytest.approx(late, abs=0.045), "its subtitles"
    assert after[2] - before[2] == pytest.approx(late, abs=1 / RATE + 0.01), "its lips"


def test_pictures_without_sound_are_told(capsys, shoot) -> None:
    said = refused(capsys, "translate", str(shoot(sounds=())), "--to", "es")
    assert "talk.mp4 has no sound track. It has pictures only." in said
    silent = shoot(sounds=(Track(np.zeros(48_000, np.float32)),))
    assert "no speech" in refused(capsys, "translate", str(silent), "--to", "es", "--lips", "off")


class TestNobody:
    """Where no face is seen."""

    @pytest.fixture
    def watcher(self) -> Watcher:
        return Watcher(blind=range(COUNT))

    def test_not_a_bit_of_the_pictures_changes(self, capsys, shoot) -> None:
        source = shoot()
        shown = ("--preview", "both.mp4", "--sheet", "faces.png")
        report, out = translate(capsys, source, "--lips", "bank", *shown)
        assert [one[2] for one in packets(out)] == [one[2] for one in packets(source)]
        film = report["film"]
        assert (film["faceless"], film["lost"], film["codec"]) == (COUNT, COUNT, "copied")
        assert "No lips are new, so there is no preview and no sheet." in report["warnings"]
        assert (film["preview"], film["sheet"]) == (None, None)
        assert not Path("both.mp4").exists()

    def test_subtitles_are_drawn_all_the_same(self, capsys, shoot) -> None:
        source = shoot()
        report, out = translate(capsys, source, "--lips", "bank", "--no-hardware", "--burn")
        assert report["film"]["captioned"] > 5
        assert max(changed(source, out, (slice(100, 120), slice(None)))) > 10
        assert report["film"]["faceless"] == COUNT


class Turning(Watcher):
    """Sees a face that looks away in some pictures."""

    AWAY = (14, 15)

    def follow(self, picture: Picture) -> tuple[Face, ...]:
        at, faces = self.seen, super().follow(picture)
        return tuple(replace(face, yaw=55.0) for face in faces) if at in self.AWAY else faces


class TestSomebody:
    """Where a face is seen, lost, covered, turned away, and lost again."""

    BLIND, HIDDEN = (0, 1, 2, 20), (8, 9, 10, 11, 12)

    @pytest.fixture
    def watcher(self) -> Watcher:
        return Turning(blind=self.BLIND, hidden=self.HIDDEN)

    def test_every_picture_is_counted_once_and_told(self, capsys, shoot) -> None:
        source = shoot()
        report, out = translate(capsys, source)
        film = report["film"]
        assert (film["found"], film["turned"], film["covered"], film["lost"]) == (COUNT - 11, 2, 5, 4)
        assert film["moved"] + film["silent"] + film["kept"] == COUNT - 9
        assert film["faceless"] == 9
        assert film["kept"] == 2
        still = changed(source, out, (slice(60, 110), slice(20, 130)))
        assert max(still[at] for at in (*self.BLIND, *self.HIDDEN, *Turning.AWAY)) < MOVED
        assert sum(much > MOVED for much in still) == film["moved"] > 5
        assert film["untold"] == film["left"] == film["resumed"] == 0
        kept = json.loads(out.with_name(out.name + ".json").read_text())
        assert kept["film"]["covered"] == 5
        assert run(["translate", str(source), "--to", "es", "--no-own-voice", "--lips", "warp", "--no-hardware"]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert (
            "Faces: the face that is to speak is seen from the front in 13 of 24 pictures; turned away by more than 40 "
            "degrees in 2; covered about the mouth in 5; not in sight in 4."
        ) in shown


@pytest.mark.parametrize("first", [True, False])
def test_the_sound_that_is_heard_is_replaced_and_the_others_are_kept(capsys, shoot, speech, first) -> None:
    music = Track(0.1 * beep(SECONDS, 1.0), language="mul", title="Music")
    talk = Track(speech, language="eng", default=True)
    source = shoot("talk.mkv", sounds=(talk, music) if first else (music, talk))
    _, out = translate(capsys, source, "-o", "both.mkv", "--lips", "off")
    tracks = [(track.language, track.title, track.default) for track in probe(out).audio]
    assert tracks == [("spa", "Spanish, synthetic voice", True), ("mul", "Music", False)]
    kept = [one[2] for one in packets(source, "audio", 1 if first else 0)]
    assert [one[2] for one in packets(out, "audio", 1)] == kept, "copied bit by bit"


@pytest.mark.parametrize("name", ["talk.es.mp4", "talk.es.mkv"])
def test_new_subtitles_are_shown_by_themselves_and_those_of_the_source_are_kept(capsys, shoot, name) -> None:
    own = (
        Subtitles((Cue(0.5, 1.0, "by hand"),), "eng", "By hand", default=True),
        Subtitles((Cue(0.5, 1.0, "von Hand"),), "deu"),
    )
    source = shoot("talk.mkv", subtitles=own)
    report, out = translate(capsys, source, "--lips", "warp", "--no-hardware", "--srt", "-o", name)
    assert [(track.language, track.title, track.default) for track in probe(out).subtitles] == [
        ("spa", "Spanish (machine translation)", True),
        ("eng", "English (speech recognition)", False),
        ("eng", "By hand", False),
        ("deu", "", False),
    ]
    assert [Path(path).name for path in report["subtitles"]] == ["talk.en.srt", "talk.es.srt"]
    beside = Path("talk.es.srt").read_text()
    for start, _, text in texts(out):
        assert text in beside
        assert f"{start // 1000 % 60:02d},{start % 1000:03d} -->" in beside, "at the same time as in the file beside"
    _, out = translate(capsys, source, "--lips", "off", "-o", "plain.mkv")
    assert [(track.language, track.default) for track in probe(out).subtitles] == [("eng", True), ("deu", False)]
    assert [text for _, _, text in texts(out)] == ["by hand"]


@pytest.mark.parametrize("lips", ["warp", "off"])
def test_burnt_subtitles_are_in_the_pictures_and_nowhere_else(capsys, shoot, lips) -> None:
    source = shoot("talk.mkv", subtitles=(Subtitles((Cue(0.5, 1.0, "by hand"),), "eng", default=True),))
    options = ("--lips", lips, "--no-hardware", "--srt", "--burn", "-o", "burnt.mkv")
    report, out = translate(capsys, source, *options)
    beside = Path("burnt.es.srt").read_text()
    spans = [tuple(_seconds(at) for at in line.split(" --> ")) for line in beside.splitlines() if "-->" in line]
    shown = [any(start <= at / RATE < end for start, end in spans) for at in range(COUNT)]
    foot = changed(source, out, (slice(100, 116), slice(10, 150)))
    assert [much > 8 for much in foot] == shown
    assert 0 < sum(shown) == report["film"]["captioned"] < COUNT
    assert [(track.language, track.default) for track in probe(out).subtitles] == [("eng", False)]


def _seconds(stamp: str) -> float:
    hours, minutes, seconds = stamp.replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def test_high_dynamic_range_is_refused_before_any_work_but_where_pictures_are_copied(capsys, shoot) -> None:
    source = shoot(colour=(9, 9, 16))
    for options in ((), ("--lips", "off", "--burn")):
        said = refused(capsys, "translate", str(source), "--to", "es", *options)
        assert "high dynamic range (PQ)" in said
        assert "lips off" in said
    _, out = translate(capsys, source, "--lips", "off")
    assert probe(out).hdr == "PQ"
    assert [one[2] for one in packets(out)] == [one[2] for one in packets(source)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("TALK", "--burn", "-o", "a.wav"), "--burn draws into pictures, and a.wav has none."),
        (("TALK", "SOUND", "--burn", "-o", "results"), "--burn draws into pictures, and demo.es.flac has none."),
        (("--text", "hello", "--burn"), "--burn is for recordings, and not for --text."),
        (("TALK", "--burn", "--to", "ja"), "No font on this machine has letters for \u3042"),
        (("TALK", "--lips", "off", "--preview", "b.mp4"), "With --lips off there is no before and after"),
        (("TALK", "--preview", "TALK"), "cannot be both a video and what shows its lips"),
        (("TALK", "-o", "b.mp4", "--preview", "b.mp4"), "cannot be both a video and what shows its lips"),
        (("TALK", "-o", "nowhere/b.mp4"), "nowhere"),
        (("TALK", "--sheet", "/proc/nope/x.png"), "Make the folder first: mkdir -p /proc/nope"),
        (("TALK", "--preview", "nowhere/x.mp4"), "Make the folder first: mkdir -p nowhere"),
        (("SOUND", "-o", "a.wav", "--preview", "p.mp4", "--score"), "--preview and --score are for videos, and a"),
        (("SOUND", "-o", "a.wav", "--lips", "warp"), "--lips is for videos, and a.wav is none."),
        (("TALK", "-o", "a.wav", "--quality", "fast"), "--quality is for videos, and a.wav is none."),
        (("TALK", "-o", "b.webm"), "b.webm"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(capsys, shoot, repository, monkeypatch, options, said) -> None:
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", list)
    monkeypatch.setattr("node.dubbing.run", None)  # what would do the work
    named = {"TALK": str(shoot()), "SOUND": str(repository / "examples" / "audio" / "demo.flac")}
    line = [named.get(one, one) for one in options]
    line = line if "--to" in line else ["--to", "es", *line]
    assert said in refused(capsys, "translate", *line)


def test_where_lips_stay_off_sound_is_translated_without_a_word_of_them(capsys, repository) -> None:
    sound = repository / "examples" / "audio" / "demo.flac"
    report, out = translate(capsys, sound, "-o", "a.wav", "--lips", "off")
    assert out.exists()
    assert report["film"] is None


@pytest.fixture
def filmings(monkeypatch) -> list[object]:
    """All that was made to give videos other lips."""
    made: list[object] = []
    begin, close = Filming.__init__, Filming.close

    def counting(self, *parts):
        begin(self, *parts)
        made.append(self)

    def closing(self):
        made.append("closed")
        close(self)

    monkeypatch.setattr(Filming, "__init__", counting)
    monkeypatch.setattr(Filming, "close", closing)
    return made


def test_what_gives_videos_lips_is_made_once_for_all_of_them(capsys, shoot, repository, filmings) -> None:
    sound = repository / "examples" / "audio" / "demo.flac"
    line = [str(shoot("one.mp4")), str(sound), str(shoot("two.mp4")), "--lips", "warp", "--no-hardware"]
    assert run(["translate", *line, "--to", "es", "--no-own-voice", "-o", "out", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["reports"]
    assert [bool(report["film"]) for report in told] == [True, False, True]
    assert [report["film"]["moved"] > 5 for report in told if report["film"]] == [True, True]
    assert len(filmings) == 2
    assert filmings[-1] == "closed"


def test_without_a_video_nothing_is_made_that_gives_lips(capsys, repository, filmings) -> None:
    translate(capsys, repository / "examples" / "audio" / "demo.flac", "-o", "a.wav")
    assert filmings == []


def test_what_is_not_here_for_lips_is_told_once_before_the_first_of_many_videos(capsys, shoot, monkeypatch) -> None:
    def gone(home):
        raise Unavailable("The networks that find faces are not here.", "node models pull faces, or --lips off")

    monkeypatch.setattr("ml.lips.tracker.tracker_at", gone)
    monkeypatch.setattr("node.dubbing.run", None)  # what would do the work
    videos = (str(shoot("one.mp4")), str(shoot("two.mp4")))
    said = refused(capsys, "translate", *videos, "--to", "es", "--no-own-voice")
    assert said.count("networks that find faces") == 1
    assert "--lips off" in said


def test_a_card_encodes_where_one_can(capsys, shoot, monkeypatch) -> None:
    source = shoot()
    encode._hardware.cache_clear()
    monkeypatch.setattr(encode, "_HARDWARE", {"mpeg4": {"q": "{level}"}})  # no card, but another encoder than usual
    try:
        report, out = translate(capsys, source, "--lips", "warp")
        assert report["film"]["codec"] == probe(out).codec == "mpeg4"
        assert len(pictures(out)) == COUNT
        report, out = translate(capsys, source, "--lips", "warp", "--no-hardware")
        assert (report["film"]["codec"], probe(out).codec) == ("libx264", "h264")
    finally:
        encode._hardware.cache_clear()


@pytest.mark.parametrize("options", [("--lips", "warp"), ("--lips", "off", "--burn")])
def test_a_stopped_translation_goes_on_with_what_was_said_and_drawn(capsys, shoot, monkeypatch, options) -> None:
    source = shoot()
    begin, write = Segments.__init__, Segments.write
    written: list[float] = []

    def short(self, folder, like, options=None, key="", seconds=0.4):
        begin(self, folder, like, options, key, seconds)

    def stopping(self, at, *rest):
        written.append(at)
        if len(written) == 15:
            raise KeyboardInterrupt
        write(self, at, *rest)

    monkeypatch.setattr(Segments, "__init__", short)
    monkeypatch.setattr(Segments, "write", stopping)
    line = ["translate", str(source), "--to", "es", "--no-own-voice", "--no-hardware", *options]
    assert run(line) == 130
    assert not Path("talk.es.mp4").exists()
    capsys.readouterr()
    report, out = translate(capsys, source, "--no-hardware", *options)
    film = report["film"]
    assert 8 <= film["resumed"] < 15
    assert len(written) == 15 + COUNT - film["resumed"], "no picture twice"
    assert film["moved"] + film["silent"] + film["kept"] + film["left"] == COUNT
    assert report["resumed"] == len(report["utterances"]) > 0, "nothing is heard, translated or said again"
    again, _ = translate(capsys, source, "--no-hardware", *options)
    assert (again["resumed"], again["film"]["resumed"]) == (0, 0), "what is done is forgotten"
    assert len(packets(out)) == COUNT
