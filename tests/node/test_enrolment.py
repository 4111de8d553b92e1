"""Getting to know a voice, and gathering the speech to learn from."""

from dataclasses import replace

import numpy as np
import pytest

from ml.audio.read import blocks
from ml.audio.write import AudioWriter
from ml.errors import BadAudio
from ml.types import Audio
from node.enrolment import Enrolment, EnrolOptions, forget_voice, seems_mixed, voice_facts
from node.errors import BadRequest, HomeUnusable, NotFound
from tests.fakes import fake_node


@pytest.fixture
def demo(repository):
    return repository / "examples" / "audio" / "demo.flac"


@pytest.fixture
def woman(repository):
    return repository / "examples" / "audio" / "lj.flac"


def enrolment(node):
    return Enrolment(node.registry, node.voices, node.frames)


def add(node, name, *recordings, **options):
    return enrolment(node).add(name, recordings, EnrolOptions(**options), lambda *step: None)


def facts_of(node, name):
    return voice_facts(name, node.voices, node.frames)


def test_facts_of_a_voice(tmp_path, demo):
    with fake_node(tmp_path) as node:
        facts = add(node, "reader", demo)
        assert facts == facts_of(node, "reader")
        assert facts.trusted
        assert 80 < facts.f0_median < 200
        assert facts.recordings_kept == 0
        assert dict(facts.rows())["speech heard"].endswith(" s")
        assert dict(facts.rows())["trusted"] == "yes"
        short = dict(replace(facts, trusted=False).rows())["trusted"]
        assert short == "not yet: make it anew from 10 s or more: node voice add reader RECORDING... --replace"
        assert not list(node.voices.path("reader").parent.glob("*.recordings"))


def test_the_speech_becomes_frames_to_learn_from(tmp_path, demo):
    with fake_node(tmp_path) as node:
        facts = add(node, "reader", demo)
        frames = node.frames.utterances("reader")
        assert facts.training_utterances == len(frames) == 3
        assert facts.training_seconds == pytest.approx(facts.seconds, abs=0.1)
        assert "in 3 utterances" in dict(facts.rows())["speech to learn from"]


def test_without_training_only_statistics_are_kept(tmp_path, demo):
    with fake_node(tmp_path) as node:
        facts = add(node, "reader", demo, training=False)
        assert facts.training_utterances == facts.training_seconds == 0
        assert facts.training() == "none"
        assert [path.name for path in node.voices.path("reader").parent.iterdir()] == ["reader.voice"]


def test_sound_is_kept_only_when_asked(tmp_path, demo):
    with fake_node(tmp_path) as node:
        assert add(node, "reader", demo, keep_recordings=True).recordings_kept == 3


def test_a_voice_is_not_replaced_by_accident(tmp_path, demo, woman):
    with fake_node(tmp_path) as node:
        first = add(node, "reader", demo)
        with pytest.raises(BadRequest, match="already"):
            add(node, "reader", demo)
        second = add(node, "reader", woman, replace=True)
        assert second.seconds != first.seconds
        assert second.training_seconds == pytest.approx(second.seconds, abs=0.1), "nothing of the old voice is left"


def test_more_speech_leaves_the_profile_and_adds_frames(tmp_path, demo, woman):
    with fake_node(tmp_path) as node:
        first = add(node, "reader", demo, keep_recordings=True)
        more = add(node, "reader", woman, more=True, keep_recordings=True)
        assert more.seconds == first.seconds
        assert more.ceiling == first.ceiling
        assert more.training_utterances > first.training_utterances
        assert more.recordings_kept > first.recordings_kept
        assert add(node, "reader", woman, more=True).training_utterances == more.training_utterances


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"more": True}, NotFound),
        ({"more": True, "replace": True}, BadRequest),
        ({"more": True, "training": False}, BadRequest),
    ],
)
def test_what_makes_no_sense_is_refused_before_listening(tmp_path, options, error):
    with fake_node(tmp_path) as node, pytest.raises(error):
        add(node, "nobody", tmp_path / "no such file", **options)


def test_a_home_that_cannot_be_written_is_refused_before_listening(tmp_path, monkeypatch):
    with fake_node(tmp_path) as node:
        node.config.voices.parent.mkdir(exist_ok=True)
        node.config.voices.write_bytes(b"")
        with pytest.raises(HomeUnusable, match="A voice cannot be kept in"):
            add(node, "me", tmp_path / "nowhere.wav")


def test_several_voices_in_one_are_noticed():
    assert seems_mixed(20.0, 0.80)
    assert not seems_mixed(20.0, 0.87), "the least of 34 people"
    assert not seems_mixed(12.0, 0.80), "too short to tell"
    assert not seems_mixed(20.0, None)


@pytest.mark.parametrize(("others", "mixed"), [(("ls_1688_0", "p226"), True), ((), False)])
def test_real_speakers_are_told_from_a_mixture(tmp_path, shared_speech, repository, models_dir, others, mixed):
    from ml.engines.protocols import EngineHome
    from ml.engines.registry import Registry, discover
    from node.frames import FrameShelf
    from node.voices import VoiceShelf

    found = [sorted((shared_speech / "speech").glob(one + "*"))[:3] for one in ("LJ001", *others)]
    files = [file for part in found for file in part]
    registry = Registry(discover(), EngineHome(models_dir))
    made = Enrolment(registry, VoiceShelf(tmp_path), FrameShelf(tmp_path))
    try:
        facts = made.add("me", files, EnrolOptions(), lambda *step: None)
    finally:
        registry.close()
    assert facts.seconds >= 15
    assert facts.mixed == mixed


def test_silence_makes_no_voice_and_changes_nothing(tmp_path, demo):
    with AudioWriter(tmp_path / "silence.wav") as writer:
        writer.write(np.zeros(32_000, np.float32))
    with fake_node(tmp_path) as node:
        with pytest.raises(BadAudio, match="no speech"):
            add(node, "reader", tmp_path / "silence.wav")
        assert node.voices.names() == node.frames.voices() == ()
        before = add(node, "reader", demo)
        with pytest.raises(BadAudio):
            add(node, "reader", tmp_path / "silence.wav", replace=True)
        assert facts_of(node, "reader") == before


def test_a_microphone_gives_what_a_recording_of_the_same_sound_gives(tmp_path, demo):
    with fake_node(tmp_path) as node:
        recorded = add(node, "file", demo)
        places = []
        with blocks(demo, 0.1) as sound:
            heard = enrolment(node).listen("live", sound, 12.0, EnrolOptions(), lambda *step: places.append(step))
        assert (heard.seconds, heard.training_seconds) == (recorded.seconds, recorded.training_seconds)
        for one, other in zip(node.frames.utterances("file"), node.frames.utterances("live"), strict=True):
            assert np.array_equal(one, other)
        assert places[-1][0] == "listening"
        assert places[-1][2] == 12.0


def test_a_forgotten_voice_leaves_nothing(tmp_path, demo):
    with fake_node(tmp_path) as node:
        add(node, "reader", demo, keep_recordings=True)
        forget_voice("reader", node.voices, node.frames)
        assert list(node.voices.path("reader").parent.iterdir()) == []
        with pytest.raises(NotFound):
            forget_voice("reader", node.voices, node.frames)


def test_speech_without_a_profile_can_be_forgotten_too(tmp_path):
    with fake_node(tmp_path) as node:
        node.frames.add("odd", [np.full((5, 80), -5, np.float32)])
        forget_voice("odd", node.voices, node.frames)
        assert node.frames.voices() == ()


def full_after(monkeypatch, room):
    """A disk with so much room, in bytes, for what the node writes; what is taken away is free again."""
    import node.files

    def write(path, data, mode=0o644):
        used = sum(file.stat().st_size for file in path.parent.parent.rglob("*") if file.is_file())
        if used + len(data) > room:
            raise OSError(28, "No space left on device")
        node.files.write_bytes(path, data, mode)

    monkeypatch.setattr("node.frames.write_bytes", write)
    monkeypatch.setattr("node.voices.write_bytes", write)


@pytest.mark.parametrize("room", [0, 30_000, 70_000])
def test_a_full_disk_leaves_nothing_and_the_same_command_goes_when_there_is_room(tmp_path, monkeypatch, demo, room):
    with fake_node(tmp_path) as node:
        with monkeypatch.context() as patch:
            full_after(patch, room)
            with pytest.raises(HomeUnusable, match="No space left"):
                add(node, "me", demo, keep_recordings=True)
        assert not list(node.voices.path("me").parent.iterdir())
        assert add(node, "me", demo).training_utterances == 3


@pytest.mark.parametrize("room", [0, 90_000])
def test_a_voice_that_cannot_be_replaced_stays_as_it_was(tmp_path, monkeypatch, demo, woman, room):
    with fake_node(tmp_path) as node:
        before = add(node, "me", demo)
        spoken = node.frames.state("me")
        with monkeypatch.context() as patch:
            full_after(patch, room)
            with pytest.raises(HomeUnusable, match="No space left"):
                add(node, "me", woman, replace=True)
        assert facts_of(node, "me") == before
        assert node.frames.state("me") == spoken
        assert add(node, "me", woman, replace=True).training_seconds != before.training_seconds


def kept(node, name):
    folder = node.voices.recordings(name)
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def test_kept_recordings_are_never_written_over(tmp_path, demo, woman):
    with fake_node(tmp_path) as node:
        add(node, "me", demo, keep_recordings=True)
        (node.voices.recordings("me") / "0000.flac").unlink()
        before = kept(node, "me")
        assert sorted(before) == ["0001.flac", "0002.flac"]
        add(node, "me", woman, more=True, keep_recordings=True)
        after = kept(node, "me")
        assert len(after) > len(before)
        assert after.items() >= before.items()


def test_an_addition_that_fails_takes_back_its_own_recordings_only(tmp_path, demo, woman, monkeypatch):
    with fake_node(tmp_path) as node:
        add(node, "me", demo, keep_recordings=True)
        (node.voices.recordings("me") / "0000.flac").unlink()
        before = kept(node, "me")

        def stuck(shelf, name, profile):
            raise HomeUnusable("The disk is full.", "")

        with monkeypatch.context() as patch:
            patch.setattr("node.voices.VoiceShelf.put", stuck)
            with pytest.raises(HomeUnusable):
                add(node, "me", woman, replace=True, keep_recordings=True)
        assert kept(node, "me") == before


def test_two_that_add_at_once_lose_nothing(tmp_path, demo):
    with fake_node(tmp_path) as node:
        made = enrolment(node)
        one, other, third = (Audio(np.full(1600, level, np.float32)) for level in (0.1, 0.2, 0.3))
        with made._recording("me", [one, third]), made._recording("me", [other]):
            pass
        assert len(kept(node, "me")) == 3

        folder = node.voices.recordings("me")
        before = kept(node, "me")
        other_adds = [folder / "0003.flac"]
        mkdir = type(folder).mkdir

        def racing(path, *told, **more):
            mkdir(path, *told, **more)
            while other_adds:
                other_adds.pop().write_bytes(b"theirs")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(folder), "mkdir", racing)
            with made._recording("me", [one]):
                pass
        assert kept(node, "me")["0003.flac"] == b"theirs"
        assert kept(node, "me").items() >= before.items()
        assert len(kept(node, "me")) == 5


def test_sound_that_is_kept_already_is_not_kept_again(tmp_path, demo, woman):
    with fake_node(tmp_path) as node:
        add(node, "me", demo, keep_recordings=True)
        first = kept(node, "me")
        assert add(node, "me", demo, more=True, keep_recordings=True).recordings_kept == len(first) == 3
        assert kept(node, "me") == first
        more = add(node, "me", demo, woman, woman, more=True, keep_recordings=True).recordings_kept
        assert kept(node, "me").items() > first.items()
        assert len(set(kept(node, "me").values())) == more == node.frames.count("me")
        assert add(node, "me", demo, replace=True, keep_recordings=True).recordings_kept == 3, "the former are gone"
        assert sorted(kept(node, "me").values()) == sorted(first.values())


def test_a_voice_made_anew_leaves_no_recording_of_the_former(tmp_path, demo, woman):
    with fake_node(tmp_path) as node:
        add(node, "me", demo, keep_recordings=True)
        before = kept(node, "me")
        facts = add(node, "me", woman, replace=True, keep_recordings=True)
        assert facts.recordings_kept == len(kept(node, "me")) > 0
        assert not set(kept(node, "me")) & set(before)
        assert add(node, "me", demo, replace=True).recordings_kept == 0
        assert kept(node, "me") == {}


def test_recordings_that_are_left_can_be_forgotten(tmp_path):
    with fake_node(tmp_path) as node:
        folder = node.voices.recordings("me")
        folder.mkdir(parents=True)
        (folder / "0000.flac").write_bytes(b"x")
        node.frames.add("me", [np.full((5, 80), -5, np.float32)])
        forget_voice("me", node.voices, node.frames)
        assert not folder.exists()
