"""The owner's say over the peer book, also while no node runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.config import load
from node.errors import HomeBusy, NotFound
from node.lock import HomeLock
from node.peering import offline
from p2p.errors import BadAddress
from tests.fakes import PEER_IDS

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


def test_a_home_with_a_running_node_is_left_alone(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    with HomeLock(config.lock), pytest.raises(HomeBusy), offline(config):
        pass
