"""Subtitles that players read."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.speech.subtitles import LINE, LINES, Cue, cues, stamp, to_srt, to_vtt

text = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=400)


@given(text, st.floats(0, 1e5), st.floats(0.01, 60))
def test_cues_hold_every_word_in_order_and_fill_the_time(words: str, start: float, length: float):
    entries = cues(words, start, start + length)
    assert "".join(words.split()) == "".join("".join(cue.text.split()) for cue in entries)
    for cue in entries:
        assert len(cue.text.splitlines()) <= LINES
        assert all(len(line) <= LINE for line in cue.text.splitlines())
    if entries:
        assert entries[0].start == start
        assert entries[-1].end == pytest.approx(start + length)
        assert all(one.end == other.start for one, other in pairwise(entries))


def test_stamp():
    assert stamp(3723.0456, ",") == "01:02:03,046"
    assert stamp(59.9996, ".") == "00:01:00.000"
    assert stamp(-1, ",") == "00:00:00,000"
    assert stamp(360000, ",") == "100:00:00,000"


def test_srt_and_vtt():
    entries = [Cue(0.0, 1.5, "Hola"), Cue(2.0, 3.25, "a < b & c")]
    assert to_srt(entries) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHola\n\n2\n00:00:02,000 --> 00:00:03,250\na < b & c\n"
    )
    vtt = to_vtt(entries)
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHola\n")
    assert "a &lt; b &amp; c" in vtt
    assert len(re.findall("-->", vtt)) == 2


def test_nothing_to_say_gives_no_cue():
    assert cues("   ", 0, 1) == []
    assert to_srt([]) == ""
