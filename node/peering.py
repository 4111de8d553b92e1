"""The owner's say over the peer book, with errors in words; also while no node runs.

`Desk` gives what the control API gives, straight from the household's memory. Knows nothing of links.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from node.config import Config
from node.errors import NotFound
from node.lock import HomeLock
from node.store import Store
from p2p.addresses import parse
from p2p.errors import BadAddress
from p2p.peers import PeerBook, PeerRecord, Trust

UNKNOWN = "See who is known: node peers list"


def add(book: PeerBook, address: str, trust: Trust) -> PeerRecord:
    """Note the peer that a multiaddr names. Raises BadAddress when it names none."""
    peer = parse(address).peer
    if peer is None:
        raise BadAddress(f"{address!r} does not say which peer.", "Put /p2p/ID at its end: node id shows it there.")
    return book.add(peer, [address], trust)


def change(book: PeerBook, peer: str, trust: Trust, weight: float | None = None) -> PeerRecord:
    """What the owner thinks of a peer from now on. Raises NotFound."""
    if book.get(peer) is None:
        raise NotFound(f"No peer {peer} is known here.", UNKNOWN)
    return book.set_trust(peer, trust, weight)


def forget(book: PeerBook, peer: str) -> None:
    """Drop a peer from the book. Raises NotFound."""
    if book.get(peer) is None:
        raise NotFound(f"No peer {peer} is known here.", UNKNOWN)
    book.remove(peer)


class Desk:
    """The peer book of a home in which no node runs; answers like `cli.client.Client`."""

    def __init__(self, book: PeerBook) -> None:
        """`book` saves what is changed."""
        self._book = book

    def peers(self) -> list[dict[str, Any]]:
        """The peer book; nobody is connected."""
        return [_told(record) for record in self._book.all()]

    def add_peer(self, address: str, trust: str) -> dict[str, Any]:
        """Write a peer into the book."""
        return _told(add(self._book, address, Trust(trust)))

    def set_trust(self, peer: str, trust: str, weight: float | None = None) -> dict[str, Any]:
        """Trust, block or hold a peer, by its whole id."""
        return _told(change(self._book, peer, Trust(trust), weight))

    def remove_peer(self, peer: str) -> None:
        """Forget a peer, by its whole id."""
        forget(self._book, peer)


@contextmanager
def offline(config: Config) -> Iterator[Desk]:
    """The desk of a home, which is locked meanwhile. Raises HomeBusy when a node runs in it after all."""
    with HomeLock(config.lock), Store.open(config.store) as store:
        yield Desk(PeerBook(store.peers(), store.save_peer, store.forget_peer, time.time, random.Random()))  # noqa: S311


def _told(record: PeerRecord) -> dict[str, Any]:
    return {**msgspec.to_builtins(record), "connected": False}
