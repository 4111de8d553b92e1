"""What is asked of lips, and how what became of them is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cli.app import run
from cli.errors import BadUsage
from cli.lipsync import LipWishes, _beside, film_options
from cli.render import film_line
from node.report import FilmFacts, SyncLine, WeightsLine


def test_wishes_become_options() -> None:
    options = film_options(LipWishes(lips="warp", quality="fast", face="2", hardware=False))
    assert options is not None
    assert (options.renderer, options.preset, options.face, options.hardware) == ("warp", "fast", 2, False)
    assert film_options(LipWishes()).face == "speaking"
    assert film_options(LipWishes(lips="off")) is None
    with pytest.raises(BadUsage, match="'-1' is no face"):
        film_options(LipWishes(face="-1"))
    with pytest.raises(BadUsage, match=r"'1{40}\.\.\.' is no face"):
        film_options(LipWishes(face="1" * 5000))


def test_weights_of_ones_own_draw_and_score() -> None:
    options = film_options(LipWishes(lips="wav2lip", wav2lip="mine", syncnet="sync.model"))
    assert options is not None
    assert (options.renderer, options.wav2lip, options.score, options.syncnet) == (
        "wav2lip",
        "mine",
        True,
        "sync.model",
    )
    assert not film_options(LipWishes()).score
    assert film_options(LipWishes(score=True)).score
    with pytest.raises(BadUsage, match="that --lips wav2lip draws with"):
        film_options(LipWishes(wav2lip="mine"))
    for asked in (LipWishes(lips="off", score=True), LipWishes(lips="off", syncnet="x")):
        with pytest.raises(BadUsage, match="nothing to score"):
            film_options(asked)


def test_weights_and_scores_are_told_by_name() -> None:
    sync = WeightsLine("syncnet_v2.model", "/x", "0" * 64, True)
    facts = FilmFacts(10, 10, 0, 0, 0, 1, "wav2lip", "sound", "libx264", weights=WeightsLine("mine", "/y", "1", False))
    assert film_line(facts) == "Lips: 10 of 10 pictures move (wav2lip with mine, by the sound alone)."
    for offset, when in (
        (-2, "2 pictures of 1/25 s before their sound"),
        (0, "at the time of their sound"),
        (1, "1 picture of 1/25 s after their sound"),
    ):
        scored = replace(facts, sync=SyncLine(sync, 6.254, 7.1, offset, 9.6, 0.4))
        assert film_line(scored).endswith(
            f" Scored by SyncNet (syncnet_v2.model; 9.6 s from 0.4 s on): confidence 6.25, distance 7.10, lips {when}."
        )


def test_what_became_of_pictures_is_one_sentence() -> None:
    facts = FilmFacts(10, 6, 1, 2, 1, 1, "bank", "alignment", "libx264")
    assert film_line(facts) == (
        "Lips: 6 of 10 pictures move (bank, by the text, laid along the sound); 1 have nothing to say; "
        "2 show no face that is to speak; 1 keep their lips, because the face is turned away or cut off."
    )
    assert film_line(FilmFacts(10, 10, 0, 0, 0, 1, "warp", "sound", "copied")).endswith("by the sound alone).")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.mp4", "b.wav", "--lips", "off"], "Without lips there is nothing to do here."),
        (["a.mp4", "b.wav", "--text", "@no-such-file"], "There is no file no-such-file"),
        (["a.mp4", "b.wav", "--lips", "magic"], "magic"),
        (["a.mp4", "b.wav", "--preview", "a.mp4"], "a.mp4 cannot be both a video and what shows its lips."),
        (["a.mp4", "b.wav", "-o", "c.mp4", "--preview", "./c.mp4"], "c.mp4 cannot be both"),
        (["a.mp4", "b.mp4", "-o", "b.mp4"], "The result would overwrite its own input b.mp4."),
        (["a.mp4", "b.mp4", "-o", "./a.mp4"], "The result would overwrite its own input a.mp4."),
        (["a.mp4", "b.mp4", "--preview", "b.mp4"], "b.mp4 cannot be both a video and what shows its lips."),
        (["a.mp4", "b.wav", "--preview", "./b.wav"], "b.wav cannot be both a recording and what shows its lips."),
        (["a.mp4", "b.png", "--sheet", "b.png"], "b.png cannot be both"),
        (["a.mp4", "b.wav", "--sheet", "/proc/nope/x.png"], "Make the folder first: mkdir -p /proc/nope"),
        (["a.mp4", "b.wav", "--preview", "nowhere/x.mp4"], "Make the folder first: mkdir -p nowhere"),
        (["a.mp4", "b.wav", "--preview", "x.txt"], "End the name in .mp4"),
        (["a.mp4", "b.wav", "--wav2lip", "mine.pth"], "Say both: --lips wav2lip"),
        (["a.mp4", "b.wav", "--lips", "off", "--score"], "nothing to score"),
        (["a.mp4", "b.wav", "--lips", "wav2lip", "--gpu"], "--lips wav2lip moves no pixels"),
    ],
)
def test_wrong_wishes_are_told(capsys, babelmesh_home, words, said) -> None:
    assert run(["lipsync", *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_neither_input_is_overwritten(capsys, babelmesh_home, in_folder) -> None:
    for name in ("talk.mp4", "voice.mp4"):
        (in_folder / name).write_bytes(b"precious")
    (in_folder / "link.mp4").symlink_to(in_folder / "voice.mp4")
    for name in ("talk.mp4", "voice.mp4", "link.mp4"):
        for option in ("-o", "--preview"):
            assert run(["lipsync", "talk.mp4", "voice.mp4", option, name]) == 2
            told = capsys.readouterr().err
            assert ("overwrite its own input" if option == "-o" else "cannot be both a video") in told
    assert {path.read_bytes() for path in in_folder.iterdir()} == {b"precious"}


def test_videos_of_one_name_give_results_of_different_names(in_folder, monkeypatch) -> None:
    monkeypatch.setattr("node.film.revoicing.is_video", lambda path: path.suffix in {".mov", ".mkv", ".avi"})
    (in_folder / "talk[1].wav").touch()
    (in_folder / "talk[1].srt").touch()
    (in_folder / "talk[1].old.avi").touch()
    for name, result in (("talk[1].mov", "talk[1].lips.mp4"), ("talk[1].mkv", "talk[1].lips.mkv")):
        (in_folder / name).touch()
        assert _beside(Path(name)) == Path(result)
    assert _beside(Path("talk[1].mov")) == Path("talk[1].lips.mp4")
    (in_folder / "talk[1].avi").touch()
    for name in ("talk[1].mov", "talk[1].avi"):
        assert _beside(in_folder / name) == in_folder / f"{name}.lips.mp4"
    assert _beside(Path("talk[1].mkv")) == Path("talk[1].lips.mkv")
    assert _beside(Path("nowhere.MP4")) == Path("nowhere.lips.mp4")
