"""What the gate has counted since it opened, as plain numbers for whoever shows them. Knows nothing of metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts since the gate opened. Kinds, outcomes and reasons are from fixed sets: a peer cannot add to them."""

    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Peers' requests by kind (`unreadable` for bytes that are none) and by the answer's kind or refusal code."""
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Own requests by kind and outcome: the answer's kind, a refusal code (`other` for unknown ones), `unreachable`,
    `timed-out` or `bad-message`."""
    strikes: Counter[str] = field(default_factory=Counter)
    """Strikes by reason."""
    faults: int = 0
    """Requests that this node's own code failed to answer, and dials that it failed to make: each is a defect."""
    bytes_in: int = 0
    bytes_out: int = 0
    """Bytes of bodies, both of requests and of answers."""
