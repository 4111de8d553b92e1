"""The owner's say over the peer book, also while no node runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.codebooks import CodebookShelf
from node.config import load
from node.errors import BadRequest, HomeBusy, HomeUnusable, NotFound
from node.lock import HomeLock
from node.peering import offline
from node.stats import PEER_ID
from node.store import Store
from p2p.errors import BadAddress
from tests.fakes import PEER_IDS, fake_identity
from tests.node.statements import KNOWN, offered, statement_of

ADDRESS = f"/ip4/192.168.1.20/tcp/4710/p2p/{PEER_IDS[1]}"


def test_what_is_said_while_no_node_runs_is_kept(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    with offline(config) as desk:
        assert desk.peers() == []
        assert desk.add_peer(ADDRESS, "trusted")["peer"] == PEER_IDS[1]
        assert desk.set_trust(PEER_IDS[1], "blocked", 0.5)["weight"] == 0.5
    with offline(config) as desk:
        (one,) = desk.peers()
        assert (one["trust"], one["weight"], one["connected"]) == ("blocked", 0.5, False)
        assert list(one["addresses"]) == [ADDRESS]
        desk.remove_peer(PEER_IDS[1])
    with offline(config) as desk:
        assert desk.peers() == []


def test_what_is_not_there_cannot_be_changed(tmp_path: Path) -> None:
    with offline(load(tmp_path, {})) as desk:
        with pytest.raises(NotFound, match="is known here"):
            desk.set_trust(PEER_IDS[1], "trusted")
        with pytest.raises(NotFound, match="is known here"):
            desk.remove_peer(PEER_IDS[1])
        with pytest.raises(BadAddress, match="which peer"):
            desk.add_peer("/ip4/1.2.3.4/tcp/4710", "trusted")


def test_a_node_that_ran_knows_itself_though_its_key_is_locked(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    with Store.open(config.store) as store:
        store.set_fact(PEER_ID, PEER_IDS[1])
    with offline(config) as desk, pytest.raises(BadRequest, match="this node's own"):
        desk.add_peer(ADDRESS, "trusted")


def test_who_only_looks_changes_nothing(tmp_path: Path) -> None:
    config = load(tmp_path / "home", {})
    with offline(config, read_only=True) as desk:
        assert desk.peers() == []
        with pytest.raises(HomeUnusable, match="only to look"):
            desk.add_peer(ADDRESS, "trusted")
    assert not config.home.exists()


def test_a_home_with_a_running_node_is_left_alone(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    with HomeLock(config.lock), pytest.raises(HomeBusy), offline(config):
        pass


def test_whom_the_owner_forgets_or_blocks_has_stated_nothing(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    for number in range(3):
        who = fake_identity(number)
        shelf = CodebookShelf(config.codebooks, KNOWN)
        shelf.keep(who.peer_id, *offered(who, statement_of(1)))
        with offline(config) as desk:
            desk.add_peer(f"/ip4/127.0.0.1/tcp/4710/p2p/{who.peer_id}", "trusted")
    assert len(shelf.state()) == 3
    with offline(config) as desk:
        desk.remove_peer(fake_identity(0).peer_id)
        desk.set_trust(fake_identity(1).peer_id, "blocked")
    assert set(shelf.statements()) == {fake_identity(2).peer_id}


@pytest.mark.parametrize("trust", ["trusted", "waiting"])
def test_who_is_blocked_is_not_let_in_by_an_address(tmp_path: Path, trust: str) -> None:
    address = f"/ip4/127.0.0.1/tcp/4710/p2p/{fake_identity(1).peer_id}"
    with offline(load(tmp_path, {})) as desk:
        desk.add_peer(address, "blocked")
        with pytest.raises(BadRequest, match="is blocked here") as caught:
            desk.add_peer(address, trust)
        assert caught.value.remedy == f"Unblock it first: node peers trust {fake_identity(1).peer_id}"
        assert desk.add_peer(address, "blocked")["trust"] == "blocked"
        desk.set_trust(fake_identity(1).peer_id, "trusted")
        assert desk.add_peer(address, "trusted")["trust"] == "trusted"
