"""Bytes of peers: bounded, resumable, and never anywhere else."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from node.errors import HomeUnusable
from node.quarantine import Quarantine

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
MOST, FILES = 100, 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "quarantine"


def test_pieces_add_up_and_survive_a_restart(folder: Path):
    quarantine = Quarantine(folder)
    assert quarantine.size(ONE) == 0
    assert not folder.exists()
    quarantine.append(ONE, 0, b"abc")
    quarantine.append(ONE, 3, b"de")
    again = Quarantine(folder)
    assert again.size(ONE) == 5
    again.append(ONE, 5, b"f")
    assert again.read(ONE) == b"abcdef"
    assert (folder / ONE).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    again.drop(ONE)
    again.drop(ONE)
    assert (again.size(ONE), again.read(ONE), list(folder.iterdir())) == (0, b"", [])


@pytest.mark.parametrize("offset", [0, 2, 4, -1])
def test_a_piece_goes_where_the_last_one_ended(folder: Path, offset: int):
    quarantine = Quarantine(folder)
    quarantine.append(ONE, 0, b"abc")
    with pytest.raises(ValueError, match="ends at 3"):
        quarantine.append(ONE, offset, b"x")
    assert quarantine.read(ONE) == b"abc"


@pytest.mark.parametrize("name", ["", ".", "..", "../" + "1" * 61, "/" + "1" * 63, "1" * 63, "A" * 64, "1" * 63 + "\n"])
def test_a_name_is_a_hash_and_nothing_else(folder: Path, name: str):
    quarantine = Quarantine(folder)
    for use in (quarantine.size, quarantine.read, quarantine.drop, lambda update: quarantine.append(update, 0, b"x")):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            use(name)
    assert not folder.exists()


def test_what_has_waited_longest_makes_room(folder: Path):
    quarantine = Quarantine(folder, MOST, FILES)
    for update in (ONE, TWO, THREE):
        quarantine.append(update, 0, b"x" * 30)
    quarantine.append(ONE, 30, b"y" * 20)
    assert quarantine.updates() == (THREE, ONE)
    quarantine.append("4" * 64, 0, b"z")
    quarantine.append("5" * 64, 0, b"z")
    assert quarantine.updates() == (ONE, "4" * 64, "5" * 64)
    assert quarantine.total == 52
    with pytest.raises(ValueError, match="does not fit"):
        quarantine.append(ONE, 50, b"x" * 51)
    quarantine.append(ONE, 50, b"x" * 50)
    assert quarantine.updates() == (ONE,)


def test_a_link_in_the_folder_is_not_followed(folder: Path, tmp_path: Path):
    precious = tmp_path / "precious"
    precious.write_text("keep")
    folder.mkdir(parents=True)
    (folder / ONE).symlink_to(precious)
    quarantine = Quarantine(folder)
    assert quarantine.size(ONE) == 0
    with pytest.raises(HomeUnusable):
        quarantine.append(ONE, 0, b"overwritten")
    assert precious.read_text() == "keep"


def test_strange_files_are_left_alone(folder: Path):
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    (folder / TWO).mkdir()
    quarantine = Quarantine(folder)
    assert quarantine.updates() == ()
    quarantine.prune(frozenset())
    assert (folder / "notes.txt").read_text() == "mine"


def test_pruning(folder: Path):
    wide = Quarantine(folder)
    for age, update in enumerate((ONE, TWO, THREE)):
        wide.append(update, 0, b"x" * 40)
        os.utime(folder / update, (1000 + age, 1000 + age))
    narrow = Quarantine(folder, MOST, FILES)
    assert narrow.prune() == 1
    assert narrow.updates() == (TWO, THREE)
    assert narrow.prune(frozenset({THREE})) == 1
    assert [path.name for path in folder.iterdir()] == [THREE]


def test_a_file_that_was_taken_away_is_empty(folder: Path):
    quarantine = Quarantine(folder)
    quarantine.append(ONE, 0, b"abc")
    (folder / ONE).unlink()
    assert quarantine.read(ONE) == b""
    assert quarantine.size(ONE) == 0


def test_a_full_disk_leaves_what_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch):
    quarantine = Quarantine(folder)
    quarantine.append(ONE, 0, b"abc")
    real = os.pwrite

    def nearly_full(handle: int, data: bytes, offset: int) -> int:
        if offset > 3:
            raise OSError(28, "No space left on device")
        return real(handle, data[:1], offset)

    monkeypatch.setattr(os, "pwrite", nearly_full)
    with pytest.raises(HomeUnusable, match="is full"):
        quarantine.append(ONE, 3, b"defg")
    monkeypatch.undo()
    assert quarantine.size(ONE) == 3
    assert Quarantine(folder).read(ONE) == b"abc"
    quarantine.append(ONE, 3, b"de")
    assert quarantine.read(ONE) == b"abcde"


class Bounded(RuleBasedStateMachine):
    """Whatever peers send, the folder stays within its bounds, and no update has bytes that were not sent for it."""

    folder: Path
    sizes = st.integers(1, 60) | st.just(MOST + 1)
    pieces = st.builds(lambda size, filling: bytes([filling]) * size, sizes, st.integers(0, 255))
    refused = made_room = 0
    """Appends over all runs that were too long, and that cost other updates: without any, no bound was ever met."""
    updates = st.sampled_from([digit * 64 for digit in "12345"])

    @initialize()
    def begin(self) -> None:
        self.quarantine = Quarantine(self.folder, MOST, FILES)
        self.sent: dict[str, bytes] = {}
        for update in self.quarantine.updates():
            self.quarantine.drop(update)

    @rule(update=updates, data=pieces)
    def append(self, update: str, data: bytes) -> None:
        have = self.quarantine.size(update)
        sent = self.sent.get(update, b"")[:have] + data
        if have + len(data) > MOST:
            with pytest.raises(ValueError, match="does not fit"):
                self.quarantine.append(update, have, data)
            Bounded.refused += 1
            return
        others = set(self.quarantine.updates()) - {update}
        self.quarantine.append(update, have, data)
        Bounded.made_room += not others <= set(self.quarantine.updates())
        self.sent[update] = sent
        assert self.quarantine.read(update) == sent

    @rule(update=updates)
    def drop(self, update: str) -> None:
        self.quarantine.drop(update)

    @rule()
    def restart(self) -> None:
        self.quarantine = Quarantine(self.folder, MOST, FILES)

    @invariant()
    def bounded(self) -> None:
        if not self.folder.is_dir():
            return
        files = list(self.folder.iterdir())
        assert len(files) <= FILES
        assert sum(file.stat().st_size for file in files) == self.quarantine.total <= MOST
        assert {file.name for file in files} == set(self.quarantine.updates())


def test_the_bounds_hold_in_any_order(tmp_path: Path):
    from hypothesis.stateful import run_state_machine_as_test

    Bounded.folder = tmp_path / "bounded"
    run_state_machine_as_test(Bounded, settings=settings(max_examples=30, stateful_step_count=25, deadline=None))
    assert Bounded.refused > 0
    assert Bounded.made_room > 0
