"""A few people with made speech of different lengths, rounds of theirs, and inboxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ml.audio.logmel import LogMel
from ml.federated.cohort import Cohort, CohortOptions, Person
from ml.federated.method import Ground, Inbox, Method, State
from ml.voice.genesis import genesis
from ml.voice.stacked import flat
from ml.voice.training import Split, TrainOptions

Play = Callable[..., tuple[State, np.ndarray]]


@pytest.fixture(scope="session")
def ground() -> Ground:
    """Five people who all speak with one accent that genesis does not know; the last has nothing held out."""
    start = genesis()
    accent = np.random.default_rng(9).normal(0, 0.4, 80).astype(np.float32)

    def said(frames: int, seed: int) -> LogMel:
        rng = np.random.default_rng(seed)
        latents = rng.normal(0, 1, (frames, 32)).astype(np.float32)
        spoken = start.autoencoder.decode(start.weights, latents) + accent
        return spoken + rng.normal(0, 0.2, (frames, 80)).astype(np.float32)

    people = [
        Person(
            f"person {at}",
            "any",
            Split((said(64 + 30 * at, 3 * at),), (said(40, 3 * at + 1),) if at < 4 else ()),
            (said(60, 3 * at + 2),),
        )
        for at in range(5)
    ]
    cohort = Cohort(start.autoencoder, people, CohortOptions(chunk=2))
    return Ground(cohort, flat(start.weights, cohort.layout), TrainOptions(epochs=1, rate=1e-3))


def inbox_of(published: np.ndarray | None, who: Sequence[int], size: int) -> Inbox:
    """Everybody hears everybody else; nothing in the first round."""
    if published is None:
        nothing = np.zeros((len(who), 0))
        return Inbox(
            np.zeros((len(who), 0, size), np.float32),
            nothing.astype(bool),
            nothing.astype(np.int64),
            nothing.astype(np.int64),
            nothing,
        )
    others = np.array([[other for other in range(len(published)) if other != one] for one in who])
    shape = others.shape
    return Inbox(published[others], np.ones(shape, bool), others, np.full(shape, 500), np.zeros(shape))


@pytest.fixture(scope="session")
def play(ground: Ground) -> Play:
    """`(method, rounds, parts, spoil)`: the state after some rounds in which everybody hears everybody, and what they
    published last; computed in `parts` of people; `spoil` changes what was published before it is heard."""

    def run(
        method: Method,
        rounds: int,
        parts: Sequence[Sequence[int]] = (range(5),),
        spoil: Callable[[np.ndarray], np.ndarray] = lambda published: published,
    ) -> tuple[State, np.ndarray]:
        states = [method.begin(ground, list(part)) for part in parts]
        published: np.ndarray | None = None
        for number in range(1, rounds + 1):
            done = [
                method.round(ground, list(part), state, inbox_of(published, part, len(ground.genesis)), number)
                for part, state in zip(parts, states, strict=True)
            ]
            states = [state for state, _ in done]
            published = spoil(np.concatenate([out for _, out in done]))
        assert published is not None
        return {name: np.concatenate([state[name] for state in states]) for name in states[0]}, published

    return run
