"""The tags of synthetic speech: they say all in any container, and read back."""

import io
import re
from collections.abc import Mapping

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.audio.provenance import Provenance, combined, lips_provenance, provenance

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

SENTENCE = re.compile(
    r"synthetic speech: translated from (\S+) to (\S+) by Babelmesh (\S+) on (\d{4}-\d\d-\d\d)"
    r"(?:; source sha256:([0-9a-f]{64}))?(?:; watermark job (\d+))?"
)


def read_back(tags: Mapping[str, str]) -> Provenance:
    """What tags say, whatever the case of their names."""
    comment = next(text for name, text in tags.items() if name.lower() == "comment")
    said = SENTENCE.match(comment)
    assert said is not None
    *told, sha256, job = said.groups()
    return Provenance(*told, sha256 or "", int(job) if job else None)


@given(made=made)
def test_what_is_said_reads_back(made):
    assert read_back(provenance(made)) == made


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
        assert read_back({**container.metadata, **container.streams[0].metadata}) == MADE


def test_an_own_comment_is_kept_and_never_doubled():
    once = combined({"title": "Talk", "COMMENT": "mine", "Software": "x"}, provenance(MADE))
    assert once["title"] == "Talk"
    assert once["comment"].endswith("\nmine")
    assert read_back(once) == MADE
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


def test_a_new_dub_keeps_the_own_comment_and_that_lips_were_changed():
    again = provenance(Provenance("en", "fr", "0.1.0", "2026-11-22"))
    dubbed = combined({"comment": "mine\nand more"}, provenance(MADE))
    assert combined(dubbed, again)["comment"] == f"{again['comment']}\nmine\nand more"
    lips = lips_provenance("0.1.0", "2026-11-21")
    assert combined(lips, again)["comment"] == f"{again['comment']}\n{lips['comment']}"
    both = combined(combined({"comment": "mine"}, lips), again)
    assert both["comment"] == f"{again['comment']}\n{lips['comment']}\nmine"
    assert combined(both, provenance(MADE))["comment"] == f"{provenance(MADE)['comment']}\n{lips['comment']}\nmine"


def test_new_lips_keep_the_own_comment_and_say_all_else_anew():
    dubbed = provenance(MADE)["comment"]
    lips = lips_provenance("0.1.0", "2026-11-22", dubbed)
    old = {"comment": f"synthetic speech: of another sound\n{lips_provenance('0.0.1', '2026-11-20')['comment']}\nmine"}
    assert combined(old, lips)["comment"] == f"{lips['comment']}\nmine"


@pytest.mark.parametrize("said", ["said again in another voice by Babelmesh 0.1.0; job 7", "translated from en to es"])
def test_whatever_a_sound_says_of_synthetic_speech_is_kept_with_new_lips(said):
    told = lips_provenance("0.1.0", "2026-11-21")["comment"]
    heard = f"mine\nsynthetic speech: {said}"
    assert lips_provenance("0.1.0", "2026-11-21", heard)["comment"] == f"{told}\nsynthetic speech: {said}"


@pytest.mark.parametrize(
    "wrong",
    [{"source": "e n"}, {"target": ""}, {"version": "1 on 2"}, {"date": "today"}, {"sha256": "0A" * 32}, {"job": -1}],
)
def test_what_would_not_read_back_is_refused(wrong):
    name = next(iter(wrong))
    with pytest.raises(ValueError, match=name):
        Provenance(**{**{"source": "en", "target": "es", "version": "1", "date": "2026-11-21"}, **wrong})
