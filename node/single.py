"""One training round in a home in which no node runs.

The same steps as a running node's round: what peers have sent before is judged and merged too. Knows nothing of links.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from node.errors import BadRequest
from node.learner import Plan
from node.rounds import Rounds

if TYPE_CHECKING:
    from ml.voice.training import EpochFacts
    from node.mesh import Mesh
    from node.store.rows import RoundRow


async def one_round(
    mesh: Mesh,
    progress: Callable[[EpochFacts], None],
    epochs: int | None = None,
    batch: int | None = None,
) -> RoundRow:
    """Train, merge what waits, commit, sweep. Raises BadRequest when there is too little speech, HomeUnusable."""
    parts = mesh.parts
    lack = parts.learner.listen().lack
    if lack:
        raise BadRequest("There is not enough speech to learn from.", lack)
    try:
        rounds = Rounds(0.0, number=parts.store.next_round(), merge_first=parts.learning.merge_first)
        rounds.next(0.0, ready=True)
        commit = await parts.learning.round(rounds, Plan(rounds.number, epochs, batch), mesh.trust, progress)
        parts.store.commit(commit)
    except asyncio.CancelledError:
        parts.learner.stop()  # else the program would not end before the training thread does
        raise
    mesh.tidy()
    return commit.round
