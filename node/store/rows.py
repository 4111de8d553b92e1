"""The rows of the household's memory, as typed values.

Times are seconds since the epoch by this node's own clock; errors of reconstruction are log-mel RMSE in dB. Knows
nothing of SQL.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Role(StrEnum):
    """What a model is for. In each layout's line a role points at one model, by digest."""

    WORKING = "working"
    """The personal line: its training goes on from here."""
    BEST = "best"
    """Best on the owner's held-out speech so far: the one that speaks for the owner."""
    ALONE = "alone"
    """What would speak for the owner if there were no peers: the control's best."""
    SHARED = "shared"
    """The line that peers learn together; of the way `shared-prior` they get nothing else."""
    WHOLE = "whole"
    """The personal line that learns from the held-out speech too."""
    TWIN = "twin"
    """What BEST is judged by: made alike without the held-out speech, or BEST itself."""
    CONTROL = "control"
    """The control's WORKING: trained on the same speech for the same time, and never merged."""
    CONTROL_WHOLE = "control-whole"
    """The control's WHOLE."""
    ALONE_TWIN = "alone-twin"
    """What ALONE is judged by."""
    PUBLISHED = "published"
    """What peers may have when noise protects it: the last share of a privacy budget."""


class Origin(StrEnum):
    """How a model came to be."""

    GENESIS = "genesis"
    TRAINED = "trained"
    MERGED = "merged"
    WHOLE = "whole"
    """Trained on the held-out speech too, so it cannot be judged by that."""
    RECEIVED = "received"
    """Reconstructed from a peer's update."""
    SENT = "sent"
    """What a peer has of ours: the base of the next diff to it."""


class Verdict(StrEnum):
    """What became of a peer's update."""

    PENDING = "pending"
    """Decoded and sound; waits for the next merge."""
    MERGED = "merged"
    REFUSED = "refused"
    """Broke a rule: bad bytes, wrong hash, false signature."""
    REJECTED = "rejected"
    """Sound, but made this node's own held-out speech worse than the gate allows."""
    REPLACED = "replaced"
    """A later update of the same peer came before the merge."""


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One set of weights on the shelf, by content."""

    digest: str
    parent: str | None
    origin: Origin
    layout: str
    made_at: float
    rmse_db: float | None = None
    """On the owner's held-out speech at that time."""
    mcd: float | None = None


class RoundRow(msgspec.Struct, frozen=True, kw_only=True):
    """One training round. RMSE in dB on the same held-out speech, before and after each step."""

    number: int
    began_at: float
    seconds: float
    frames: int
    """Log-mel frames trained on."""
    start: str
    trained: str
    adopted: str
    """Digests: the round began with `start`, local training gave `trained`, and with what peers sent it became
    `adopted`. With the method `mix` training goes on from that, with `shared-prior` from `trained`."""
    rmse_start: float
    rmse_trained: float
    rmse_adopted: float
    rmse_best: float
    """Of the model that speaks, or of its twin when it has learnt from the held-out speech; `rmse_alone` likewise."""
    rmse_alone: float | None
    mcd_best: float | None
    rmse_genesis: float | None = None
    """The shared starting weights on the same held-out speech: what all gains are measured against."""
    merged: int
    """Peers' updates that went into it."""
    method: str = "mix"
    """How it was learnt: `shared-prior` or `mix`."""
    alpha: float | None = None
    """The weight of one's own model in what was mixed; None where the method mixes nothing, or nobody noted it."""
    alpha_next: float | None = None
    """What `[train] alpha = "auto"` has learnt so far and begins the next round with; other ways leave it as it is."""
    layout: str = "res64"
    """Of the model that learnt. Each has a line of rounds of its own; numbers are given once for all of them."""
    history: tuple[dict[str, Any], ...] = ()
    """One entry per epoch: loss, rmse_db, mcd, seconds."""


class UpdateRow(msgspec.Struct, frozen=True, kw_only=True):
    """One update that a peer offered, and what became of it."""

    update: str
    """SHA-256 (hex) of the diff's bytes."""
    peer: str
    sequence: int
    size: int
    encoding: str
    base: str
    result: str
    frames: int
    received_at: float
    seconds: float
    """From the offer until all of it was on disk."""
    verdict: Verdict
    reason: str = ""
    round: int | None = None
    """The round that merged or rejected it."""
    share: float | None = None
    """Its share of the merged weights."""


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One update of ours that was offered to a peer."""

    peer: str
    round: int
    update: str
    size: int
    encoding: str
    at: float
    seconds: float
    outcome: str
    """`done`, a refusal code of docs/protocol.md, `unreachable` or `timed-out`."""


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """One finished translation."""

    at: float
    source: str
    """The file's name, without its folder."""
    language: str
    seconds_in: float
    """Length of the recording."""
    seconds: float
    """Wall time that the translation took."""
    utterances: int
    likeness: float | None = None


class MetricRow(msgspec.Struct, frozen=True, kw_only=True):
    """One figure at one time: memory in bytes, CPU in percent of one core, bytes in and out ..."""

    at: float
    name: str
    value: float


class BudgetState(StrEnum):
    """What a privacy budget can still give."""

    OPEN = "open"
    SPENT = "spent"
    """The last share that was asked of it would have been too much."""
    CLOSED = "closed"
    """The memory was damaged and rebuilt: what was spent before may be lost, so nothing more is given."""


class BudgetRow(msgspec.Struct, frozen=True, kw_only=True):
    """A privacy budget that the owner has declared: (epsilon, delta) for the owner's whole speech."""

    name: str
    epsilon: float
    """Infinite when the owner has declared to publish without noise from then on."""
    delta: float
    declared_at: float
    state: BudgetState = BudgetState.OPEN


class ShareRow(msgspec.Struct, frozen=True, kw_only=True):
    """One share of a budget, written before anything of it is published."""

    budget: str
    at: float
    round: int
    sigma: float
    """The noise's standard deviation in units of the sensitivity."""
    sampling: float
    epsilon: float
    """What the budget had spent after it."""


Judgement = tuple[str, str, Verdict, str, float | None]
"""(peer, update, verdict, reason, share) of one update."""


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """All that a round changes, written in one transaction: after it the round has happened, before it it has not."""

    round: RoundRow
    models: tuple[ModelRow, ...]
    roles: dict[Role, str]
    verdicts: tuple[Judgement, ...]
    """One for every update that the round judged."""
