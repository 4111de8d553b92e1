"""The peer book: who is known, who is trusted, when to dial again, and what each has done wrong.

Free of I/O: what changes goes to a `save` that the household gives. Knows nothing of links or messages.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Trust(StrEnum):
    """What the owner thinks of a peer."""

    WAITING = "waiting"
    """Has knocked, and is held at the door until the owner says yes."""
    TRUSTED = "trusted"
    """May exchange."""
    BLOCKED = "blocked"
    """Is not let in, and not dialled."""


class PeerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a peer. Times are seconds since the epoch by this node's own clock, which may be wrong."""

    peer: str
    name: str = ""
    trust: Trust = Trust.WAITING
    weight: float = 1.0
    """The owner's trust level in a merge, 0 to 1."""
    addresses: tuple[str, ...] = ()
    added_at: float = 0.0
    seen_at: float = 0.0
    strikes: float = 0.0
    struck_at: float = 0.0
    strike_reason: str = ""
    failures: int = 0
    """Dials that failed in a row."""
    next_dial_at: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
