"""What can go wrong at the gate, as sentences a person can act on.

    P2pError
    +-- BadAddress           an address or a peer id that cannot be read
    +-- BadIdentity          a key file that cannot be read, or whose passphrase is wrong
    +-- CannotListen         an address that cannot be listened on: in use, not ours, not allowed
    +-- Unreachable          a peer that does not answer the door, or a link that broke
    |   +-- TimedOut         a peer that was there and let the time run out
    +-- BadMessage           bytes from a peer that are no message of the protocol
    +-- RefusedByPeer        a peer understood and said no; `code` says why
    +-- PairingFailed        a pairing code that is wrong, used up or too old

Every error is one sentence; `remedy` is what to do next. This module knows nothing of how errors are shown.
"""

from __future__ import annotations


class P2pError(Exception):
    """Something between this node and its peers could not be done."""

    def __init__(self, sentence: str, remedy: str = "", brief: str = "") -> None:
        """`sentence` says what is wrong, `remedy` what to do about it, `brief` the cause alone: connection refused."""
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
        self.brief = brief


class BadAddress(P2pError):
    """An address or a peer id that cannot be read."""


class BadIdentity(P2pError):
    """A key file that cannot be used."""


class CannotListen(P2pError):
    """An address that cannot be listened on."""


class Unreachable(P2pError):
    """A peer that cannot be reached, or whose link broke before the answer was there."""


class TimedOut(Unreachable):
    """A peer that did not answer in time."""


class BadMessage(P2pError):
    """Bytes that are no message of the protocol. A strike against whoever sent them."""

    code: str = "bad-message"
    """The refusal code to answer with: `version` when the bytes may be a message of another version."""


class RefusedByPeer(P2pError):
    """The peer answered no."""

    code: str = ""
    """One of the refusal codes of docs/protocol.md."""

    retry_after: float | None = None
    """Seconds after which asking again makes sense, when the peer said so."""


class PairingFailed(P2pError):
    """Two nodes did not come to trust each other."""
