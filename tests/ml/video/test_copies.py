"""What is kept of a source: tracks bit by bit, texts in the form of the new container, and the rest said."""

from __future__ import annotations

import av
import pytest

from ml.video.mux import Extras
from ml.video.probe import probe
from ml.video.remux import remux
from ml.video.sound import Sound
from tests.ml.video.clips import Recipe, Subtitles, Track, beep, cues, make, packets, texts


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_other_tracks_chapters_and_metadata_are_kept(tmp_path, clip, name):
    remux(clip, tmp_path / name, Extras(sound=Sound(language="spa")), [beep(0.8, 0.3)])
    info = probe(tmp_path / name)
    assert [(t.language, t.title, t.default) for t in info.audio] == [("spa", "", True), ("deu", "Director", False)]
    assert [packet[2] for packet in packets(tmp_path / name, "audio", 1)] == [p[2] for p in packets(clip, "audio", 1)]
    assert [(t.language, t.text) for t in info.subtitles] == [("eng", True)]
    assert [(c.title, c.start, c.end) for c in info.chapters] == [("First", 0, 0.4), ("Second", 0.4, 0.8)]
    metadata = {key.lower(): value for key, value in info.metadata.items()}
    assert (metadata["title"], metadata["comment"]) == ("A talk", "spoken")
    shown = texts(tmp_path / name)
    assert [text for _, _, text in shown] == ["one", "two"]
    assert shown[1][0] - shown[0][0] == 300
    if name == "a.mp4":
        assert [p[2] for p in packets(tmp_path / name, "subtitles")] == [p[2] for p in packets(clip, "subtitles")]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_of_subtitles_ours_is_shown_by_itself_or_none(tmp_path, name):
    own = (Subtitles(cues("one"), "eng", default=True), Subtitles(cues("eins"), "deu"))
    source = make(tmp_path / "source.mkv", Recipe(subtitles=own))
    ours = (Subtitles(cues("uno"), "spa", "Spanish (machine translation)", default=True),)
    for extras, told in (
        (Extras(subtitles=ours), [("spa", True), ("eng", False), ("deu", False)]),
        (Extras(subtitles=(Subtitles(cues("uno"), "spa"),)), [("spa", False), ("eng", True), ("deu", False)]),
    ):
        remux(source, tmp_path / name, extras)
        assert [(track.language, track.default) for track in probe(tmp_path / name).subtitles] == told
    remux(source, tmp_path / "burnt.mkv", Extras(captioned=True))
    assert not any(track.default for track in probe(tmp_path / "burnt.mkv").subtitles)


def test_a_second_track_of_pictures_is_left_out_and_said(tmp_path, clip):
    with av.open(clip) as source, av.open(tmp_path / "two.mkv", "w") as target:
        copies = [target.add_stream_from_template(source.streams.video[0]) for _ in range(2)]
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                for copy in copies:
                    again = av.Packet(bytes(packet))
                    again.pts, again.dts, again.time_base, again.stream = packet.pts, packet.dts, packet.time_base, copy
                    again.is_keyframe = packet.is_keyframe
                    target.mux(again)
    done = remux(tmp_path / "two.mkv", tmp_path / "one.mp4")
    assert any("2 tracks of pictures one is kept" in note for note in done.notes)
    assert done.pictures == 20
    assert remux(clip, tmp_path / "whole.mp4").notes == (), "chapters are no data that is lost"


def test_all_sound_is_kept_when_none_is_replaced(tmp_path, clip):
    remux(clip, tmp_path / "a.mp4")
    assert [t.language for t in probe(tmp_path / "a.mp4").audio] == ["eng", "deu"]
    remux(clip, tmp_path / "b.mp4", Extras(sound=Sound(language="spa", replaces=None)), [beep(0.8)])
    tracks = probe(tmp_path / "b.mp4").audio
    assert [(t.language, t.default) for t in tracks] == [("spa", True), ("eng", False), ("deu", False)]


def test_texts_go_from_matroska_into_timed_text(tmp_path):
    source = make(tmp_path / "a.mkv", Recipe(subtitles=(Subtitles(cues("one", "two\nlines"), "eng", "Plain"),)))
    done = remux(source, tmp_path / "b.mp4")
    assert done.notes == ()
    assert texts(tmp_path / "b.mp4") == texts(source) == [(100, 300, "one"), (400, 600, "two\nlines")]
    track = probe(tmp_path / "b.mp4").subtitles[0]
    assert (track.codec, track.language, track.title) == ("mov_text", "eng", "Plain")


def test_what_the_container_cannot_hold_is_left_out_and_said(tmp_path):
    sounds = (Track(beep(0.5)), Track(beep(0.5), codec="wavpack"))
    source = make(tmp_path / "a.mkv", Recipe(sounds=sounds))
    done = remux(source, tmp_path / "b.mp4")
    assert len(probe(tmp_path / "b.mp4").audio) == 1
    assert done.notes == ("sound track 2 (wavpack) is left out, because this container does not hold it; .mkv may.",)
    assert remux(source, tmp_path / "b.mkv").notes == ()


def test_the_cover_is_kept(tmp_path):
    source = make(tmp_path / "a.mp4", Recipe(cover=True))
    remux(source, tmp_path / "b.mp4")
    assert probe(tmp_path / "b.mp4").covers == 1


def test_attachments_are_kept_in_matroska_and_left_out_of_mp4(tmp_path):
    with av.open(make(tmp_path / "a.mp4")) as plain, av.open(tmp_path / "a.mkv", "w") as out:
        stream = out.add_stream_from_template(plain.streams.video[0])
        out.add_attachment("font.ttf", "application/x-truetype-font", b"letters")
        for packet in plain.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    assert remux(tmp_path / "a.mkv", tmp_path / "b.mkv").notes == ()
    with av.open(tmp_path / "b.mkv") as file:
        assert file.streams.attachments[0].data == b"letters"
    assert "attachment" in remux(tmp_path / "a.mkv", tmp_path / "b.mp4").notes[0]


def test_times_count_from_where_the_source_begins(tmp_path):
    times = tuple(9 + at / 25 for at in range(20))
    recipe = Recipe(times=times, sounds=(Track(beep(0.8, 0.3), 9.0), Track(beep(0.8, 0.3), 9.2)))
    source = make(tmp_path / "a.ts", recipe)
    remux(source, tmp_path / "b.mp4")
    before, after = probe(source), probe(tmp_path / "b.mp4")
    assert after.audio[1].offset - after.audio[0].offset == pytest.approx(0.2, abs=0.07)
    assert after.offset == pytest.approx(before.offset, abs=0.01)
    assert packets(tmp_path / "b.mp4")[0][0] / 90_000 < 0.2
