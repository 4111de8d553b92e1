"""Some people with a little made speech, and simulations of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ml.audio.logmel import LogMel
from ml.federated.cohort import Cohort, CohortOptions, Person
from ml.federated.method import Ground
from ml.voice.genesis import genesis
from ml.voice.stacked import flat
from ml.voice.training import Split, TrainOptions

MakeGround = Callable[..., Ground]


def said(frames: int, seed: int) -> LogMel:
    """What genesis makes of random latents, and noise that it cannot know."""
    rng = np.random.default_rng(seed)
    start = genesis()
    spoken = start.autoencoder.decode(start.weights, rng.normal(0, 1, (frames, 32)).astype(np.float32))
    return spoken + rng.normal(0, 0.3, (frames, 80)).astype(np.float32)


@pytest.fixture(scope="session")
def make_ground() -> MakeGround:
    """`(people, seed)`: a ground of people who have said a little, each a little more than the one before."""

    def make(count: int, seed: int = 0, threads: int = 1) -> Ground:
        start = genesis()
        people = [
            Person(f"person {at}", "any", Split((said(16 + at % 5, 1000 * seed + at),), (said(8 + at % 3, 500 + at),)))
            for at in range(count)
        ]
        cohort = Cohort(start.autoencoder, people, CohortOptions(threads=threads))
        return Ground(cohort, flat(start.weights, cohort.layout), TrainOptions(epochs=1), seed)

    return make
