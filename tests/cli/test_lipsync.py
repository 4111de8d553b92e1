"""What is asked of lips, and how what became of them is told."""

from __future__ import annotations

import pytest

from cli.app import run
from cli.errors import BadUsage
from cli.lipsync import LipWishes, film_options
from cli.render import film_line
from node.report import FilmFacts


def test_wishes_become_options() -> None:
    options = film_options(LipWishes(lips="warp", quality="fast", face="2", hardware=False))
    assert options is not None
    assert (options.renderer, options.preset, options.face, options.hardware) == ("warp", "fast", 2, False)
    assert film_options(LipWishes()).face == "speaking"
    assert film_options(LipWishes(lips="off")) is None
    with pytest.raises(BadUsage, match="'-1' is no face"):
        film_options(LipWishes(face="-1"))


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
        (["a.mp4", "b.wav", "--text", "@no-such-file"], "no-such-file cannot be read as text"),
        (["a.mp4", "b.wav", "--lips", "magic"], "magic"),
    ],
)
def test_wrong_wishes_are_told(capsys, babelmesh_home, words, said) -> None:
    assert run(["lipsync", *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
