"""A cohort trains everybody as each would train alone."""

from __future__ import annotations

import numpy as np
import pytest

from ml.audio.logmel import LogMel
from ml.federated.cohort import Cohort, CohortOptions, Person
from ml.voice.genesis import genesis
from ml.voice.measures import score
from ml.voice.stacked import flat, named
from ml.voice.training import Split, TrainOptions, split, train


def speech(frames: int, seed: int) -> LogMel:
    """What genesis makes of random latents, and noise that it cannot know."""
    rng = np.random.default_rng(seed)
    spoken = genesis().autoencoder.decode(genesis().weights, rng.normal(0, 1, (frames, 32)).astype(np.float32))
    return spoken + rng.normal(0, 0.3, (frames, 80)).astype(np.float32)


def people(count: int) -> list[Person]:
    """Each with more speech than the one before."""
    return [
        Person(
            f"person {at}",
            "any",
            split([speech(60 + 20 * at + 7 * take, 100 * at + take) for take in range(5)]),
            (speech(50, 99 + at),),
        )
        for at in range(count)
    ]


def cohort(count: int = 3, chunk: int = 2, threads: int = 1) -> Cohort:
    return Cohort(genesis().autoencoder, people(count), CohortOptions(chunk, threads))


def test_everybody_learns_what_they_would_alone() -> None:
    together, options = cohort(), TrainOptions(epochs=2, seed=3)
    learnt = together.train(together.stack(genesis().weights), range(3), options)
    for at, person in enumerate(together.people):
        alone = train(genesis().autoencoder, genesis().weights, person.speech, options)
        assert np.allclose(learnt.last[at], flat(alone.last, together.layout), atol=1e-5)
        assert np.allclose(learnt.best[at], flat(alone.weights, together.layout), atol=1e-5)
        assert learnt.error[at] == pytest.approx(alone.after.mse, rel=1e-5)


@pytest.mark.parametrize(("chunk", "threads"), [(1, 1), (3, 1), (2, 2)])
def test_how_the_work_is_cut_changes_no_bit(chunk: int, threads: int) -> None:
    one, other, options = cohort(), cohort(chunk=chunk, threads=threads), TrainOptions(epochs=1)
    first = one.train(one.stack(genesis().weights), range(3), options)
    second = other.train(other.stack(genesis().weights), range(3), options)
    assert np.array_equal(first.last, second.last)
    assert np.array_equal(first.best, second.best)
    assert np.allclose(first.error, second.error, rtol=1e-6)


def test_errors_are_the_scores_of_the_single_models() -> None:
    some = cohort()
    who = [2, 0, 2]
    found = some.errors(some.stack(genesis().weights, 3), who, "test")
    for value, at in zip(found, who, strict=True):
        assert value == pytest.approx(
            score(genesis().autoencoder, genesis().weights, some.people[at].test).mse, rel=1e-5
        )


def test_only_what_may_change_changes() -> None:
    some = cohort(2)
    only = np.zeros(some.layout.parameters, bool)
    only[:100] = True
    start = some.stack(genesis().weights)
    learnt = some.train(start, range(2), TrainOptions(epochs=1), only=only)
    assert np.array_equal(learnt.last[:, 100:], start[:, 100:])
    assert (learnt.last[:, :100] != start[:, :100]).any(axis=1).all()


def test_a_strong_pull_holds_models_where_it_pulls_to() -> None:
    some = cohort(2)
    start = some.stack(genesis().weights)
    towards = start + np.float32(0.05)
    free = some.train(start, range(2), TrainOptions(epochs=2, pull=0), towards=towards)
    held = some.train(start, range(2), TrainOptions(epochs=2, pull=1e4), towards=towards)
    assert (np.abs(held.last - towards).sum(axis=1) < np.abs(free.last - towards).sum(axis=1)).all()


def test_who_has_not_spoken_cannot_train() -> None:
    with pytest.raises(ValueError, match="Ann"):
        Cohort(genesis().autoencoder, [Person("Ann", "any", Split((), ()))])


def test_without_test_speech_there_is_no_test_error() -> None:
    person = people(1)[0]
    some = Cohort(genesis().autoencoder, [Person("Ann", "any", person.speech)])
    assert np.isnan(some.errors(some.stack(genesis().weights), [0], "test")).all()
    assert named(some.stack(genesis().weights)[0], some.layout).keys() == genesis().weights.keys()
