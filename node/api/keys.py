"""Who may use the control API: the owner's token, and keys of page sessions that only read.

A page gets its key in two steps: whoever holds the token asks for a ticket, the ticket travels in the fragment of an
address (never sent to a server, gone from history, worthless after one use), and the page swaps it for a key of its
own. So the token itself is never in a browser or on a command line. Knows nothing of HTTP.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from enum import Enum

TICKET_SECONDS = 120.0
TICKETS, SESSIONS = 8, 16
"""How many tickets and sessions there are at once; the oldest goes when another is made."""


class Right(Enum):
    """What a key allows."""

    NONE = 0
    READ = 1
    ALL = 2


class Keys:
    """The keys of one running node."""

    def __init__(self, clock: Callable[[], float], token: str | None = None) -> None:
        """`clock` gives monotonic seconds; without `token` a fresh one of 256 random bits is made."""
        self.token = token or secrets.token_urlsafe(32)
        self._clock = clock
        self._tickets: dict[str, float] = {}
        self._sessions: list[str] = []

    def right(self, key: str) -> Right:
        """What a key allows, in a time that does not tell how much of it was guessed."""
        if _same(key, self.token):
            return Right.ALL
        known = [_same(key, session) for session in self._sessions]
        return Right.READ if any(known) else Right.NONE

    def ticket(self) -> str:
        """A new ticket, good for one use within two minutes."""
        while len(self._tickets) >= TICKETS:
            del self._tickets[next(iter(self._tickets))]
        ticket = secrets.token_urlsafe(24)
        self._tickets[ticket] = self._clock() + TICKET_SECONDS
        return ticket

    def redeem(self, ticket: str) -> str | None:
        """The key of a new session for a ticket, or nothing when the ticket is not good."""
        found = next((known for known in self._tickets if _same(known, ticket)), None)
        if found is None or self._clock() > self._tickets.pop(found):
            return None
        self._sessions = [*self._sessions[-SESSIONS + 1 :], secrets.token_urlsafe(32)]
        return self._sessions[-1]


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode())
