"""Why a peer is not connected, in a few words for its owner. Knows errors, and nothing of links or of who shows it."""

from __future__ import annotations

from p2p.errors import BadMessage, P2pError, RefusedByPeer, TimedOut

WAITS = "waits for their yes"
OTHER_MODEL = "another model: "
"""Before the layout that a peer named in its hello, when it does not stand on our ground."""
REFUSALS = {
    "not-trusted": WAITS,
    "blocked": "blocked by its owner",
    "other-ground": "another model (other-ground)",
    "version": "another version of the protocol",
    "budget": "our share of its budget is used up",
    "busy": "it is busy",
}
"""What a refused hello means, by the refusal's code."""


def worse_told(known: str, why: str) -> bool:
    """Whether `why` says less than what is known already: a refusal does not name the peer's model, its hello did."""
    return why == REFUSALS["other-ground"] and known.startswith(OTHER_MODEL)


def brief(error: P2pError, linked: bool) -> str:
    """The cause of a failed dial. `linked`: the link was made, and failed or was refused after that.

    A peer that has blocked this node cuts the link without a word, exactly as one does that goes at that moment.
    """
    if isinstance(error, RefusedByPeer):
        return REFUSALS.get(error.code, "it refused")
    if isinstance(error, BadMessage):
        return "its answer is no message"
    if isinstance(error, TimedOut):
        return "no answer in time"
    return "blocked us or is gone" if linked else error.brief or "not reachable"
