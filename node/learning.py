"""One training round from end to end: train, merge, judge, commit.

What the order is, `node/rounds.py` says; here the steps are done. Three lines of weights are kept: the one that
training goes on from (merged with peers' every round), the control that is trained alike and never merged, and the
best on held-out speech of all that there ever was, which is what speaks for the owner. So by the owner's held-out
speech nobody is ever worse off than alone, and what peers add can be told. Knows nothing of links or of when a round
begins.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import structlog

from ml.errors import ModelDamaged
from ml.federated.merge import Judged, MergeOptions, Received, adopt, merge, reach_of
from ml.weights import Weights, digest
from node.errors import NotFound
from node.learner import Learner, Plan
from node.store.rows import Commit, ModelRow, Origin, Role, RoundRow, UpdateRow, Verdict
from node.store.store import Store
from node.weights import WeightShelf

if TYPE_CHECKING:
    from ml.voice.measures import Score
    from ml.voice.training import EpochFacts, Trained

log = structlog.get_logger("learning")

Verdicts = tuple[tuple[str, str, Verdict, str, float | None], ...]
"""(peer, update, verdict, reason, share)"""


@dataclass(frozen=True)
class LearningOptions:
    """How rounds are done; `control` keeps the line that is never merged."""

    merge: MergeOptions
    peers_per_round: int = 3
    control: bool = True


@dataclass
class Draft:
    """A round that is not on disk yet."""

    number: int
    began_at: float
    start: Weights
    before: Score
    trained: Trained
    alone: Weights | None = None
    alone_score: Score | None = None


class Learning:
    """The steps of a round, on the owner's speech and this node's shelf."""

    def __init__(
        self,
        learner: Learner,
        store: Store,
        shelf: WeightShelf,
        options: LearningOptions,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        """`clock` gives seconds since the epoch, `rng` samples peers."""
        self._learner, self._store, self._shelf, self._options = learner, store, shelf, options
        self._clock, self._rng = clock, rng

    def weights(self, role: Role) -> Weights:
        """The weights of a role; where a file is damaged its parent's, in the end genesis."""
        at: str | None = self._store.roles().get(role)
        while at is not None and at != self._learner.genesis:
            try:
                return self._shelf.get(at)
            except (ModelDamaged, NotFound) as error:
                row = self._store.model(at)
                log.warning("model lost, its parent is taken", model=at, why=error.sentence)
                at = row.parent if row is not None else None
        return self._learner.origin

    async def train(
        self,
        number: int,
        progress: Callable[[EpochFacts], None],
        epochs: int | None = None,
        batch: int | None = None,
    ) -> Draft:
        """Local training, and the control's. Raises BadRequest when there is too little speech."""
        start, began_at = self.weights(Role.WORKING), self._clock()
        before = await self._learner.score(start)
        plan = Plan(number, epochs, batch)
        trained = await self._learner.train(start, plan, progress)
        draft = Draft(number, began_at, start, before, trained)
        if self._options.control:
            alone = await self._learner.train(self.weights(Role.ALONE), plan, lambda facts: None)
            draft.alone, draft.alone_score = alone.weights, alone.after
        return draft

    async def merge(self, draft: Draft, trust: Callable[[str], float]) -> Commit:
        """Judge what peers sent, mix the accepted with ours, and say what the round changes.

        Only new weight files are written: a round that goes no further has left nothing that anything points at.
        """
        own, own_score = draft.trained.weights, draft.trained.after
        chosen = self._sample(trust)
        received = [one for row in chosen if (one := self._received(row, trust(row.peer))) is not None]
        mixed, score = own, own_score
        judged: tuple[Judged, ...] = ()
        if received:
            reach = reach_of(own, self._learner.origin)
            merged = await self._learner.work(merge, own, received, self._learner.loss(), reach, self._options.merge)
            judged = merged.judged
            if any(one.accepted for one in judged):
                mixed = merged.weights
                score = await self._learner.score(mixed)
        taken = mixed is not own and adopt(own_score.mse, score.mse)
        if not taken:
            mixed, score = own, own_score
        verdicts = (*self._verdicts(chosen, judged, taken), *self._untrusted(chosen, trust))
        return await self._commit(draft, mixed, score, verdicts)

    async def _commit(self, draft: Draft, adopted: Weights, score: Score, verdicts: Verdicts) -> Commit:
        trained, origin = draft.trained, self._learner.genesis
        start, own, after = digest(draft.start), self._shelf.put(trained.weights), self._shelf.put(adopted)
        now = self._clock()
        genesis = await self._learner.score(self._learner.origin)
        models = [
            self._row(origin, origin, Origin.GENESIS, now, genesis),
            self._row(own, start, Origin.TRAINED, now, trained.after),
        ]
        if after != own:
            models.append(self._row(after, own, Origin.MERGED, now, score))
        roles = {Role.WORKING: after}
        best, best_score = await self._best((after, score), (own, trained.after), (origin, genesis))
        if draft.alone is not None and draft.alone_score is not None:
            alone = self._shelf.put(draft.alone)
            models.append(
                self._row(alone, self._store.roles().get(Role.ALONE, origin), Origin.TRAINED, now, draft.alone_score)
            )
            roles[Role.ALONE] = alone
            if draft.alone_score.mse < best_score.mse:
                best, best_score = alone, draft.alone_score
        roles[Role.BEST] = best
        row = RoundRow(
            number=draft.number,
            began_at=draft.began_at,
            seconds=max(0.0, now - draft.began_at),
            frames=trained.frames,
            start=start,
            trained=own,
            adopted=after,
            rmse_start=draft.before.rmse_db,
            rmse_trained=trained.after.rmse_db,
            rmse_adopted=score.rmse_db,
            rmse_best=best_score.rmse_db,
            rmse_alone=draft.alone_score.rmse_db if draft.alone_score else None,
            rmse_genesis=genesis.rmse_db,
            mcd_best=best_score.mcd,
            merged=sum(verdict is Verdict.MERGED for _, _, verdict, _, _ in verdicts),
            history=tuple(msgspec.to_builtins(facts) for facts in trained.history),
        )
        return Commit(round=row, models=tuple(models), roles=roles, verdicts=verdicts)

    async def _best(self, *others: tuple[str, Score]) -> tuple[str, Score]:
        """The best on today's held-out speech of what was best before and others; the speech may be new as well."""
        before = self.weights(Role.BEST)
        best, best_score = digest(before), await self._learner.score(before)
        for name, score in others:
            if score.mse < best_score.mse:
                best, best_score = name, score
        return best, best_score

    def _sample(self, trust: Callable[[str], float]) -> list[UpdateRow]:
        """The latest pending update of each of a few peers, drawn at random from those that may take part."""
        latest: dict[str, UpdateRow] = {}
        for row in self._store.updates(limit=None, verdict=Verdict.PENDING):
            if trust(row.peer) > 0 and (row.peer not in latest or row.sequence > latest[row.peer].sequence):
                latest[row.peer] = row
        peers = sorted(latest)
        chosen = self._rng.sample(peers, min(len(peers), self._options.peers_per_round))
        return [latest[peer] for peer in sorted(chosen)]

    def _received(self, row: UpdateRow, trust: float) -> Received | None:
        try:
            weights = self._shelf.get(row.result)
        except (ModelDamaged, NotFound) as error:
            log.warning("update lost", peer=row.peer, why=error.sentence)
            return None
        return Received(row.peer, weights, row.frames, max(0.0, self._clock() - row.received_at), trust)

    def _verdicts(self, chosen: Sequence[UpdateRow], judged: Sequence[Judged], taken: bool) -> Verdicts:
        """What became of the chosen updates, and of older ones of the same peers."""
        by_peer = {one.peer: one for one in judged}
        verdicts: list[tuple[str, str, Verdict, str, float | None]] = []
        for row in chosen:
            one = by_peer.get(row.peer)
            if one is None:
                verdicts.append((row.peer, row.update, Verdict.REFUSED, "Its file is damaged here.", None))
            elif one.accepted and taken:
                more = "" if one.reason == Verdict.MERGED.value else one.reason
                verdicts.append((row.peer, row.update, Verdict.MERGED, more, one.share))
            else:
                reason = one.reason if not one.accepted else "The mixture was worse on this node's held-out speech."
                verdicts.append((row.peer, row.update, Verdict.REJECTED, reason, None))
        newest = {row.peer: row.sequence for row in chosen}
        why = "A later update came before the merge."
        verdicts.extend(
            (row.peer, row.update, Verdict.REPLACED, why, None)
            for row in self._store.updates(limit=None, verdict=Verdict.PENDING)
            if row.sequence < newest.get(row.peer, -1)
        )
        return tuple(verdicts)

    def _untrusted(self, chosen: Sequence[UpdateRow], trust: Callable[[str], float]) -> Verdicts:
        """Others that nobody will ask for again: their peers were trusted when they sent them, and are not now."""
        judged = {(row.peer, row.update) for row in chosen}
        return tuple(
            (row.peer, row.update, Verdict.REJECTED, "This node's owner gives the peer no weight.", None)
            for row in self._store.updates(limit=None, verdict=Verdict.PENDING)
            if (row.peer, row.update) not in judged and not trust(row.peer) > 0
        )

    def _row(self, name: str, parent: str, origin: Origin, at: float, score: Score) -> ModelRow:
        return ModelRow(
            digest=name,
            parent=None if name == parent else parent,
            origin=origin,
            layout=self._learner.layout.name,
            made_at=at,
            rmse_db=score.rmse_db,
            mcd=score.mcd,
        )
