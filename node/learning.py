"""One training round from end to end: train, merge, judge, commit.

What the order is, `node/rounds.py` says; what is trained, merged and published, the way of learning (`node/methods`).
Here is what all of them have in common: whose updates are judged and what becomes of them, the best on held-out speech
of all that there ever was, which speaks for the owner, and its like without peers, the control. So by the owner's
held-out speech nobody is ever worse off than alone, and what peers add can be told. Knows nothing of links or of when a
round begins.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from ml.errors import ModelDamaged
from ml.federated.merge import Judged, Received
from ml.weights import Weights, digest
from node.errors import NotFound
from node.learner import Learner, Plan, Progress
from node.methods.way import Candidate, Course, Made, Way, best_of, judged_itself
from node.rounds import Phase, Rounds
from node.store.rows import Commit, ModelRow, Origin, Role, RoundRow, UpdateRow, Verdict
from node.store.store import Store
from node.weights import WeightShelf

log = structlog.get_logger("learning")

Verdicts = tuple[tuple[str, str, Verdict, str, float | None], ...]
"""(peer, update, verdict, reason, share)"""


@dataclass(frozen=True)
class LearningOptions:
    """How rounds are done."""

    way: Way
    peers_per_round: int = 3


@dataclass
class Draft:
    """A round that is not on disk yet."""

    number: int
    began_at: float
    course: Course
    verdicts: Verdicts = ()


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
        self.lost: dict[str, str] = {}
        """Models whose files are gone or damaged, as far as it was noticed, with the parents that stand in for them."""

    @property
    def merge_first(self) -> bool:
        """Whether a round merges before it trains."""
        return self._options.way.merge_first

    @property
    def published(self) -> Role:
        """The line that peers get."""
        return self._options.way.published

    def weights(self, role: Role) -> Weights:
        """The weights of a role; where a file is damaged its parent's, in the end genesis."""
        at: str | None = self._store.roles().get(role)
        found: Weights | None = None
        passed, new, why = 0, False, ""
        while at is not None and at != self._learner.genesis:
            try:
                found = self._shelf.get(at)
                break
            except (ModelDamaged, NotFound) as error:
                row = self._store.model(at)
                parent = row.parent if row is not None else None
                new, why, passed = new or at not in self.lost, why or error.sentence, passed + 1
                self.lost[at] = parent or ""
                at = parent
        if new:
            taken = "the shared start" if found is None else at
            log.warning("a learnt model cannot be read, an older one is taken", lost=passed, taken=taken, why=why)
        return self._learner.origin if found is None else found

    async def round(
        self,
        rounds: Rounds,
        plan: Plan,
        trust: Callable[[str], float],
        progress: Progress,
        entered: Callable[[Phase], None] = lambda phase: None,
    ) -> Commit:
        """A round that has just begun, step by step in the machine's order, up to what is to be committed.

        Only new weight files are written: a round that goes no further has left nothing that anything points at.
        Raises BadRequest when there is too little speech, HomeUnusable.
        """
        draft = self.begin(plan)
        while rounds.phase is not Phase.COMMITTING:
            entered(rounds.phase)
            if rounds.phase is Phase.TRAINING:
                await draft.course.train(plan, progress)
                rounds.trained()
            else:
                await self.merge(draft, trust)
                rounds.merged()
        entered(rounds.phase)
        return await self.finish(draft)

    def begin(self, plan: Plan) -> Draft:
        """A round from the weights that there are now; its number is the plan's seed."""
        return Draft(plan.seed, self._clock(), self._options.way.begin(self._learner, self.weights, self._alpha()))

    async def merge(self, draft: Draft, trust: Callable[[str], float]) -> None:
        """Judge what peers sent, and let the way mix in the accepted."""
        chosen = self._sample(trust)
        received = [one for row in chosen if (one := self._received(row, trust(row.peer))) is not None]
        taken = await draft.course.merge(received)
        draft.verdicts = (*self._verdicts(chosen, taken.judged, taken.taken), *self._untrusted(chosen, trust))

    async def finish(self, draft: Draft) -> Commit:
        """What the round changes, its weights on the shelf."""
        done, now = await draft.course.outcome(), self._clock()
        genesis = await self._learner.score(self._learner.origin)
        start = judged_itself(Made(self._learner.origin, self._learner.origin, Origin.GENESIS, genesis), genesis)
        best = best_of(await self._standing(Role.BEST, Role.TWIN), *done.candidates, start)
        made, roles = [start.speaks, *done.made], dict(done.roles)
        alone = None
        if done.alone:
            alone = best_of(await self._standing(Role.ALONE, Role.ALONE_TWIN), *done.alone, start)
            best = best_of(best, alone)
            made += [alone.twin, alone.speaks]
            roles |= {Role.ALONE: alone.speaks.weights, Role.ALONE_TWIN: alone.twin.weights}
        made += [best.twin, best.speaks]
        roles |= {Role.BEST: best.speaks.weights, Role.TWIN: best.twin.weights}
        before, trained, adopted = done.scores
        alpha, learnt = done.alpha or (None, None)
        row = RoundRow(
            number=draft.number,
            began_at=draft.began_at,
            seconds=max(0.0, now - draft.began_at),
            frames=done.frames,
            start=digest(done.start),
            trained=digest(done.trained),
            adopted=digest(done.adopted),
            rmse_start=before.rmse_db,
            rmse_trained=trained.rmse_db,
            rmse_adopted=adopted.rmse_db,
            rmse_best=best.score.rmse_db,
            rmse_alone=alone.score.rmse_db if alone else None,
            rmse_genesis=genesis.rmse_db,
            mcd_best=best.score.mcd,
            merged=sum(verdict is Verdict.MERGED for _, _, verdict, _, _ in draft.verdicts),
            method=self._options.way.name,
            alpha=alpha,
            alpha_next=self._alpha() if learnt is None else learnt,
            layout=self._learner.layout.name,
            history=tuple(msgspec.to_builtins(facts) for facts in done.history),
        )
        models = tuple(self._kept(one, now) for one in made)
        pointed = {role: digest(weights) for role, weights in roles.items()}
        return Commit(round=row, models=models, roles=pointed, verdicts=draft.verdicts)

    def _alpha(self) -> float | None:
        """What rounds before have learnt of the weight of one's own model in a mixture."""
        last = self._store.rounds(1)
        return last[0].alpha_next if last else None

    async def _standing(self, speaks: Role, twin: Role) -> Candidate:
        """What speaks now, by its twin's score on today's held-out speech: there may be more of that than there was.

        When either is lost, what is left of the twin stands in for both; a model that has not learnt from the held-out
        speech needs none.
        """
        known = self._store.roles()
        row = self._store.model(known[speaks]) if speaks in known and twin not in known else None
        if row is not None and row.origin is not Origin.WHOLE:
            twin = speaks
        judge, voice = self.weights(twin), self.weights(speaks)
        score = await self._learner.score(judge)
        whole = all(digest(found) == known.get(role) for role, found in ((twin, judge), (speaks, voice)))
        judged = Made(judge, judge, score=score)
        return Candidate(Made(voice, judge, Origin.WHOLE) if whole else judged, judged, score)

    def _kept(self, made: Made, at: float) -> ModelRow:
        """The row of a model that is on the shelf from now on."""
        name, parent = digest(made.weights), digest(made.parent)
        if name != self._learner.genesis:
            self._shelf.put(made.weights)
        return ModelRow(
            digest=name,
            parent=None if name == parent else parent,
            origin=made.origin,
            layout=self._learner.layout.name,
            made_at=at,
            rmse_db=made.score.rmse_db if made.score else None,
            mcd=made.score.mcd if made.score else None,
        )

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
