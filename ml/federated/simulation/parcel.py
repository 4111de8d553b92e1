"""What a chunk of people has at the beginning of a round, small enough to travel: every received model only once.

Neighbours on a ring hear nearly the same people, and where everybody hears everybody all hear all: 16 people's inboxes
on a ring of three hold 18 models, not 48. What comes out at the other end is what went in, bit for bit, in memory of
its own. Knows nothing of how it travels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ml.federated.cohort import Stack
from ml.federated.method import Inbox
from ml.federated.simulation.work import Turn


@dataclass(frozen=True)
class Parcel:
    """A turn whose inbox has an empty stack, and the models that were in it."""

    turn: Turn
    models: Stack
    """`[M, parameters]`"""
    place: npt.NDArray[np.int64]
    """`[P, K]`: which of the models; means something where one is present."""


def pack(turn: Turn) -> Parcel:
    """What travels."""
    inbox = turn.inbox
    there = np.flatnonzero(inbox.present)
    sender = inbox.sender.ravel()[there]
    # a sender below 0 is nobody in particular: each of its models is another one
    keys = np.where(sender >= 0, sender, -1 - there)
    _, first, at = np.unique(keys, return_index=True, return_inverse=True)
    place = np.zeros(inbox.present.shape, np.int64)
    place.ravel()[there] = at
    models = inbox.stack.reshape(-1, inbox.stack.shape[-1])[there[first]]
    return Parcel(replace(turn, inbox=replace(inbox, stack=inbox.stack[:0])), models, place)


def unpack(parcel: Parcel) -> Turn:
    """The turn; nothing in it is shared with the parcel, whose arrays may be read-only."""
    turn = parcel.turn
    present = turn.inbox.present.copy()
    stack = np.zeros((*present.shape, parcel.models.shape[-1]), np.float32)
    stack[present] = parcel.models[parcel.place[present]]
    inbox = Inbox(stack, present, turn.inbox.sender.copy(), turn.inbox.frames.copy(), turn.inbox.age.copy())
    return replace(
        turn,
        who=turn.who.copy(),
        state={name: array.copy() for name, array in turn.state.items()},
        inbox=inbox,
        before=turn.before.copy(),
        known=turn.known.copy(),
    )
