"""What travels is less, and arrives as it was."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.method import Inbox
from ml.federated.simulation.parcel import pack, unpack
from ml.federated.simulation.work import Turn
from tests.fakes import read_only


def turn(people: int, heard: int, crowd: int, seed: int, mean: bool = False) -> Turn:
    rng = np.random.default_rng(seed)
    published = rng.normal(size=(crowd, 5)).astype(np.float32)
    published[0, 0] = np.nan
    senders = rng.integers(-1, crowd, (people, heard))
    present = senders >= 0
    stack = np.where(present[:, :, None], published[senders], np.float32(0))
    if mean:
        senders, present = np.full((people, heard), -1), rng.random((people, heard)) < 0.8
        stack = np.where(present[:, :, None], rng.normal(size=(people, heard, 5)), 0).astype(np.float32)
    inbox = Inbox(stack, present, senders, np.where(present, 7, 0), rng.random((people, heard)) * present)
    who = np.arange(people)
    state = {"weights": rng.normal(size=(people, 5)).astype(np.float32), "accepted": who}
    return Turn(3, 9, who, state, inbox, stack[:, :1].sum(axis=1), who % 2 == 0, True, (0,), measure=True)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(0, 5), st.integers(1, 6), st.integers(0, 10**6), st.booleans())
def test_a_turn_arrives_as_it_was(people: int, heard: int, crowd: int, seed: int, mean: bool) -> None:
    sent = turn(people, heard, crowd, seed, mean)
    parcel = read_only(pack(sent))
    came = unpack(parcel)
    for name in ("stack", "present", "sender", "frames", "age"):
        before, after = getattr(sent.inbox, name), getattr(came.inbox, name)
        assert before.dtype == after.dtype
        assert before.tobytes() == after.tobytes()
        assert after.flags.writeable
    assert came.before.tobytes() == sent.before.tobytes()
    assert came.known.tolist() == sent.known.tolist()
    assert {name: array.tobytes() for name, array in came.state.items()} == {
        name: array.tobytes() for name, array in sent.state.items()
    }
    assert all(array.flags.writeable for array in (came.before, came.known, came.who, *came.state.values()))
    assert (came.number, came.seed, came.honest, came.weighed, came.measure) == (3, 9, True, (0,), True)


def test_a_model_that_many_hear_travels_once() -> None:
    some = turn(6, 5, 3, 0)
    assert len(pack(some).models) == 3
    assert pack(some).turn.inbox.stack.size == 0


def test_means_of_others_are_everybodys_own() -> None:
    some = turn(6, 1, 3, 0, mean=True)
    assert len(pack(some).models) == some.inbox.present.sum() > 1
