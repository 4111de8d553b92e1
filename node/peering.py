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
from node.errors import BadRequest, HomeUnusable, NotFound
from node.lock import HomeLock
from node.stats import PEER_ID
from node.store import Store
from p2p.addresses import parse
from p2p.errors import BadAddress
from p2p.identity import Identity, is_locked
from p2p.peers import PeerBook, PeerRecord, Trust

UNKNOWN = "See who is known: node peers list"


def add(book: PeerBook, address: str, trust: Trust) -> PeerRecord:
    """Note the peer that a multiaddr names. Raises BadAddress when it names none, BadRequest for a blocked one."""
    peer = peer_at(address)
    known = book.get(peer)
    if known is not None and known.trust is Trust.BLOCKED and trust is not Trust.BLOCKED:
        raise BadRequest(f"The peer {peer} is blocked here.", f"Unblock it first: node peers trust {peer}")
    return book.add(peer, [address], trust)


def peer_at(address: str) -> str:
    """The id of the peer that a multiaddr names. Raises BadAddress when it names none."""
    peer = parse(address).peer
    if peer is None:
        raise BadAddress(f"{address!r} does not say which peer.", "Put /p2p/ID at its end: node id shows it there.")
    return peer


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


def refuse_self(address: str, own: str) -> None:
    """Raise BadRequest for an address of this node itself, whose id is `own`."""
    if own and parse(address).peer == own:
        raise BadRequest("That address is this node's own.", "Give the address that `node id` shows on the other one.")


class Desk:
    """The peer book of a home in which no node runs; answers like `cli.client.Client`."""

    def __init__(self, book: PeerBook, own: str = "") -> None:
        """`book` saves what is changed; `own` is this node's id."""
        self._book, self._own = book, own

    def peers(self) -> list[dict[str, Any]]:
        """The peer book; nobody is connected."""
        return [_told(record) for record in self._book.all()]

    def add_peer(self, address: str, trust: str) -> dict[str, Any]:
        """Write a peer into the book. Raises BadAddress, and BadRequest for this node itself."""
        refuse_self(address, self._own)
        return _told(add(self._book, address, Trust(trust)))

    def set_trust(self, peer: str, trust: str, weight: float | None = None) -> dict[str, Any]:
        """Trust, block or hold a peer, by its whole id."""
        return _told(change(self._book, peer, Trust(trust), weight))

    def remove_peer(self, peer: str) -> None:
        """Forget a peer, by its whole id."""
        forget(self._book, peer)


@contextmanager
def offline(config: Config, read_only: bool = False) -> Iterator[Desk]:
    """The desk of a home, which is locked meanwhile. Raises HomeBusy when a node runs in it after all.

    With `read_only` nothing is written, locked or made: what is in the home now can be looked at, and no more.
    """
    if read_only:
        yield Desk(PeerBook(_written(config), _no_writing, _no_writing, time.time, random.Random()))  # noqa: S311
        return
    with HomeLock(config.lock), Store.open(config.store) as store:
        book = PeerBook(store.peers(), store.save_peer, store.forget_peer, time.time, random.Random())  # noqa: S311
        yield Desk(book, _own_id(config, store))
        _forget_statements(config, book)


def _forget_statements(config: Config, book: PeerBook) -> None:
    """Delete what peers stated of their voices that are blocked or not known any more."""
    if config.codebooks.is_dir():
        from node.codebooks import heard

        heard(config)[0].keep_only({record.peer for record in book.all() if record.trust is not Trust.BLOCKED})


def _written(config: Config) -> tuple[PeerRecord, ...]:
    """The peers in the memory of a home; none without one."""
    try:
        with Store.open(config.store, read_only=True) as store:
            return store.peers()
    except NotFound:
        return ()


def _no_writing(what: object) -> None:
    raise HomeUnusable("This home was opened only to look at it.", "Nothing was changed.")


def _own_id(config: Config, store: Store) -> str:
    """This node's id by its key, or by what it said of itself when the key is locked; empty before it has one."""
    if config.identity.exists() and not is_locked(config.identity):
        return Identity.load(config.identity).peer_id
    return store.fact(PEER_ID) or ""


def _told(record: PeerRecord) -> dict[str, Any]:
    return {**msgspec.to_builtins(record), "connected": False}
