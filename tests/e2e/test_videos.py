"""Videos in real processes: another language, another sound, lips that follow where a face is seen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from ml.audio.read import read
from ml.video.probe import probe
from tests.e2e.films import node, pictures
from tests.e2e.nodes import NODE
from tests.ml.video.clips import Recipe, Track, make, packets, picture


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """Eight pictures a second of a face, and a reader of LJ Speech."""
    spoken = read(repository / "examples" / "audio" / "lj.flac").cut(0, 5)
    recipe = Recipe(count=40, width=320, height=240, rate=8, sounds=(Track(spoken.samples, language="eng"),))
    return make(tmp_path_factory.mktemp("talk") / "talk.mp4", recipe)


def test_a_video_comes_back_in_another_language_with_other_lips(environment, talk, tmp_path):
    out = tmp_path / "talk.es.mp4"
    done = node(environment, "translate", talk, "--to", "es", "-o", out, "--srt", "--json")
    (report,) = json.loads(done.stdout)["reports"]
    film = report["film"]
    assert film["pictures"] == 40
    assert film["moved"] > 25
    assert film["curves"] == "phonemes"
    info = probe(out)
    assert [track.language for track in info.audio] == ["spa"]
    assert {track.language for track in info.subtitles} == {"eng", "spa"}
    assert (info.width, info.height) == (320, 240)
    assert read(out).seconds == pytest.approx(read(talk).seconds, abs=0.1)
    before, after = pictures(talk), pictures(out)
    assert len(after) == 40
    changed = [np.abs(one - other)[120:215, 90:230].mean() for one, other in zip(before, after, strict=True)]
    around = [np.abs(one - other)[:60].mean() for one, other in zip(before, after, strict=True)]
    assert np.median(changed) > 2 * np.median(around), "it is the mouth that changed"


def test_without_lips_the_pictures_are_the_same_bits(environment, talk, tmp_path):
    out = tmp_path / "talk.es.mkv"
    done = node(environment, "translate", talk, "--to", "es", "-o", out, "--lips", "off", "--json")
    (report,) = json.loads(done.stdout)["reports"]
    assert report["film"] is None
    assert [data for _, _, data, _ in packets(out)] == [data for _, _, data, _ in packets(talk)]
    assert [track.language for track in probe(out).audio] == ["spa"]


def test_sound_alone_is_had_from_a_video_where_a_sound_file_is_asked_for(environment, talk, tmp_path):
    node(environment, "translate", talk, "--to", "es", "-o", tmp_path / "talk.wav")
    assert read(tmp_path / "talk.wav").seconds == pytest.approx(read(talk).seconds, abs=0.1)


LJ = (
    "The invention of movable metal letters in the middle of the fifteenth century may justly be considered as the "
    "invention of the art of printing."
)
"""What is said in lj.flac (examples/audio/README.md)."""


@pytest.mark.parametrize("way", ["words", "a file of words", "no words"])
def test_another_sound_with_its_words_or_without(environment, talk, repository, tmp_path, way):
    sound = repository / "examples" / "audio" / "lj.flac"
    (tmp_path / "lj.txt").write_text(LJ)
    text = {"words": LJ, "a file of words": f"@{tmp_path / 'lj.txt'}", "no words": None}[way]
    words = ["--text", text, "--language", "en"] if text else []
    out = tmp_path / "talk.lips.mp4"
    done = node(environment, "lipsync", talk, sound, "-o", out, *words, "--lips", "warp", "--face", "largest", "--json")
    facts = json.loads(done.stdout)
    assert facts["moved"] == 40
    assert facts["renderer"] == "warp"
    assert facts["curves"] == ("alignment" if text else "sound")
    assert not any("could not be laid" in note for note in facts["notes"])
    assert any("longer than the pictures" in note for note in facts["notes"])


EMPTY, COVERED = range(12, 20), range(28, 36)


def troubled(index: int, width: int, height: int) -> np.ndarray:
    """The face, which is gone for a second, and behind a microphone for another."""
    if index in EMPTY:
        return np.full((height, width, 3), 90, np.uint8)
    shown = picture(0, width, height).copy()
    if index in COVERED:
        y, x = np.ogrid[:height, :width]
        shown[(x - 0.51 * width) ** 2 + (y - 0.7 * height) ** 2 < (0.075 * height) ** 2] = 20
    return shown


def test_a_face_that_is_gone_or_covered_keeps_its_own_pixels_and_is_counted(environment, repository, tmp_path):
    sound = repository / "examples" / "audio" / "lj.flac"
    source = make(tmp_path / "a.mp4", Recipe(count=48, width=320, height=240, rate=8, shows=troubled))
    out = tmp_path / "b.mp4"
    done = node(environment, "lipsync", source, sound, "-o", out, "--lips", "warp", "--no-hardware", "--json")
    facts = json.loads(done.stdout)
    assert (facts["pictures"], facts["found"], facts["turned"]) == (48, 32, 0)
    assert (facts["covered"], facts["lost"]) == (8, 8)
    assert (facts["moved"], facts["faceless"], facts["kept"], facts["silent"]) == (32, 16, 0, 0)
    assert facts["untold"] == facts["left"] == 0
    seen = json.loads(node(environment, "detect", out, "--json").stdout)
    assert seen["said"].startswith("synthetic lips, where a face was seen: made to say another sound by Babelmesh")
    assert seen["marked"] is False, "the sound was given"
    rows = zip(pictures(source), pictures(out), strict=True)
    changed = [float(np.abs(one - other)[140:200, 120:210].mean()) for one, other in rows]
    untouched = [changed[at] for at in (*EMPTY, *COVERED)]
    assert max(untouched) < 2.5, "but for what the encoder does"
    assert np.median([much for at, much in enumerate(changed) if at not in (*EMPTY, *COVERED)]) > 2 * max(untouched)


@pytest.fixture(scope="module")
def long_talk(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> tuple[Path, Path]:
    """A minute of a face, and a minute of speech."""
    from ml.audio.write import write
    from ml.types import Audio

    folder = tmp_path_factory.mktemp("long")
    spoken = read(repository / "examples" / "audio" / "lj.flac").samples
    write(folder / "speech.wav", Audio(np.tile(spoken, 10)[: 60 * 16_000]))
    return make(folder / "talk.mp4", Recipe(count=480, width=320, height=240, rate=8)), folder / "speech.wav"


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(environment, babelmesh_home, long_talk, tmp_path):
    out = tmp_path / "b.mp4"
    line = ["lipsync", *map(str, long_talk), "-o", str(out), "--lips", "warp", "--no-hardware", "--json"]
    with subprocess.Popen([*NODE, *line], env=environment, stdout=subprocess.DEVNULL) as running:
        while running.poll() is None and not list(babelmesh_home.glob("jobs/film-*/0*.mp4")):
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL, "it was not yet done"
    assert not list(tmp_path.iterdir())
    facts = json.loads(node(environment, *line).stdout)
    assert facts["resumed"] >= 80, "the first ten seconds at least"
    assert facts["moved"] + facts["kept"] + facts["silent"] + facts["faceless"] == facts["pictures"] == 480
    assert facts["found"] + facts["turned"] + facts["covered"] + facts["lost"] == 480
    assert len(packets(out)) == 480
    whole = tmp_path / "whole.mp4"
    undisturbed = json.loads(node(environment, *line[:3], "-o", whole, *line[5:]).stdout)
    assert undisturbed["resumed"] == 0
    assert [undisturbed[one] for one in ("moved", "silent")] == [facts[one] for one in ("moved", "silent")]
    for one, other in zip(pictures(whole), pictures(out), strict=True):
        assert np.abs(one - other).mean() < 0.5
    assert not list(babelmesh_home.glob("jobs/film-*"))


def swaying(index: int, width: int, height: int) -> np.ndarray:
    """One face that stays in the picture."""
    return picture(abs(index % 16 - 8), width, height)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(environment, long_talk, tmp_path):
    def peak(seconds: int) -> float:
        """Megabytes that a run took at most."""
        recipe = Recipe(count=8 * seconds, width=320, height=240, rate=8, shows=swaying)
        source = make(tmp_path / f"{seconds}.mp4", recipe)
        line = ["lipsync", str(source), str(long_talk[1]), "-o", str(tmp_path / f"{seconds}.out.mp4"), "--no-hardware"]
        running = subprocess.Popen([*NODE, *line], env=environment, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        assert running.returncode == 0
        return used.ru_maxrss / 1024

    short, long = peak(30), peak(180)
    assert long - short < 20, "1,200 more pictures are 276 MB, and their landmarks 7 MB"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("lipsync", "nowhere.mp4", "TALK"), "nowhere.mp4"),
        (("lipsync", "TALK", "nowhere.wav"), "nowhere.wav"),
        (("lipsync", "TALK", "TALK", "--face", "nose"), "'nose' is no face"),
        (("lipsync", "TALK", "TALK", "--face", "7"), "no face 7"),
        (("lipsync", "TALK", "TALK", "-o", "TALK"), "overwrite its own input"),
        (("lipsync", "SOUND", "SOUND"), "lj.flac"),
        (("translate", "SOUND", "--to", "es", "-o", "new.mp4"), "lj.flac"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(environment, talk, repository, tmp_path, arguments, said):
    named = {"TALK": talk, "SOUND": repository / "examples" / "audio" / "lj.flac"}
    before = talk.read_bytes()
    given = [named.get(one, one) for one in arguments]
    if "-o" not in given:
        given += ["-o", tmp_path / "new.mp4"]
    done = node(environment, *given, code=2)
    error = done.stderr.decode()
    assert said in error
    assert "Traceback" not in error
    assert talk.read_bytes() == before
    assert not (tmp_path / "new.mp4").exists()
