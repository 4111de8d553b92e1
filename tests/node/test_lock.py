"""One node per home."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from node.errors import HomeBusy, HomeUnusable
from node.lock import HomeLock, holder, is_held, refuse_if_held


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "lock"


def test_held_while_inside_and_free_afterwards(path: Path):
    assert not is_held(path)
    with HomeLock(path):
        assert is_held(path)
        assert holder(path) == os.getpid()
        with pytest.raises(HomeBusy, match=rf"in {path.parent} already: process {os.getpid()}\.") as caught:
            HomeLock(path).__enter__()
        assert "--home" in caught.value.remedy
        assert is_held(path)
    assert not is_held(path)
    with HomeLock(path):
        pass


def test_an_error_inside_lets_go(path: Path):
    with pytest.raises(KeyError), HomeLock(path):
        raise KeyError
    assert not is_held(path)


def test_a_file_that_a_dead_node_left_is_no_obstacle(path: Path):
    path.parent.mkdir()
    path.write_text("4194304000 and more that was never written by us")
    with HomeLock(path):
        assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"nobody"])
def test_a_holder_without_a_number_is_still_a_holder(path: Path, content: bytes):
    with HomeLock(path):
        path.write_bytes(content)
        assert holder(path) is None
        with pytest.raises(HomeBusy, match="another process"):
            HomeLock(path).__enter__()


def test_one_lock_is_held_once(path: Path):
    lock = HomeLock(path)
    with lock, pytest.raises(RuntimeError, match="held already"):
        lock.__enter__()
    with lock:
        assert is_held(path)


def test_a_home_that_is_a_file(tmp_path: Path):
    (tmp_path / "home").write_text("")
    with pytest.raises(HomeUnusable, match="cannot be used"):
        HomeLock(tmp_path / "home" / "lock").__enter__()


def test_looking_makes_nothing(path: Path):
    assert holder(path) is None
    assert not is_held(path)
    assert not path.parent.exists()


def test_an_early_look_says_what_the_lock_would_say(tmp_path: Path):
    refuse_if_held(tmp_path / "node.lock")
    assert list(tmp_path.iterdir()) == []
    with HomeLock(tmp_path / "node.lock"):
        with pytest.raises(HomeBusy) as early:
            refuse_if_held(tmp_path / "node.lock")
        with pytest.raises(HomeBusy) as late, HomeLock(tmp_path / "node.lock"):
            pass
        assert str(early.value) == str(late.value)
    refuse_if_held(tmp_path / "node.lock")


def test_who_looks_keeps_nobody_out(path: Path):
    """Looking takes a shared lock for an instant, in any process."""
    with HomeLock(path):
        pass
    looking = os.open(path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    over = threading.Timer(0.03, os.close, (looking,))
    over.start()
    with HomeLock(path):
        assert is_held(path)
    over.join()
