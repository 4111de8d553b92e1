"""The shelf of voices."""

import pytest

from ml.audio.read import read
from ml.errors import ModelDamaged
from ml.voice.profile import VoiceProfile, build_profile
from node.errors import BadRequest, NotFound
from node.voices import VoiceShelf


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
    with pytest.raises(ModelDamaged):
        shelf.get("lj")


def test_kept_recordings_go_with_the_voice(tmp_path, profile):
    shelf = VoiceShelf(tmp_path)
    shelf.put("lj", profile)
    shelf.recordings("lj").mkdir()
    (shelf.recordings("lj") / "0000.flac").write_bytes(b"x")
    shelf.remove("lj")
    assert list(tmp_path.iterdir()) == []
