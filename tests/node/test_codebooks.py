"""Statements on the disk: whose they say they are, whole or not there, bounded; and what was made beside the speech."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from ml.audio.logmel import log_mel
from node.codebooks import MOST_PEERS, CodebookShelf, Kept, Told, heard, load, save
from node.config import load as load_config
from node.errors import HomeUnusable
from node.frames import FrameShelf
from node.store import Store
from p2p.peers import PeerRecord, Trust
from tests.fakes import fake_identity
from tests.ml.voice.codec.conftest import made_speech
from tests.node.statements import KNOWN, offered, statement_of


@pytest.fixture
def shelf(tmp_path: Path) -> CodebookShelf:
    return CodebookShelf(tmp_path / "codebooks", KNOWN)


def test_the_newest_of_each_peer_is_kept(shelf: CodebookShelf, tmp_path: Path) -> None:
    alice, bob = fake_identity(1), fake_identity(2)
    assert shelf.statements() == {}
    assert shelf.offer(alice.peer_id) is None
    for who, seed, sequence in ((alice, 1, 1), (bob, 2, 1), (alice, 3, 2)):
        shelf.keep(who.peer_id, *offered(who, statement_of(seed), sequence))
    again = CodebookShelf(tmp_path / "codebooks", KNOWN)
    found = again.statements()
    assert set(found) == {alice.peer_id, bob.peer_id}
    assert found[alice.peer_id].codebook.digest == statement_of(3).codebook.digest
    assert found[alice.peer_id].frames == statement_of(3).frames
    assert again.offer(alice.peer_id).sequence == 2
    assert set(again.statements([bob.peer_id, "nobody"])) == {bob.peer_id}
    before = again.state()
    again.keep_only([bob.peer_id])
    assert set(shelf.statements()) == {bob.peer_id}
    assert shelf.state() != before
    assert (tmp_path / "codebooks").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "somebody else's"])
def test_what_is_not_whole_or_not_theirs_is_as_good_as_not_there(
    shelf: CodebookShelf, tmp_path: Path, damage: str
) -> None:
    alice, bob = fake_identity(1), fake_identity(2)
    shelf.keep(alice.peer_id, *offered(alice, statement_of(1)))
    (file,) = (tmp_path / "codebooks").iterdir()
    data = file.read_bytes()
    if damage == "somebody else's":
        file.rename(file.with_name(bob.peer_id + file.suffix))
    else:
        file.write_bytes({"cut": data[:-9], "flipped": data[:-9] + b"x" + data[-8:], "empty": b""}[damage])
    assert shelf.statements() == {}
    assert shelf.offer(alice.peer_id) is None
    assert list((tmp_path / "codebooks").iterdir()) == []


def test_so_many_peers_and_no_more(shelf: CodebookShelf, tmp_path: Path) -> None:
    statement = statement_of(1)
    first = fake_identity(0)
    shelf.keep(first.peer_id, *offered(first, statement))
    os.utime(tmp_path / "codebooks" / f"{first.peer_id}.statement", ns=(1, 1))
    for number in range(1, MOST_PEERS + 1):
        who = fake_identity(number)
        shelf.keep(who.peer_id, *offered(who, statement))
    assert len(shelf.state()) == MOST_PEERS
    assert shelf.offer(first.peer_id) is None, "it has said nothing for longest"


def test_a_name_is_no_way_out_of_the_folder(shelf: CodebookShelf) -> None:
    for name in ("../../identity.pem", "", "a/b", "x" * 30 + "/.."):
        with pytest.raises(ValueError, match="id"):
            shelf.offer(name)


def test_a_disk_that_says_no_is_said(tmp_path: Path) -> None:
    (tmp_path / "codebooks").write_text("a file in the way")
    alice = fake_identity(1)
    with pytest.raises(HomeUnusable, match="cannot be used"):
        CodebookShelf(tmp_path / "codebooks", KNOWN).keep(alice.peer_id, *offered(alice, statement_of(1)))


def test_what_was_made_of_a_voice_goes_with_its_speech(tmp_path: Path) -> None:
    frames = FrameShelf(tmp_path)
    frames.add("me", [log_mel(made_speech(1.0))])
    made = Kept(inputs="a", body=b"b", share=0.5, prior_cost=3.0, alone_cost=2.0, cost=1.0, peers=1, heard=2)
    told = Told("state", *offered(fake_identity(1), statement_of(1)))
    for one in (made, told):
        assert load(frames, "me", type(one)) is None
        save(frames, "me", one)
        assert load(frames, "me", type(one)) == one
    assert frames.count("me") == 1
    file = frames.path("me") / "codebook"
    file.write_bytes(msgspec.msgpack.encode({"inputs": 3}))
    assert load(frames, "me", Kept) is None
    frames.remove("me")
    assert load(frames, "me", Told) is None
    assert not frames.path("me").exists()


def test_only_those_whom_the_owner_trusts_are_heard(tmp_path: Path) -> None:
    config = load_config(tmp_path, {})
    assert heard(config)[1] == frozenset(), "a home without a memory"
    with Store.open(config.store) as store:
        for number, trust in enumerate((Trust.TRUSTED, Trust.WAITING, Trust.BLOCKED)):
            store.save_peer(PeerRecord(peer=fake_identity(number).peer_id, trust=trust))
    assert heard(config)[1] == {fake_identity(0).peer_id}
    opened = heard(config.with_(node={"open": True}))
    assert opened[1] == {fake_identity(0).peer_id, fake_identity(1).peer_id}
