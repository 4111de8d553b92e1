"""Burnt-in subtitles: on screen while they should be, at the foot, readable, and only in letters that the font has."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from ml.errors import Unavailable
from ml.languages import languages
from ml.speech.subtitles import Cue
from ml.video import burn
from ml.video.burn import Captions, check_language, font_for
from tests.ml.video.clips import portrait

CUES = (Cue(1.0, 2.0, "¿Qué tal?\nGrüße"), Cue(0.2, 0.5, "Привет"), Cue(3, 3, "never"), Cue(4, 5, "  "))


@settings(max_examples=20, deadline=None)
@given(time=st.floats(0, 6), size=st.sampled_from([(160, 120), (120, 160), (642, 361)]))
def test_texts_are_on_screen_while_they_should_be_and_nowhere_else(time, size):
    width, height = size
    before = portrait(width, height)
    picture = before.copy()
    area = Captions(CUES, width, height).draw(time, picture)
    shown = 1.0 <= time < 2.0 or 0.2 <= time < 0.5
    assert (area is not None) == shown == (not np.array_equal(picture, before))
    if area is not None:
        x, y, wide, high = area
        inside = np.zeros((height, width), bool)
        inside[y : y + high, x : x + wide] = True
        np.testing.assert_array_equal(picture[~inside], before[~inside])
        assert y > height / 2
        assert y + high <= height
        assert abs(x + wide / 2 - width / 2) <= 2
        assert picture[inside].min() < 10
        assert picture[inside].max() > 245


def test_a_text_gives_way_to_the_next_at_once():
    captions = Captions([Cue(0, 1, "one"), Cue(1, 2, "twofold")], 160, 120)
    areas = [captions.draw(time, portrait().copy()) for time in (0.0, 0.999, 1.0, 1.999, 2.0)]
    assert areas[0] == areas[1] != areas[2] == areas[3]
    assert areas[4] is None


@given(
    cues=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8), st.sampled_from(["a", "b", " "])), max_size=8),
    times=st.lists(st.floats(0, 30), max_size=8),
)
def test_of_texts_that_overlap_the_first_is_shown_and_all_are_counted(cues, times):
    made = [Cue(start, start + length, text) for start, length, text in cues]
    on = [any(cue.start <= time < cue.end and cue.text.strip() for cue in made) for time in times]
    captions = Captions(made, 64, 48)
    assert captions.count(times) == sum(on)
    for time, shown in zip(times, on, strict=True):
        assert (captions.draw(time, np.zeros((48, 64, 3), np.uint8)) is not None) == shown


def test_a_long_line_is_broken_and_stays_in_the_picture():
    words = Cue(0, 1, " ".join(["word"] * 30))
    ideographs = Cue(0, 1, "word" + "\u3000".join("wwwwwwwwwwwwww"))
    for cue in (words, ideographs):
        picture = portrait(320, 240).copy()
        x, _, wide, high = Captions([cue], 320, 240).draw(0, picture)
        assert x >= 0.03 * 320
        assert wide <= 0.95 * 320
        assert high > 2 * 12


@pytest.mark.parametrize("aspect", [16 / 11, 0.5])
def test_where_pixels_are_not_square_letters_look_as_they_should(aspect):
    square, stored = np.zeros((240, 480, 3), np.uint8), np.zeros((240, round(480 / aspect), 3), np.uint8)
    cues = [Cue(0, 1, "word " * 12)]
    there = Captions(cues, 480, 240).draw(0, square)
    here = Captions(cues, stored.shape[1], 240, aspect=aspect).draw(0, stored)
    assert (here[1], here[3]) == (there[1], there[3])
    assert (here[0] * aspect, here[2] * aspect) == pytest.approx((there[0], there[2]), abs=2 * aspect)
    shown = np.asarray(Image.fromarray(stored).resize((480, 240)), int)
    assert np.corrcoef(shown.ravel(), square.ravel())[0, 1] > 0.8


def test_the_same_text_is_drawn_the_same_each_time():
    captions = Captions(CUES, 160, 120)
    first, second = np.zeros((2, 120, 160, 3), np.uint8)
    assert captions.draw(1.0, first) == captions.draw(1.5, second)
    np.testing.assert_array_equal(first, second)


def test_letters_that_no_font_has_are_named_with_a_way_out(monkeypatch):
    dejavu = font_for("a")
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [str(dejavu), "/no/such/font.ttf"])
    with pytest.raises(Unavailable, match="世 界") as caught:
        Captions([Cue(0, 1, "Hello 世界")], 160, 120)
    assert "soft subtitles" in caught.value.remedy


def test_whether_a_language_can_be_drawn_is_known_before_there_is_a_text(monkeypatch):
    dejavu = font_for("a")
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [str(dejavu)])
    for language in ("es", "ru", "el", "abt", "no-such", "tlh"):
        check_language(language)
    for language, letter in (("ja", "あ"), ("hi", "क"), ("zh", "汉"), ("th", "ก")):
        with pytest.raises(Unavailable, match=letter) as caught:
            check_language(language)
        assert "fonts-noto" in caught.value.remedy
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(Unavailable, match="Arabic letters cannot be laid out"):
        check_language("ar")


def test_every_script_of_the_table_of_languages_has_a_letter():
    scripts = {code.rpartition("_")[2] for one in languages() if (code := one.codes.get("nllb", ""))}
    assert scripts - {"Latn"} <= set(burn._LETTERS)
    assert len(scripts) > 20
    for script, letter in burn._LETTERS.items():
        assert unicodedata.category(chr(letter)).startswith("L"), script


def test_a_font_of_the_machine_is_taken_when_it_has_the_letters(monkeypatch, tmp_path):
    known = {"DejaVu": {ord("a")}, "Other": {ord("世")}, "Noto": {ord("世"), ord("a")}}
    monkeypatch.setattr(burn, "_letters", lambda path: known.get(path.stem, {ord("a")}))
    found = [str(tmp_path / "Other.ttf"), str(tmp_path / "Noto.ttf")]
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: found)
    assert font_for("a 世") == tmp_path / "Noto.ttf"
    assert font_for("世 世") == tmp_path / "Noto.ttf"
    assert isinstance(font_for("a"), Path)


@pytest.mark.skipif(not features.check("fribidi"), reason="needs Pillow with FriBiDi")
def test_arabic_is_joined_and_not_letter_after_letter():
    pictures = np.zeros((2, 120, 400, 3), np.uint8)
    joined = Captions([Cue(0, 1, "مرحبا")], 400, 120).draw(0, pictures[0])
    apart = Captions([Cue(0, 1, "\u200c".join("مرحبا"))], 400, 120).draw(0, pictures[1])
    assert joined[2] < apart[2]


def test_scripts_that_cannot_be_laid_out_are_refused(monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(Unavailable, match="Arabic letters cannot be laid out"):
        Captions([Cue(0, 1, "مرحبا")], 160, 120)
    assert Captions([Cue(0, 1, "hola")], 160, 120)
