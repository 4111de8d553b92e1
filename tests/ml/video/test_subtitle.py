"""Subtitles: texts come back with their times, in both containers."""

from __future__ import annotations

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.speech.subtitles import Cue
from ml.video.subtitle import Subtitles, SubtitleWriter, plain_text
from tests.ml.video.clips import Recipe, make, texts


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_texts_come_back_with_their_times(tmp_path, name):
    cues = (
        Cue(0.5, 0.7, "Grüße, 世界\nzwei, mit Komma"),
        Cue(0.1, 0.4, "¿Qué tal?"),
        Cue(0.75, 0.75, "no time"),
        Cue(0.76, 0.79, " "),
    )
    path = make(tmp_path / name, Recipe(subtitles=(Subtitles(cues, "spa", "Untertitel", True),)))
    assert texts(path) == [
        (100, pytest.approx(400, abs=1), "¿Qué tal?"),
        (500, pytest.approx(700, abs=1), "Grüße, 世界\nzwei, mit Komma"),
    ]
    with av.open(path) as file:
        assert file.streams.subtitles[0].language == "spa"


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="{}\\"), max_size=60))
def test_a_text_is_the_last_field_whatever_is_in_it(text):
    dialogue = "0,0,Default,,0,0,0,,{\\i1}" + text + "\\N{\\b0}end"
    assert plain_text(dialogue.encode()) == f"{text}\nend".strip()


def test_a_text_is_cut_where_a_packet_ends_and_not_within_a_letter(tmp_path):
    with av.open(tmp_path / "a.mp4", "w") as out:
        writer = SubtitleWriter(out, Subtitles(()))
        (packet,) = writer.packets([Cue(0, 1, "ß" * 40_000)])
        data = bytes(packet)
        assert int.from_bytes(data[:2], "big") == len(data) - 2 == 65_000
        assert set(data[2:].decode()) == {"ß"}
        out.mux(packet)
