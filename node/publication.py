"""What this node gives to peers of what it has learned: as it is, in part, or under noise that a ledger counts.

Peers only ever get what a publication gives, never a model past it. Under noise there is one share every few rounds,
however many peers hear it and however often: it is made once, kept on the shelf, and everybody gets that one. Knows
nothing of links, of how differences are written, or of when a round begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from ml.errors import ModelDamaged
from ml.federated.diff import LARGEST_NORM
from ml.federated.merge import MergeOptions
from ml.federated.privacy.release import Release
from ml.federated.privacy.view import Part, Subspace, View, Whole
from ml.voice.stacked import flat, named
from ml.weights import Layout, Weights, digest
from node.config import PrivacySettings
from node.errors import BadConfig, BudgetSpent, NotFound
from node.learner import Learner
from node.learning import Learning
from node.privacy import Budget, Ledger, declare
from node.store.rows import ModelRow, Origin, Role, RoundRow
from node.store.store import Store
from node.weights import WeightShelf

if TYPE_CHECKING:
    from ml.federated.privacy.accountant import Accountant

log = structlog.get_logger("publication")

FRAMES = MergeOptions().frames
"""What a node under noise says it has trained on: always the same, because the true number would tell of the owner."""


class Publication(Protocol):
    """What peers may have."""

    async def renew(self, row: RoundRow) -> bool:
        """A round is on the disk: whether there is something new to tell peers."""
        ...

    def current(self, row: RoundRow) -> tuple[Weights, int] | None:
        """What peers may have now, and the frames to say with it; None when that is nothing. `row` is a round."""
        ...


class Open:
    """The line that peers get, after every round that changed it, without noise: all of it, or what a view lets
    through."""

    def __init__(self, learner: Learner, learning: Learning, release: Release) -> None:
        """`release` without noise."""
        self._learner, self._learning, self._release = learner, learning, release
        self._told = digest(learning.weights(learning.published))

    async def renew(self, row: RoundRow) -> bool:
        """Whether the round changed anything."""
        before, self._told = self._told, digest(self._learning.weights(self._learning.published))
        return before != self._told

    def current(self, row: RoundRow) -> tuple[Weights, int] | None:
        """The line that peers get; outside of the view the shared start."""
        weights = self._learning.weights(self._learning.published)
        if not isinstance(self._release.view, Whole):
            weights = released(self._release, weights, self._learner.origin, self._learner.layout)
        return weights, row.frames


class Noisy:
    """The line that peers get, under noise, as long as the ledger has something left; then the last share stays."""

    def __init__(
        self,
        learner: Learner,
        learning: Learning,
        release: Release,
        ledger: Ledger,
        memory: tuple[Store, WeightShelf],
        options: tuple[int, Callable[[], float]],
    ) -> None:
        """`release` has noise; `options` are the rounds from share to share, and the clock for the records."""
        self._learner, self._learning, self._release, self._ledger = learner, learning, release, ledger
        self._store, self._shelf = memory
        self._every, self._clock = options
        self._told = False

    async def renew(self, row: RoundRow) -> bool:
        """A new share, when it is time for one and the ledger allows it: on the disk as spent before it is made."""
        if row.number % self._every or self._release.sigma is None:
            return False
        try:
            share = await self._learner.work(self._ledger.reserve, self._release.sigma, 1.0, row.number)
        except BudgetSpent as error:
            if not self._told:
                log.warning("nothing more is published", why=error.sentence, remedy=error.remedy)
            self._told = True
            return False
        self._told = False
        origin, layout = self._learner.origin, self._learner.layout
        weights = self._learning.weights(self._learning.published)
        made = await self._learner.work(released, self._release, weights, origin, layout)
        name = self._shelf.put(made)
        kept = ModelRow(
            digest=name, parent=self._learner.genesis, origin=Origin.SENT, layout=layout.name, made_at=self._clock()
        )
        self._store.add_models([kept], {Role.PUBLISHED: name})
        log.info("share made", round=row.number, epsilon=round(share.epsilon, 3), shares_of=share.budget)
        return True

    def current(self, row: RoundRow) -> tuple[Weights, int] | None:
        """The last share; nothing before the first, or when its file is lost."""
        name = self._store.roles().get(Role.PUBLISHED)
        if name is None:
            return None
        try:
            return self._shelf.get(name), FRAMES
        except (ModelDamaged, NotFound) as error:
            log.warning("the last share is lost", model=name, why=error.sentence)
            return None


def released(release: Release, weights: Weights, origin: Weights, layout: Layout) -> Weights:
    """The weights that a release makes of these, against the shared start."""
    start = flat(origin, layout)
    return named(start + release.differences((flat(weights, layout) - start)[None])[0], layout)


def publication(
    settings: PrivacySettings,
    learner: Learner,
    learning: Learning,
    memory: tuple[Store, WeightShelf],
    clock: Callable[[], float],
) -> Publication:
    """The publication that the settings ask for.

    Raises BadConfig for settings that no peer could use, BudgetWidened, and Unavailable without the accountant.
    """
    asked = release_of(settings, learner.layout)
    if asked.accountant is None:
        declare(memory[0], Budget(settings.budget, math.inf, settings.delta), clock())
        return Open(learner, learning, asked.release)
    budget = Budget(settings.budget, settings.epsilon, settings.delta)
    ledger = Ledger(memory[0], budget, asked.accountant, clock)
    return Noisy(learner, learning, asked.release, ledger, memory, (settings.every, clock))


class Asked(NamedTuple):
    """What `[privacy]` asks for: how weights are released, and what counts the epsilon when there is noise."""

    release: Release
    accountant: Accountant | None


def release_of(settings: PrivacySettings, layout: Layout) -> Asked:
    """The release that the settings ask for, of weights in this layout.

    Raises BadConfig for settings that no peer could use, and Unavailable without the accountant.
    """
    try:
        view = _view(settings, layout)
        if not settings.epsilon:
            return Asked(Release(view), None)
        from ml.federated.privacy.accountant import Accountant

        accountant = Accountant()
        sigma = accountant.sigma_for(settings.epsilon, settings.delta, settings.shares)
        release = Release(view, settings.clip, sigma)
    except ValueError as error:
        raise BadConfig(f"[privacy] asks for what cannot be: {error}.", "Mend it; see docs/privacy.md.") from error
    # Two shares differ by the noise of both; the encoding takes half of the longest difference that a peer takes.
    longest = math.sqrt(2) * 1.1 * release.noise_norm + 2 * settings.clip
    if longest > LARGEST_NORM / 2:
        raise BadConfig(
            f"With these settings of [privacy] the noise would be {release.noise_norm:.3g} long, and peers take no "
            f"difference of more than {LARGEST_NORM / 2:g}: nobody could use what you publish.",
            "Share less (share, part, dimensions), clip to less, make fewer shares, or allow a larger epsilon.",
        )
    return Asked(release, accountant)


def _view(settings: PrivacySettings, layout: Layout) -> View:
    if settings.share == "part":
        return Part(layout, settings.part)
    return Subspace(layout, settings.dimensions) if settings.share == "subspace" else Whole(layout)
