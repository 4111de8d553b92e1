"""All that a person may want to know of this node, as plain values ready for JSON: what the dashboard, the API and
`--json` show.

Gathered from the memory, and from the running node when there is one. Times are seconds since the epoch by this node's
clock; sizes are bytes. Knows nothing of how it is shown.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

import node.quality as quality
from node.config import MODELS, Config, PrivacySettings
from node.errors import NotFound
from node.lock import is_held
from node.quality import Quality
from node.store import Store
from node.store.rows import BudgetState, DeliveryRow, JobRow, RoundRow, UpdateRow
from p2p.errors import BadIdentity
from p2p.identity import Identity
from p2p.peers import PeerRecord
from p2p.trouble import OTHER_MODEL, WAITS

ROUNDS = 60
"""Rounds that the picture of quality shows."""
RECENT = 20
"""Updates, deliveries and translations that are listed."""

PEER_ID = "peer-id"
ADDRESSES = "addresses"
LAYOUT = "layout"
CODEBOOK = "codebook"
"""Names of the facts that a node leaves in its memory for when it does not run; addresses are parted by spaces, the
layout is that of the model that learnt last."""


class Live(msgspec.Struct, kw_only=True):
    """What only a running node knows. The node keeps one and changes it as things happen."""

    phase: str = "starting"
    note: str = ""
    """Why nothing happens, or what went wrong last, in words."""
    peer_id: str = ""
    addresses: tuple[str, ...] = ()
    started_at: float = 0.0
    next_round_at: float | None = None
    epoch: dict[str, Any] = msgspec.field(default_factory=dict)
    """The running round's last epoch: epoch, epochs, loss, rmse_db, mcd, seconds; empty between rounds."""
    connected: tuple[str, ...] = ()
    """Peers with a finished hello."""
    troubles: dict[str, str] = msgspec.field(default_factory=dict)
    """Why trusted peers are not connected, in a few words, as far as it is known."""
    budget_used: dict[str, int] = msgspec.field(default_factory=dict)
    """Bytes of the hourly budget that each peer has used."""
    counters: dict[str, float] = msgspec.field(default_factory=dict)
    """What the gate has counted since the start, by name."""
    memory: int = 0
    """Resident bytes of the node's process."""
    cpu: float = 0.0
    """Percent of one core."""


class PeerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One peer as a person sees it."""

    peer: str
    name: str
    trust: str
    weight: float
    connected: bool
    state: str
    """In words: connected, waits for your yes, blocked, tried again in 40 s: connection refused ..."""
    seen_at: float | None
    next_dial_at: float | None
    failures: int
    strikes: float
    strike_reason: str
    bytes_in: int
    bytes_out: int
    budget_used: int | None
    """Bytes of this hour's budget; None while the node does not run."""
    last_verdict: str | None
    last_reason: str | None
    last_update_at: float | None
    last_delivery: str | None
    """What became of our last offer to it."""
    addresses: tuple[str, ...]


class JobLine(msgspec.Struct, frozen=True, kw_only=True):
    """One finished translation. `pace` is seconds of work per second of sound: below 1 is faster than speech."""

    at: float
    source: str
    language: str
    seconds_in: float
    seconds: float
    pace: float | None
    utterances: int
    likeness: float | None


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes with all known peers together, ever, and what one peer may send in an hour."""

    bytes_in: int = 0
    bytes_out: int = 0
    bytes_per_hour: int = 0


class Privacy(msgspec.Struct, frozen=True, kw_only=True):
    """What protects that which peers get, and what is left of the budget."""

    shared: str
    """In words: the whole model, only the decoder ..."""
    budget: str
    epsilon: float | None = None
    """None: there is no noise, and no promise."""
    delta: float | None = None
    spent: float = 0.0
    """Epsilon of this budget's shares together."""
    shares: int = 0
    """Publications under this budget."""
    earlier: int = 0
    """Publications under others: they stay spent."""
    state: BudgetState = BudgetState.OPEN
    sentence: str = ""
    """All of it in words."""


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """The whole picture at one time."""

    at: float
    running: bool
    home: str
    name: str
    peer_id: str | None
    addresses: tuple[str, ...]
    uptime: float | None
    """Seconds; None while no node runs."""
    phase: str
    note: str
    next_round_at: float | None
    epoch: dict[str, Any]
    model: str
    """Which shipped model learns: `[train] model`. Quality and rounds are of it."""
    resting: dict[str, int]
    """Other models that have learnt here, each with the number of its last round: their lines are kept."""
    quality: Quality
    rounds: tuple[RoundRow, ...]
    """The newest first, at most 60."""
    peers: tuple[PeerLine, ...]
    verdicts: dict[str, int]
    """Updates that came, by verdict."""
    outcomes: dict[str, int]
    """Updates that went, by outcome."""
    updates: tuple[UpdateRow, ...]
    deliveries: tuple[DeliveryRow, ...]
    traffic: Traffic
    privacy: Privacy
    codebook: str
    """What the voice's own codebook of the codec saves, with peers and without, in words; empty before there is one."""
    jobs: tuple[JobLine, ...]
    counters: dict[str, float]
    memory: int | None
    cpu: float | None


def collect(store: Store | None, config: Config, live: Live | None = None, now: float | None = None) -> Stats:
    """The picture. Without a store there is nothing to tell but the configuration; without `live` no node runs here.

    Raises StoreDamaged, HomeUnusable.
    """
    now = time.time() if now is None else now
    records = store.peers() if store else ()
    model = config.train.model
    store = store.of_model(model) if store else None
    rounds = store.rounds(ROUNDS) if store else ()
    said = (store.fact(ADDRESSES) or "").split() if store and live is None else ()
    return Stats(
        at=now,
        running=live is not None,
        home=str(config.home),
        name=config.node.name,
        peer_id=(live.peer_id if live else _own_id(store, config)) or None,
        addresses=live.addresses if live else tuple(said),
        uptime=max(0.0, now - live.started_at) if live and live.started_at else None,
        phase=live.phase if live else "stopped",
        note=live.note if live else "",
        next_round_at=live.next_round_at if live else None,
        epoch=dict(live.epoch) if live else {},
        model=model,
        resting={name: last for name, last in store.lines().items() if name != model} if store else {},
        quality=quality.judge(rounds),
        rounds=rounds,
        peers=_peer_lines(store, records, live, now, model),
        verdicts={verdict.value: count for verdict, count in store.verdicts().items()} if store else {},
        outcomes=store.outcomes() if store else {},
        updates=store.updates(RECENT) if store else (),
        deliveries=store.deliveries(RECENT) if store else (),
        traffic=Traffic(
            bytes_in=sum(record.bytes_in for record in records),
            bytes_out=sum(record.bytes_out for record in records),
            bytes_per_hour=config.node.bytes_per_hour,
        ),
        privacy=_privacy(store, config.privacy),
        codebook=(store.fact(CODEBOOK) or "") if store else "",
        jobs=tuple(map(_job_line, store.jobs(RECENT))) if store else (),
        counters=dict(live.counters) if live else {},
        memory=live.memory if live else None,
        cpu=live.cpu if live else None,
    )


def read_stats(config: Config) -> Stats:
    """The picture of a home whose node does not run, or cannot be asked; writes nothing and makes nothing.

    A home without a memory gives an empty picture. Raises StoreDamaged, StoreFromFuture, HomeUnusable.
    """
    try:
        store = Store.open(config.store, read_only=True)
    except NotFound:
        return collect(None, config)
    with store:
        stats = collect(store, config)
    if is_held(config.lock):
        return msgspec.structs.replace(stats, running=True, phase="running", note="The running node was not asked.")
    return stats


def _own_id(store: Store | None, config: Config) -> str | None:
    """Who this node is while it does not run: its key says so, and of one that is locked the memory, where it has run.
    None before there is a key."""
    try:
        return Identity.load(config.identity).peer_id
    except BadIdentity:  # who needs the key is told what is wrong with it
        return store.fact(PEER_ID) if store else None


def _privacy(store: Store | None, settings: PrivacySettings) -> Privacy:
    shared = {
        "all": "the whole model",
        "part": f"only the {settings.part}",
        "subspace": f"only {settings.dimensions} numbers on a random plane",
    }[settings.share]
    if not settings.epsilon:
        said = f"Peers get {shared}, coarsely rounded and without noise: there is no promise of privacy."
        return Privacy(shared=shared, budget=settings.budget, sentence=said)
    shares = store.shares() if store else ()
    own = [row for row in shares if row.budget == settings.budget]
    spent = max((row.epsilon for row in own), default=0.0)
    known = {row.name: row for row in store.budgets()} if store else {}
    declared = known.get(settings.budget)
    state = declared.state if declared else BudgetState.OPEN
    epsilon = min(settings.epsilon, declared.epsilon) if declared else settings.epsilon
    delta = min(settings.delta, declared.delta) if declared else settings.delta
    after = {
        BudgetState.OPEN: "",
        BudgetState.SPENT: " The budget is spent: nothing more is published, learning and receiving go on.",
        BudgetState.CLOSED: " The budget is closed: the memory was damaged, and what was spent may be lost.",
    }[state]
    said = (
        f"Peers get {shared} under noise: epsilon {spent:.3g} of {epsilon:g} is spent in {len(own)} "
        f"share{'' if len(own) == 1 else 's'} (delta {delta:g}).{after}"
    )
    return Privacy(
        shared=shared,
        budget=settings.budget,
        epsilon=epsilon,
        delta=delta,
        spent=spent,
        shares=len(own),
        earlier=len(shares) - len(own),
        state=state,
        sentence=said,
    )


def _peer_lines(
    store: Store | None, records: Sequence[PeerRecord], live: Live | None, now: float, model: str
) -> tuple[PeerLine, ...]:
    if store is None:
        return ()
    arrived, sent = store.last_updates(), store.last_deliveries()
    connected = frozenset(live.connected) if live else frozenset[str]()
    states = {one.peer: _state(one, one.peer in connected, live, now, model) for one in records}
    return tuple(_peer_line(record, arrived, sent, connected, live, states[record.peer]) for record in records)


def _peer_line(
    record: PeerRecord,
    arrived: Mapping[str, UpdateRow],
    sent: Mapping[str, DeliveryRow],
    connected: frozenset[str],
    live: Live | None,
    state: str,
) -> PeerLine:
    update, delivery = arrived.get(record.peer), sent.get(record.peer)
    return PeerLine(
        peer=record.peer,
        name=record.name,
        trust=record.trust.value,
        weight=record.weight,
        connected=record.peer in connected,
        state=state,
        seen_at=record.seen_at or None,
        next_dial_at=record.next_dial_at or None,
        failures=record.failures,
        strikes=record.strikes,
        strike_reason=record.strike_reason,
        bytes_in=record.bytes_in,
        bytes_out=record.bytes_out,
        budget_used=live.budget_used.get(record.peer, 0) if live else None,
        last_verdict=update.verdict.value if update else None,
        last_reason=update.reason if update else None,
        last_update_at=update.received_at if update else None,
        last_delivery=delivery.outcome if delivery else None,
        addresses=record.addresses,
    )


def other_model(layout: str, own: str) -> str:
    """What is in the way when a peer's model has this layout and ours that of `own`, and what its owner can do."""
    if layout == own:
        return f"learns {layout} from another start; both need the same version of Babelmesh"
    if layout not in MODELS:
        return f"learns another model ({layout}), which this version does not know; update Babelmesh"
    return f'learns another model ({layout}); to learn with it, set [train] model = "{layout}"'


def _state(record: PeerRecord, connected: bool, live: Live | None, now: float, model: str) -> str:
    """One peer's state in words."""
    running = live is not None
    why = live.troubles.get(record.peer, "") if live else ""
    if why.startswith(OTHER_MODEL):
        why = other_model(why.removeprefix(OTHER_MODEL), model)
    if record.trust.value == "blocked":
        return "blocked"
    if record.trust.value == "waiting":
        return "at the door, waits for your yes" if connected or running else "waits for your yes"
    if connected:
        return "connected"
    if not running:
        return "not dialled: the node does not run"
    if why == WAITS:
        return why
    if not record.addresses:
        return f"may come by itself: {why}" if why else "has no address, may come by itself"
    wait = record.next_dial_at - now
    tried = f"tried again in {wait:.0f} s" if wait > 0 else "tried again now" if why else "being dialled"
    return f"{tried}: {why}" if why else tried


def _job_line(row: JobRow) -> JobLine:
    return JobLine(
        at=row.at,
        source=row.source,
        language=row.language,
        seconds_in=row.seconds_in,
        seconds=row.seconds,
        pace=row.seconds / row.seconds_in if row.seconds_in > 0 else None,
        utterances=row.utterances,
        likeness=row.likeness,
    )
