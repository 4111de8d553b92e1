"""A codebook learnt together in one message: what a voice states of itself, and what is made of several statements.

A statement is a codebook of one voice's own speech, drawn toward nobody's: its basis, and class tables that are counted
and not moved by degrees. Such codebooks stand for second moments and for sizes by class, which can be turned into one
another's coordinates and then add up, although nobody agreed on coordinates before. Whoever has some pools those that
serve their own speech, and held-out speech says whether to use the pool. Knows nothing of peers or links.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ml.audio.logmel import LogMel
from ml.errors import ModelDamaged
from ml.voice.codec.blocks import FRAMES, Bands
from ml.voice.codec.codebook import OCTAVE, UNIT, Codebook
from ml.voice.codec.fitting import (
    Classes,
    Personal,
    adapted,
    carried,
    classes_of,
    cost,
    moments_of,
    moved,
    personal,
    pooled,
    tabled,
)
from ml.voice.codec.moments import Moments, bands_of, blend
from ml.voice.codec.transfer import pack, unpack

FORMAT = "codebook-1"
"""Name of these bytes; another way to say it is another name."""
LARGEST = 17_000
"""Bytes of a packed statement; its tables have 16,824 before they are deflated, and about 11,700 after."""
STATED = ("basis", "kept", "mean", "prior", "scale", "shift")
"""The tensors that a statement may say something else in than everybody's codebook."""
MOST_FRAMES = 7_500
"""Frames (two minutes) beyond which a statement weighs no more, however much speech it claims."""
LIMITS = {"mean": 12_800, "shift": 6_400, "scale": 136}
"""Largest magnitudes of a statement: as much as 400 (of `mean` 50) in natural log, which no sound comes near."""
OWN, GROUP = 0.9, 0.7
"""Share of one's own moments in a statement's basis, and of a pool's in its prior's; the rest is everybody's."""
RANKED_BLOCKS = 500
"""Blocks of one's own speech, about a minute, by which statements are ranked."""
_LEAST = 2.0
"""Blocks at which a class counts as much as everybody's: a class that hardly occurs says little of its sizes."""


@dataclass(frozen=True, eq=False)
class Statement:
    """What one voice says: its codebook, and the log-mel frames that went into it."""

    codebook: Codebook
    frames: int

    @cached_property
    def moments(self) -> Moments:
        """The second moments that it stands for."""
        return moments_of(self.codebook)

    def classes(self, base: Codebook) -> Classes:
        """Along the rows of `base`, as statistics of as many blocks as the statement may weigh."""
        likely = self.codebook.odds("prior")
        shift, size = carried(self.codebook, base)
        return Classes(min(self.frames, MOST_FRAMES) / FRAMES * likely / likely.sum(), shift, size)


@dataclass(frozen=True, eq=False)
class Together:
    """The best codebook for a voice, the best one without statements, and which statements are in the first."""

    best: Personal
    alone: Personal
    used: tuple[int, ...]


def stated(known: Codebook, spoken: Bands) -> Statement:
    """What blocks `[blocks, 8, 80]` of one voice say, to whoever has `known`. Raises ValueError without any."""
    if not len(spoken):
        raise ValueError("a statement needs at least one block")
    base = adapted(known, blend([(OWN, Moments.of(spoken)), (1 - OWN, moments_of(known))]), None)
    found = classes_of(base, spoken)
    share = (found.blocks / (found.blocks + _LEAST))[:, None]
    size = 2.0 ** ((base.scale - UNIT) / OCTAVE)
    shift = share * found.shift + (1 - share) * base.shift
    made = tabled(base, shift, np.exp(share * np.log(found.size) + (1 - share) * np.log(size)), found.blocks)
    return Statement(made, len(spoken) * FRAMES)


def to_bytes(statement: Statement, known: Codebook) -> bytes:
    """A statement for somebody who has `known`; docs/protocol.md, section 11, says how it lies."""
    return pack(statement.codebook, known)


def from_bytes(data: bytes, frames: int, known: Codebook) -> Statement:
    """The statement in bytes from anybody. Raises ModelDamaged; holds and inflates a bounded amount, whatever came."""
    if len(data) > LARGEST:
        raise _refused(f"it has {len(data)} bytes, and {LARGEST} is the most")
    made = unpack(data, known)
    for name in sorted(set(known.tensors) - set(STATED)):
        if not np.array_equal(made.tensors[name], known.tensors[name]):
            raise _refused(f"it changes {name}, which is everybody's")
    for name, most in LIMITS.items():
        if np.abs(made.tensors[name].astype(np.int64)).max() > most:
            raise _refused(f"its {name} speaks of sounds beyond full scale")
    return Statement(made, frames)


def pool(known: Codebook, statements: Sequence[Statement]) -> Codebook:
    """A codebook for whom the statements are alike: their mean moments, with some of `known`'s, give the basis, and its
    classes are moved toward the mean of what is stated of them, the further, the more speech is behind it.

    The order of statements does not matter. Raises ValueError for none.
    """
    if not statements:
        raise ValueError("there is nothing to pool")
    ordered = sorted(statements, key=lambda one: (one.codebook.digest, one.frames))
    moments = blend([(1.0, one.moments) for one in ordered])
    base = adapted(known, blend([(GROUP, moments), (1 - GROUP, moments_of(known))]), None)
    return moved(base, pooled([one.classes(base) for one in ordered]))


def learnt_together(
    known: Codebook,
    statements: Sequence[Statement],
    utterances: Sequence[LogMel],
    held_out: Sequence[LogMel],
    step: int = 76,
) -> Together:
    """The codebook for a voice whose owner has everybody's codebook and some statements, whoever made them.

    Statements are ranked by what each alone makes of one's own speech; the best, the best two, three, four, six ...,
    those that serve it better than `known`, and all of them are pooled, and each pool is a prior that held-out speech
    may take. So a statement that serves the owner ill stands at the end, and a pool that held-out speech does not like
    is not used: nobody's say changes that.
    `utterances` and `held_out` are log-mel spectra `[T, 80]` of the owner.
    """
    alone = best = personal([known], utterances, held_out, step)
    used: tuple[int, ...] = ()
    judged = bands_of([*utterances, *held_out])
    judged = judged[:: -(-len(judged) // RANKED_BLOCKS)]
    alike = [cost(pool(known, [one]), judged, step) for one in statements]
    ranked = tuple(int(number) for number in np.argsort(alike, kind="stable"))
    serving = int(np.sum(np.array(alike) < cost(known, judged, step)))
    for count in _counts(len(ranked), serving):
        chosen = ranked[:count]
        made = personal([pool(known, [statements[number] for number in chosen])], utterances, held_out, step)
        if made.cost < best.cost:
            best, used = replace(made, prior=1, prior_cost=alone.prior_cost), tuple(sorted(chosen))
    return Together(best, alone, used)


def _counts(most: int, serving: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, 16, 24 ... below `most`, how many serve the owner each by itself, and `most`."""
    steps = {half * 2**power // 2 for power in range(most.bit_length() + 1) for half in (2, 3)}
    return sorted(count for count in steps | {serving, most} if 0 < count <= most)


def _refused(why: str) -> ModelDamaged:
    return ModelDamaged(f"This statement of a voice cannot be used: {why}.", "Its sender has a defect, or means harm.")
