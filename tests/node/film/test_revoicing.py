"""What a dub says is told to the filming on the right time line, in the right spans, by the best way there is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.errors import BadText, BadVideo
from ml.lips.types import OPEN
from ml.speech.items import Utterance
from ml.types import Audio, Phoneme, Speech, Transcript, Translation
from node.film.burning import Burning, BurnOptions
from node.film.filming import Filming, Said
from node.film.revoicing import Screen, Ways, Words, dub_video, is_video, lipsync
from node.laid import Laid
from node.report import FilmFacts, Report
from tests.ml.video.clips import Recipe, Track, beep, make, packets

FACTS = FilmFacts(10, 10, 0, 0, 0, 1, "bank", "phonemes", "libx264")


class Dubber:
    """A dubbing that lays known utterances, and a second of tone as their sound."""

    def __init__(self, utterances: list[Utterance]) -> None:
        self._utterances = utterances

    def dub(self, source: Path, output: Path, progress, cold_start: float, laid: Laid, start: float) -> Report:
        from ml.audio.write import write

        self.start = start
        write(laid.sound, Audio(beep(2.0, 0.5)))
        for utterance in self._utterances:
            laid.add(utterance)
        return Report(str(source), str(output), "en", "es", 2.0, 1.0, 0.0, (), None, (), {}, subtitles=("a.srt",))


class Camera(Filming):
    """A filming that keeps what it was told, and copies its source."""

    def __init__(self) -> None:
        self.said: Said | None = None
        self.samples = np.zeros(0)

    def film(self, source, target, said, sound, extras, progress):
        self.said, self.extras = said, extras
        self.samples = np.concatenate(list(sound()))
        target.write_bytes(source.read_bytes())
        return FACTS


def utterance(start: float, end: float, said: float, phonemes: tuple[Phoneme, ...]) -> Utterance:
    speech = Speech(Audio(beep(said)), "ama", "es", "voice", phonemes=phonemes)
    heard = Transcript("loves", "en", start, end, 1.0, "ears")
    return Utterance(
        index=0,
        start=start,
        end=end,
        room=end + 1,
        audio=Audio(beep(end - start)),
        key="k",
        transcript=heard,
        translation=Translation("ama", "loves", "en", "es", "mt", ("en", "es")),
        dub=speech,
    )


def test_a_warning_that_both_have_is_told_once(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dubber, camera = Dubber([utterance(0.2, 0.9, 0.6, sounds(("a", 0.0, 0.6)))]), Camera()
    dub, film = dubber.dub, camera.film
    monkeypatch.setattr(
        dubber, "dub", lambda *told, **more: replace(dub(*told, **more), warnings=("Not for money.", "Too quiet."))
    )
    monkeypatch.setattr(camera, "film", lambda *told: replace(film(*told), notes=("Not for money.", "Cut off.")))
    screen = Screen(camera, lambda language: Ways())
    report = dub_video(dubber, screen, clip, tmp_path / "b.mp4", lambda *told: None)
    assert report.warnings == ("Not for money.", "Too quiet.", "Cut off.")


def sounds(*at: tuple[str, float, float]) -> tuple[Phoneme, ...]:
    return tuple(Phoneme(*one) for one in at)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    late = Track(beep(1.5, 0.2), start=0.03, language="eng", codec="pcm_s16le")
    return make(tmp_path_factory.mktemp("clip") / "a.mkv", Recipe(count=50, sounds=(late,)))


def nobody(language: str) -> Ways:
    raise AssertionError("nobody need lay a text whose sounds are told")


def test_a_dub_moves_lips_when_it_is_heard_and_counts_from_its_sound(clip: Path, tmp_path: Path) -> None:
    camera = Camera()
    spoken = utterance(0.4, 1.0, 0.9, sounds(("a", 0.0, 0.3), ("m", 0.3, 0.5), ("a", 0.5, 0.9)))
    dubber = Dubber([spoken])
    report = dub_video(dubber, Screen(camera, nobody), clip, tmp_path / "b.mp4", lambda *told: None)
    assert dubber.start == pytest.approx(0.03, abs=0.001), "for the subtitles beside it"
    assert report.film is FACTS
    said = camera.said
    assert said is not None
    assert said.start == pytest.approx(0.03, abs=0.001), "no silence is put before a sound that begins so soon"
    assert said.spans == ((0.4, pytest.approx(1.3)),), "until both the original and the dub are over"
    opening = said.curves.values[:, OPEN]
    assert opening[:35].max() == 0
    assert opening[45:70].max() > 0.3
    assert opening[78:82].min() < 0.1, "shut at the m"
    assert len(camera.samples) == pytest.approx(32_000, abs=16)
    assert camera.extras.sound.language == "spa"
    told = [(track.language, track.title, track.default) for track in camera.extras.subtitles]
    assert told == [("spa", "Spanish (machine translation)", True), ("eng", "English (speech recognition)", False)]
    assert camera.extras.subtitles[0].cues[0].start == pytest.approx(0.43, abs=0.001), "subtitles as late as the sound"
    assert not camera.extras.captioned
    assert said.captions == ()


def test_who_is_heard_later_takes_over_in_whatever_order_it_was_said(clip: Path, tmp_path: Path) -> None:
    two = [utterance(0.2, 0.9, 1.5, sounds(("m", 0.0, 1.5))), utterance(0.8, 1.4, 0.6, sounds(("a", 0.0, 0.6)))]
    curves = []
    for order in (two, two[::-1]):
        camera = Camera()
        dub_video(Dubber(order), Screen(camera, nobody), clip, tmp_path / "b.mp4", lambda *told: None)
        assert camera.said is not None
        curves.append(camera.said.curves.values)
    assert np.array_equal(*curves)
    assert curves[0][90:130, OPEN].max() > 0.3


def test_a_voice_that_tells_no_sounds_is_laid_or_heard(clip: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    def lay(language: str) -> Ways:
        asked.append(language)
        return Ways()

    camera = Camera()
    two = [utterance(0.1, 0.4, 0.3, ()), utterance(0.6, 0.9, 0.3, ())]
    dub_video(Dubber(two), Screen(camera, lay), clip, tmp_path / "b.mp4", lambda *told: None)
    assert asked == ["es"], "once for all of it"
    assert camera.said is not None
    assert camera.said.curves.source == "sound"


def test_without_a_screen_pictures_are_copied(clip: Path, tmp_path: Path) -> None:
    report = dub_video(Dubber([]), None, clip, tmp_path / "b.mp4", lambda *told: None)
    assert report.film is None
    assert [data for _, _, data, _ in packets(tmp_path / "b.mp4")] == [data for _, _, data, _ in packets(clip)]


def test_burnt_subtitles_are_of_the_new_language_and_take_the_place_of_soft_ones(clip: Path, tmp_path: Path) -> None:
    camera = Camera()
    spoken = utterance(0.4, 1.0, 0.9, sounds(("a", 0.0, 0.9)))
    dub_video(Dubber([spoken]), Screen(camera, nobody, burn=True), clip, tmp_path / "b.mp4", lambda *told: None)
    assert camera.said is not None
    (cue,) = camera.said.captions
    assert (cue.text, cue.start, cue.end) == ("ama", pytest.approx(0.43, abs=1e-3), pytest.approx(1.33, abs=1e-3))
    assert camera.extras.subtitles == ()
    assert camera.extras.captioned


def test_subtitles_are_burnt_where_lips_stay(clip: Path, tmp_path: Path) -> None:
    spoken = utterance(0.4, 1.0, 0.9, sounds(("a", 0.0, 0.9)))
    burning = Burning(BurnOptions(hardware=False), tmp_path / "jobs")
    report = dub_video(Dubber([spoken]), burning, clip, tmp_path / "b.mp4", lambda *told: None)
    assert report.film is not None
    shown = sum(0.43 <= at / 25 < 1.33 for at in range(50))
    assert (report.film.renderer, report.film.captioned, report.film.left) == ("off", shown, 50)
    light = make(tmp_path / "hdr.mp4", Recipe(count=3, colour=(9, 9, 16), sounds=(Track(beep(0.2)),)))
    with pytest.raises(BadVideo, match="high dynamic range"):
        dub_video(Dubber([spoken]), burning, light, tmp_path / "c.mp4", lambda *told: None)


def test_a_sound_that_does_not_fit_is_told(clip: Path, tmp_path: Path) -> None:
    from ml.audio.write import write

    write(tmp_path / "long.wav", Audio(beep(4.0, 1.0)))
    facts = lipsync(Camera(), clip, tmp_path / "long.wav", tmp_path / "b.mp4", lambda *told: None)
    assert facts.notes == ("The sound is 2.0 s longer than the pictures.",)
    words = Words("tell me", "en", Ways())
    facts = lipsync(Camera(), clip, tmp_path / "long.wav", tmp_path / "b.mp4", lambda *told: None, words)
    assert "could not be laid" in facts.notes[0]
    with pytest.raises(BadText, match="empty"):
        lipsync(Camera(), clip, tmp_path / "long.wav", tmp_path / "b.mp4", lambda *told: None, Words(" ", "en", Ways()))
    with pytest.raises(BadVideo):
        lipsync(Camera(), tmp_path / "long.wav", clip, tmp_path / "b.mp4", lambda *told: None)


def test_a_cover_is_no_video(clip: Path, tmp_path: Path) -> None:
    song = make(tmp_path / "song.mp4", Recipe(count=0, sounds=(Track(beep(0.5)),), cover=True))
    assert is_video(clip)
    assert not is_video(song)
    assert not is_video(tmp_path / "nothing.mp4")


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_subtitles_beside_a_video_are_as_late_as_those_inside(tmp_path: Path, repository: Path, name: str) -> None:
    from ml.audio.read import read
    from node.dubbing import DubOptions
    from tests.fakes import fake_node

    speech = read(repository / "examples" / "audio" / "demo.flac").samples
    late = Track(speech, start=69.9, codec="pcm_s16le" if name.endswith("mkv") else "aac")
    times = tuple(at * 0.5 for at in range(170))
    source = make(tmp_path / name, Recipe(width=32, height=32, times=times, sounds=(late,)))
    with fake_node(tmp_path / "home") as node:
        dubbing, _ = node.dubbing(DubOptions("es", own_voice=False, srt=True))
        report = dub_video(dubbing, None, source, tmp_path / f"b.es{source.suffix}", lambda *told: None)
    first = 69.9 + report.utterances[0].start
    assert first < 75
    for path in report.subtitles:
        shown = Path(path).read_text().splitlines()[1].split(" --> ")[0].replace(",", ":").split(":")
        at = int(shown[1]) * 60 + int(shown[2]) + int(shown[3]) / 1000
        assert at == pytest.approx(first, abs=0.1), path
