"""The bounds of a host, as they are shipped."""

from __future__ import annotations

import dataclasses

import pytest

from p2p.framing import HEAD
from p2p.host.options import HostOptions
from p2p.transport import MAX_BODY


def test_options_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        HostOptions().connections = 5  # type: ignore[misc]


def test_a_link_has_room_for_all_that_an_honest_peer_sends_at_once() -> None:
    """Its requests, twice over because old ones linger, and its answers to ours, each with its negotiation."""
    options = HostOptions()
    one = MAX_BODY + HEAD.size + 512
    assert options.receive > 3 * options.requests_per_link * one
