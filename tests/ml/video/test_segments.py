"""Pieces: a run that was killed goes on, and the whole is the same as if it had not been."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.read import read
from ml.errors import BadVideo, CannotWrite
from ml.video.encode import VideoOptions
from ml.video.mux import Extras
from ml.video.probe import probe
from ml.video.read import VideoReader
from ml.video.segments import Segments
from ml.video.sound import Sound
from tests.ml.video.clips import Recipe, beep, make, onset, packets

SOFT = VideoOptions(hardware="off")


def pieces(folder, source, key="", seconds=0.2):
    return Segments(folder, probe(source), SOFT, key, seconds)


def go_on(segments, source, limit=None):
    """Write what is still missing, or the next `limit` pictures of it."""
    with VideoReader(source, segments.resume, segments.done) as reader:
        for count, still in enumerate(reader):
            if count == limit:
                break
            segments.write(still.time, still.picture, still, ())


@settings(max_examples=6, deadline=None)
@given(stops=st.lists(st.integers(0, 12), max_size=3), uneven=st.booleans())
def test_however_often_it_is_stopped_the_whole_is_the_same(tmp_path_factory, stops, uneven):
    folder = tmp_path_factory.mktemp("pieces")
    times = tuple(at / 25 + 0.013 * (at % 3) for at in range(20)) if uneven else None
    source = make(folder / "a.mp4", Recipe(times=times))
    with pieces(folder / "once", source) as segments:
        go_on(segments, source)
        segments.join(folder / "once.mp4")
    for stop in stops:
        segments = pieces(folder / "often", source)
        go_on(segments, source, stop)
        segments.abort()
    with pieces(folder / "often", source) as segments:
        go_on(segments, source)
        done = segments.join(folder / "often.mp4")
        told = list(segments.times)
    with VideoReader(source) as reader:
        assert told == pytest.approx([still.time for still in reader], abs=1e-4)
    assert done.pictures == 20
    assert [p[:2] for p in packets(folder / "often.mp4")] == [p[:2] for p in packets(folder / "once.mp4")]
    if not uneven:
        assert probe(folder / "often.mp4").seconds == pytest.approx(0.8, abs=1e-4)
    with VideoReader(source) as one, VideoReader(folder / "often.mp4") as other:
        for before, after in zip(one, other, strict=True):
            assert before.time == after.time
            assert np.abs(before.picture.astype(int) - after.picture).mean() < 4


KILLED = """
import sys, time
from ml.video.encode import VideoOptions
from ml.video.probe import probe
from ml.video.read import VideoReader
from ml.video.segments import Segments
source, folder = sys.argv[1:]
segments = Segments(folder, probe(source), VideoOptions(hardware="off"), "", 0.2)
with VideoReader(source) as reader:
    for still in reader:
        segments.write(still.time, still.picture, still, ())
        if still.index == 13:
            print("ready", flush=True)
            time.sleep(60)
"""


def test_a_killed_process_loses_no_finished_piece(tmp_path, clip, repository):
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, clip, tmp_path / "pieces"], stdout=subprocess.PIPE, cwd=repository, text=True
    )
    with child, child.stdout as heard:
        assert heard.readline() == "ready\n"
        with pytest.raises(CannotWrite, match="another run"):
            pieces(tmp_path / "pieces", clip)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert list((tmp_path / "pieces").glob(".*.part"))
    with pieces(tmp_path / "pieces", clip) as segments:
        assert segments.done == 10
        assert not list((tmp_path / "pieces").glob(".*.part"))
        go_on(segments, clip)
        extras = Extras(sound=Sound(language="spa"), source=clip)
        assert segments.join(tmp_path / "b.mp4", extras, [beep(0.8, 0.3)]).pictures == 20
        segments.remove()
    assert not (tmp_path / "pieces").exists()
    info = probe(tmp_path / "b.mp4")
    assert [track.language for track in info.audio] == ["spa", "deu"]
    assert len(info.chapters) == 2
    assert onset(read(tmp_path / "b.mp4")) == pytest.approx(0.3, abs=0.004)


def test_each_piece_begins_with_a_key_and_joining_changes_no_bit(tmp_path, clip):
    with pieces(tmp_path / "pieces", clip) as segments:
        go_on(segments, clip)
        segments.join(tmp_path / "b.mkv")
    found = [packets(path) for path in sorted((tmp_path / "pieces").glob("*.mp4"))]
    assert len(found) == 4
    assert all(piece[0][3] for piece in found)
    assert [packet[2] for piece in found for packet in piece] == [packet[2] for packet in packets(tmp_path / "b.mkv")]


@pytest.mark.parametrize("change", ["key", "quality", "size"])
def test_pieces_of_another_job_are_not_used(tmp_path, clip, change):
    with pieces(tmp_path / "pieces", clip, "one") as segments:
        go_on(segments, clip)
    like = probe(make(tmp_path / "c.mp4", Recipe(width=96))) if change == "size" else probe(clip)
    options = VideoOptions("fast", "off") if change == "quality" else SOFT
    with Segments(tmp_path / "pieces", like, options, "two" if change == "key" else "one") as segments:
        assert (segments.done, segments.resume) == (0, 0.0)
        assert "another job" in segments.notes[0]


@pytest.mark.parametrize("harm", ["cut", "gone", "foreign"])
def test_a_damaged_piece_ends_what_can_be_used(tmp_path, clip, harm):
    with pieces(tmp_path / "pieces", clip) as segments:
        go_on(segments, clip)
    second = sorted((tmp_path / "pieces").glob("*.mp4"))[1]
    if harm == "cut":
        second.write_bytes(second.read_bytes()[:300])
    elif harm == "gone":
        second.unlink()
    else:
        with Segments(tmp_path / "other", probe(clip), VideoOptions("fast", "off"), "", 0.2) as other:
            go_on(other, clip)
        second.write_bytes((tmp_path / "other" / second.name).read_bytes())
    with pieces(tmp_path / "pieces", clip) as segments:
        assert segments.done == 5
        assert "damaged" in segments.notes[0]
        go_on(segments, clip)
        assert segments.join(tmp_path / "b.mp4").pictures == 20


def test_what_is_no_piece_stays(tmp_path, clip):
    with pieces(tmp_path / "pieces", clip) as segments:
        go_on(segments, clip)
    holiday = tmp_path / "pieces/holiday.mp4"
    holiday.write_bytes(b"the sea")
    with pieces(tmp_path / "pieces", clip) as segments:
        assert (segments.done, segments.notes) == (20, ())
    assert holiday.read_bytes() == b"the sea"


def test_nobody_has_the_folder_while_it_is_removed(tmp_path, clip, monkeypatch):
    segments, remove = pieces(tmp_path / "pieces", clip), shutil.rmtree

    def watched(folder, **options):
        with pytest.raises(CannotWrite, match="another run"):
            pieces(folder, clip)
        remove(folder, **options)

    monkeypatch.setattr(shutil, "rmtree", watched)
    segments.remove()
    assert not (tmp_path / "pieces").exists()
    with pieces(tmp_path / "pieces", clip) as again:
        assert again.done == 0


def test_nothing_to_join_is_said(tmp_path, clip):
    with pieces(tmp_path / "pieces", clip) as segments, pytest.raises(BadVideo, match="no finished pictures"):
        segments.join(tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()
