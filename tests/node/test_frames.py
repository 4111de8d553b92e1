"""The shelf of the owner's frames: by content, bounded, private, and honest about damage."""

import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.logmel import HOP_SECONDS
from node.errors import BadRequest, HomeUnusable
from node.frames import FrameShelf


def spoken(seed, frames=10):
    return np.random.default_rng(seed).normal(-6, 2, (frames, 80)).astype(np.float32)


@pytest.fixture
def shelf(tmp_path):
    return FrameShelf(tmp_path / "frames")


def test_an_empty_shelf_has_nothing_and_makes_no_folder(shelf, tmp_path):
    assert shelf.voices() == ()
    assert shelf.utterances("me") == ()
    assert shelf.seconds("me") == shelf.count("me") == shelf.damaged("me") == 0
    shelf.remove("me")
    assert not list(tmp_path.iterdir())


def test_utterances_come_back_in_order_to_half_precision(shelf, tmp_path):
    given_ones = [spoken(seed, 5 + seed) for seed in range(12)]
    assert shelf.add("me", given_ones[:7]) == 7
    assert FrameShelf(tmp_path / "frames").add("me", given_ones[7:]) == 5
    back = shelf.utterances("me")
    assert [one.dtype for one in back] == [np.dtype(np.float32)] * 12
    for one, other in zip(back, given_ones, strict=True):
        assert np.array_equal(one, other.astype(np.float16).astype(np.float32))
    assert shelf.seconds("me") == pytest.approx(HOP_SECONDS * sum(map(len, given_ones)))
    assert shelf.count("me") == 12


def test_the_same_speech_is_kept_once(shelf):
    assert shelf.add("me", [spoken(1), spoken(2), spoken(1)]) == 2
    assert shelf.add("me", [spoken(2), spoken(3)]) == 1
    assert shelf.add("me", shelf.utterances("me")) == 0
    assert shelf.count("me") == 3


def test_silence_of_no_frames_is_nothing(shelf):
    assert shelf.add("me", [np.zeros((0, 80), np.float32)]) == 0
    assert shelf.voices() == ()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=15))
def test_the_newest_speech_within_the_limit_is_what_stays(tmp_path_factory, lengths):
    limit = 40
    shelf = FrameShelf(tmp_path_factory.mktemp("frames"), limit * HOP_SECONDS)
    for seed, frames in enumerate(lengths):
        shelf.add("me", [spoken(seed, frames)])
    kept = [len(one) for one in shelf.utterances("me")]
    assert kept == lengths[len(lengths) - len(kept) :]
    assert sum(kept) <= limit
    dropped = len(lengths) - len(kept)
    assert not dropped or max(sum(lengths[last:]) for last in range(dropped)) > limit


def test_one_utterance_beyond_the_limit_is_kept(tmp_path):
    shelf = FrameShelf(tmp_path, 1.0)
    shelf.add("me", [spoken(1, 100)])
    assert shelf.count("me") == 1


def test_voices_are_apart_and_removed_apart(shelf):
    shelf.add("me", [spoken(1)])
    shelf.add("anna", [spoken(1), spoken(2)])
    assert shelf.voices() == ("anna", "me")
    shelf.remove("anna")
    assert shelf.voices() == ("me",)
    assert not shelf.path("anna").exists()
    assert shelf.count("me") == 1


def test_only_the_owner_can_read_it(shelf):
    shelf.add("me", [spoken(1)])
    folder = shelf.path("me")
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]


@pytest.mark.parametrize("harm", ["cut", "flip", "other", "empty"])
def test_a_damaged_file_is_set_aside_and_counted(shelf, harm):
    shelf.add("me", [spoken(1), spoken(2)])
    first, second = sorted(shelf.path("me").iterdir())
    data = bytearray(first.read_bytes())
    if harm == "flip":
        data[-5] ^= 4
    first.write_bytes({"cut": data[:-8], "flip": data, "other": second.read_bytes(), "empty": b""}[harm])
    assert len(shelf.utterances("me")) == 1
    assert shelf.damaged("me") == 1
    assert shelf.count("me") == 1
    assert shelf.add("me", [spoken(1)]) == 1
    assert len(shelf.utterances("me")) == 2


def test_a_write_that_was_cut_short_is_no_utterance(shelf):
    shelf.add("me", [spoken(1)])
    (shelf.path("me") / ".new-half").write_bytes(b"abc")
    assert shelf.count("me") == len(shelf.utterances("me")) == 1
    shelf.remove("me")
    assert shelf.voices() == ()


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 65])
def test_a_name_that_is_no_name_is_refused(shelf, name):
    with pytest.raises(BadRequest):
        shelf.add(name, [spoken(1)])
    with pytest.raises(BadRequest):
        shelf.remove(name)


def test_what_is_no_spectrum_is_refused(shelf):
    bad = spoken(1)
    bad[3, 3] = np.nan
    with pytest.raises(BadRequest):
        shelf.add("me", [bad])
    with pytest.raises(BadRequest):
        shelf.add("me", [np.zeros((4, 79), np.float32)])


def test_a_disk_that_refuses_is_told_in_words(tmp_path):
    (tmp_path / "frames").write_text("a file")
    with pytest.raises(HomeUnusable, match="kept"):
        FrameShelf(tmp_path / "frames").add("me", [spoken(1)])


def test_its_state_is_another_one_when_there_is_other_speech(tmp_path) -> None:
    shelf = FrameShelf(tmp_path)
    one, two = (np.full((5, 80), value, np.float32) for value in (1, 2))
    before = shelf.state("me")
    shelf.add("me", [one])
    after = shelf.state("me")
    assert after != before
    shelf.add("me", [one])
    assert shelf.state("me") == after == FrameShelf(tmp_path).state("me")
    shelf.add("me", [two])
    assert shelf.state("me") not in (before, after)


def test_a_block_that_fails_takes_the_new_away_and_leaves_the_old(shelf):
    shelf.add("me", [spoken(1)])
    before = shelf.state("me")
    with pytest.raises(BadRequest), shelf.adding("me", [spoken(1), spoken(2)], instead=True):
        shelf.path("../no name")
    assert shelf.state("me") == before
    with shelf.adding("me", [spoken(2), spoken(3)], instead=True) as new:
        assert new == 2
        assert shelf.count("me") == 3
    assert np.allclose(shelf.utterances("me"), [spoken(2), spoken(3)], atol=0.01)
    with pytest.raises(BadRequest), shelf.adding("you", [spoken(4)]):
        shelf.path("../no name")
    assert shelf.voices() == ("me",)
    assert not shelf.path("you").exists()
