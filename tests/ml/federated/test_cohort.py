"""A cohort trains everybody as each would train alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.logmel import LogMel
from ml.device import best_device
from ml.federated.cohort import Cohort, CohortOptions, Learnt, Person
from ml.federated.crowd import PARTS
from ml.voice.genesis import genesis
from ml.voice.measures import score
from ml.voice.stacked import flat, named
from ml.voice.training import Split, TrainOptions, split, train, whole


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


def same(one: Learnt, other: Learnt) -> bool:
    """To the last bit."""
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("last", "best", "error"))


@pytest.mark.parametrize(("chunk", "threads"), [(1, 1), (3, 1), (2, 2)])
def test_how_the_work_is_cut_changes_no_bit(chunk: int, threads: int) -> None:
    one, other, options = cohort(), cohort(chunk=chunk, threads=threads), TrainOptions(epochs=1)
    first = one.train(one.stack(genesis().weights), range(3), options)
    assert same(first, other.train(other.stack(genesis().weights), range(3), options))
    for part in PARTS:
        assert np.array_equal(one.errors(first.last, range(3), part), other.errors(first.last, range(3), part))


@st.composite
def crowds(draw: st.DrawFn) -> list[Person]:
    """People of any amounts of speech, some with nothing held out."""
    sizes = st.tuples(st.integers(1, 200), st.integers(0, 150))
    return [
        Person(f"person {at}", "any", Split((speech(one, at),), (speech(held_out, 50 + at),) if held_out else ()))
        for at, (one, held_out) in enumerate(draw(st.lists(sizes, min_size=2, max_size=6)))
    ]


@given(crowds(), st.integers(2, 6), st.integers(1, 2), st.sampled_from([0.0, 25.0]), st.sampled_from([1.0, 0.1]))
@settings(deadline=None, max_examples=25)
def test_nobody_feels_who_else_is_there(
    everybody: list[Person], chunk: int, threads: int, pull: float, clip: float
) -> None:
    together = Cohort(genesis().autoencoder, everybody, CohortOptions(chunk, threads))
    options = TrainOptions(epochs=2, batch=32, rate=1e-3, pull=pull, clip=clip)
    learnt = together.train(together.stack(genesis().weights), range(len(everybody)), options)
    errors = together.errors(learnt.last, range(len(everybody)), "train")
    for at, person in enumerate(everybody):
        alone = Cohort(genesis().autoencoder, [person], CohortOptions(1))
        assert same(
            Learnt(learnt.last[[at]], learnt.best[[at]], learnt.error[[at]]),
            alone.train(alone.stack(genesis().weights), [0], options),
        )
        assert alone.errors(learnt.last[[at]], [0], "train") == errors[at]


@pytest.mark.gpu
def test_an_accelerator_learns_the_same() -> None:
    if best_device() == "cpu":
        pytest.skip("needs an accelerator")
    here, there = cohort(), Cohort(genesis().autoencoder, people(3), CohortOptions(device=best_device()))
    options = TrainOptions(epochs=2)
    one = here.train(here.stack(genesis().weights), range(3), options)
    other = there.train(there.stack(genesis().weights), range(3), options)
    assert np.allclose(one.last, other.last, atol=1e-4)
    assert np.allclose(one.error, other.error, rtol=1e-4)


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


@pytest.mark.parametrize("pull", [1.0, 400.0])
def test_everybody_is_pulled_where_they_would_be_alone(pull: float) -> None:
    together, options = cohort(), TrainOptions(epochs=1, seed=3, pull=pull)
    start = together.stack(genesis().weights)
    towards = start + np.float32(0.01) * np.random.default_rng(1).normal(size=start.shape).astype(np.float32)
    learnt = together.train(start, range(3), options, towards).last
    for at, person in enumerate(together.people):
        centre = named(towards[at], together.layout)
        alone = train(genesis().autoencoder, genesis().weights, person.speech, options, towards=centre)
        assert np.allclose(learnt[at], flat(alone.last, together.layout), atol=1e-5)
    assert not np.allclose(learnt, together.train(start, range(3), options).last, atol=1e-5)


def test_with_nothing_held_out_everybody_learns_from_all_of_it() -> None:
    some, options = cohort(), TrainOptions(epochs=1)
    learnt = some.whole.train(some.stack(genesis().weights), range(3), options).last
    assert some.whole is some.whole, "it is made once"
    assert np.array_equal(some.whole.frames(), some.frames("train") + some.frames("held_out"))
    assert not some.whole.frames("held_out").any()
    for at, person in enumerate(some.people):
        alone = train(genesis().autoencoder, genesis().weights, whole(person.speech), options)
        assert np.allclose(learnt[at], flat(alone.last, some.layout), atol=1e-5)


def test_who_has_not_spoken_cannot_train() -> None:
    with pytest.raises(ValueError, match="Ann"):
        Cohort(genesis().autoencoder, [Person("Ann", "any", Split((), ()))])


def test_without_test_speech_there_is_no_test_error() -> None:
    person = people(1)[0]
    some = Cohort(genesis().autoencoder, [Person("Ann", "any", person.speech)])
    assert np.isnan(some.errors(some.stack(genesis().weights), [0], "test")).all()
    assert named(some.stack(genesis().weights)[0], some.layout).keys() == genesis().weights.keys()


def test_the_last_weights_alone_are_those_of_a_training_that_was_judged() -> None:
    some = cohort(4)
    start, centre, options = some.stack(genesis().weights), some.stack(genesis().weights) * 0.9, TrainOptions(epochs=2)
    for each in (some, some.whole):
        for towards in (None, centre):
            last = each.train(start, range(4), options, towards).last
            assert np.array_equal(each.train_last(start, range(4), options, towards), last)


def test_the_errors_of_one_model_are_those_of_everybody_having_it(monkeypatch: pytest.MonkeyPatch) -> None:
    some, first = cohort(4), flat(genesis().weights, genesis().autoencoder.layout)
    other, who = first * np.float32(0.99), [2, 0, 2]
    expected = {part: some.errors(np.repeat(first[None], 3, axis=0), who, part) for part in PARTS}
    differs = some.errors(np.repeat(other[None], 3, axis=0), who)
    for part in PARTS:
        assert np.array_equal(some.errors_of(first, who, part), expected[part])
    assert np.array_equal(some.errors_of(other, who), differs)
    monkeypatch.setattr(some, "errors", None)  # what is known is not computed again
    assert np.array_equal(some.errors_of(first, who), expected["held_out"])
