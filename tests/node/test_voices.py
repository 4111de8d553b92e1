"""The shelf of voices."""

import hashlib

import numpy as np
import pytest

from ml.audio.read import read
from ml.audio.write import AudioWriter
from ml.errors import ModelDamaged
from ml.voice.profile import VoiceProfile, build_profile
from node.errors import BadRequest, HomeUnusable, NotFound
from node.voices import VoiceShelf, sound_digest


@pytest.fixture(scope="module")
def profile(repository) -> VoiceProfile:
    return build_profile([read(repository / "examples" / "audio" / "lj.flac")], None, None, "es")


def test_put_get_list_remove(tmp_path, profile):
    shelf = VoiceShelf(tmp_path / "voices")
    assert shelf.names() == ()
    shelf.put("lj", profile)
    shelf.put("Another_1-x", profile)
    assert shelf.names() == ("Another_1-x", "lj")
    assert shelf.get("lj").to_bytes() == profile.to_bytes()
    assert shelf.path("lj").stat().st_mode & 0o777 == 0o600
    assert shelf.path("lj").parent.stat().st_mode & 0o777 == 0o700
    shelf.remove("lj")
    assert shelf.names() == ("Another_1-x",)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "a b", "x" * 65, "ü", "a.b", "-x"])
def test_names_cannot_leave_the_shelf(tmp_path, profile, name):
    shelf = VoiceShelf(tmp_path / "voices")
    with pytest.raises(BadRequest):
        shelf.put(name, profile)
    assert not (tmp_path / "voices").exists()


def test_unknown_voices_name_the_known_ones(tmp_path, profile):
    shelf = VoiceShelf(tmp_path)
    with pytest.raises(NotFound) as caught:
        shelf.get("me")
    assert "node voice add me" in caught.value.remedy
    with pytest.raises(NotFound) as caught:
        shelf.remove("me")
    assert "add" not in caught.value.remedy
    shelf.put("lj", profile)
    with pytest.raises(NotFound) as caught:
        shelf.remove("me")
    assert "lj" in caught.value.remedy


def test_a_damaged_profile_is_told(tmp_path, profile):
    shelf = VoiceShelf(tmp_path)
    shelf.put("lj", profile)
    shelf.path("lj").write_bytes(b"junk")
    with pytest.raises(ModelDamaged, match="'lj'") as told:
        shelf.get("lj")
    assert "node voice add lj" in told.value.remedy
    shelf.path("lj").unlink()
    shelf.path("lj").mkdir()
    with pytest.raises(HomeUnusable, match="'lj' cannot be read"):
        shelf.get("lj")


def test_files_that_are_no_voices_of_ours_have_no_names(tmp_path, profile):
    shelf = VoiceShelf(tmp_path)
    shelf.put("lj", profile)
    (tmp_path / "old name.voice").write_bytes(b"x")
    (tmp_path / ".new-1.voice").write_bytes(b"x")
    assert shelf.names() == ("lj",)


def test_kept_recordings_go_with_the_voice(tmp_path, profile):
    shelf = VoiceShelf(tmp_path)
    shelf.put("lj", profile)
    shelf.recordings("lj").mkdir()
    (shelf.recordings("lj") / "0000.flac").write_bytes(b"x")
    shelf.remove("lj")
    assert list(tmp_path.iterdir()) == []


def test_a_voice_is_forgotten_only_when_its_recordings_are(tmp_path, profile, monkeypatch):
    shelf = VoiceShelf(tmp_path)
    shelf.put("lj", profile)
    inside = shelf.recordings("lj") / "by hand"
    inside.mkdir(parents=True)
    (inside / "0000.flac").write_bytes(b"x")

    def stuck(path, *told, **more):
        raise OSError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", stuck)
        with pytest.raises(HomeUnusable, match="Permission denied"):
            shelf.remove("lj")
    assert shelf.has("lj"), "it can be tried again"
    shelf.remove("lj")
    assert list(tmp_path.iterdir()) == []
    shelf.recordings("lj").mkdir()
    shelf.remove("lj")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFound):
        shelf.remove("lj")


def test_recordings_of_the_same_samples_have_the_same_digest(tmp_path):
    for name, level, tags in (("a", 0.1, {}), ("b", 0.1, {"title": "again"}), ("c", 0.2, {})):
        with AudioWriter(tmp_path / f"{name}.flac", tags=tags) as writer:
            writer.write(np.full(1600, level, np.float32))
    a, b, c = (sound_digest(tmp_path / f"{name}.flac") for name in "abc")
    decoded = np.round(read(tmp_path / "a.flac").samples * 32_768).astype("<i2")
    assert a == b == hashlib.md5(decoded.tobytes(), usedforsecurity=False).digest()
    assert a != c
    whole = (tmp_path / "a.flac").read_bytes()
    for name, data in (("other", b"RIFF" + whole[4:]), ("cut", whole[:41]), ("untold", whole[:26] + bytes(16))):
        (tmp_path / name).write_bytes(data)
        assert sound_digest(tmp_path / name) is None
    assert sound_digest(tmp_path / "nowhere") is None
