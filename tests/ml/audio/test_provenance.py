"""The tags of synthetic speech: they say all in any container, and read back."""

import io

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.audio.provenance import Provenance, combined, lips_provenance, provenance, read_provenance

MADE = Provenance("en", "es", "0.1.0", "2026-11-21", "0a" * 32, 4711)
languages = st.from_regex(r"[a-z]{2,3}(-[A-Z]{2})?", fullmatch=True)
made = st.builds(
    Provenance,
    source=languages,
    target=languages,
    version=st.from_regex(r"[0-9]+\.[0-9]+(\.dev[0-9]+)?(\+[a-z0-9]+)?", fullmatch=True).filter(str.isascii),
    date=st.dates().map(str),
    sha256=st.one_of(st.just(""), st.binary(min_size=32, max_size=32).map(bytes.hex)),
    job=st.one_of(st.none(), st.integers(0, 2**20 - 1)),
)


@given(made=made)
def test_what_is_said_reads_back(made):
    assert read_provenance(provenance(made)) == made


def test_the_sentence_a_person_reads():
    comment = provenance(MADE)["comment"]
    assert comment.startswith(
        "synthetic speech: translated from en to es by Babelmesh 0.1.0 on 2026-11-21; source sha256:0a"
    )
    assert comment.endswith("; watermark job 4711")


@pytest.mark.parametrize(
    ("muxer", "codec"),
    [
        ("wav", "pcm_s16le"),
        ("flac", "flac"),
        ("ogg", "libopus"),
        ("mp3", "libmp3lame"),
        ("ipod", "aac"),
        ("mp4", "aac"),
        ("matroska", "aac"),
    ],
)
def test_every_container_keeps_it(muxer, codec):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=muxer, options={"fflags": "+bitexact"}) as container:
        container.metadata.update(provenance(MADE))
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4_800), np.float32), "flt", "mono")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as container:
        assert read_provenance({**container.metadata, **container.streams[0].metadata}) == MADE


def test_an_own_comment_is_kept_and_never_doubled():
    once = combined({"title": "Talk", "COMMENT": "mine", "Software": "x"}, provenance(MADE))
    assert once["title"] == "Talk"
    assert once["comment"].endswith("\nmine")
    assert read_provenance(once) == MADE
    assert "COMMENT" not in once
    assert "Software" not in once
    other = Provenance("en", "fr", "0.1.0", "2026-11-22")
    assert combined(provenance(MADE), provenance(other))["comment"] == provenance(other)["comment"]


def test_changed_lips_are_told_and_so_is_what_the_sound_says_of_itself():
    told = lips_provenance("0.1.0", "2026-11-21")
    assert told["comment"].startswith("synthetic lips")
    assert combined(told, told)["comment"] == told["comment"]
    assert combined({"comment": "mine"}, told)["comment"] == f"{told['comment']}\nmine"
    dubbed = combined({"comment": "mine"}, provenance(MADE))["comment"]
    assert lips_provenance("0.1.0", "2026-11-21", dubbed)["comment"] == f"{told['comment']}\n{dubbed[:-5]}"
    assert lips_provenance("0.1.0", "2026-11-21", "mine") == told


@pytest.mark.parametrize("tags", [{}, {"comment": "synthetic speech"}, {"title": provenance(MADE)["comment"]}])
def test_other_tags_say_nothing(tags):
    assert read_provenance(tags) is None


@pytest.mark.parametrize(
    "wrong",
    [{"source": "e n"}, {"target": ""}, {"version": "1 on 2"}, {"date": "today"}, {"sha256": "0A" * 32}, {"job": -1}],
)
def test_what_would_not_read_back_is_refused(wrong):
    name = next(iter(wrong))
    with pytest.raises(ValueError, match=name):
        Provenance(**{**{"source": "en", "target": "es", "version": "1", "date": "2026-11-21"}, **wrong})
