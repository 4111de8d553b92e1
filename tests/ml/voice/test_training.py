"""Local training: never to a worse end, from the seed alone, and to be stopped at any batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.audio.logmel import MELS, log_mel
from ml.errors import ModelDamaged
from ml.voice.autoencoder import architecture
from ml.voice.genesis import genesis
from ml.voice.measures import score
from ml.voice.training import Split, TrainOptions, split, train
from ml.weights import digest, norm, subtract

BODY = architecture("res64")


def voice(seed, utterances=6, frames=60):
    """Utterances of a made-up voice: smooth spectra that stay in a space of few dimensions."""
    rng = np.random.default_rng(seed)
    shapes = rng.normal(size=(12, MELS)).cumsum(axis=1)
    shapes /= np.abs(shapes).max(axis=1, keepdims=True)
    return [(rng.normal(size=(frames, 12)) @ shapes - 6).astype(np.float32) for _ in range(utterances)]


@pytest.fixture(scope="module")
def woman_parts(woman):
    whole = log_mel(woman.samples)
    return split([whole[first : first + 60] for first in range(0, len(whole), 60)])


def same(one, other):
    return digest(one) == digest(other)


class TestSplit:
    @given(st.integers(2, 40), st.integers(0, 3))
    def test_nothing_is_lost_and_neither_side_is_empty(self, count, seed):
        spoken = [np.full((2, MELS), seed + n / 64, np.float32) for n in range(count)]
        parts = split(spoken)
        assert parts.train
        assert parts.held_out
        assert sorted(float(one[0, 0]) for one in parts.train + parts.held_out) == [float(one[0, 0]) for one in spoken]

    @given(st.permutations(range(9)))
    def test_the_order_does_not_matter(self, order):
        spoken = voice(1, 9, 4)
        one, other = split(spoken), split([spoken[place] for place in order])
        assert all(np.array_equal(a, b) for a, b in zip(one.train, other.train, strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(one.held_out, other.held_out, strict=True))

    def test_more_speech_moves_no_utterance(self):
        spoken = voice(2, 200, 3)
        few, many = split(spoken[:60]), split(spoken)

        def held(parts):
            return {one.tobytes() for one in parts.held_out}

        assert held(few) <= held(many)
        assert {one.tobytes() for one in few.train}.isdisjoint(held(many))
        assert 0.1 < len(many.held_out) / 200 < 0.27

    def test_one_utterance_is_trained_on_and_twice_the_same_is_one(self):
        spoken = voice(3, 1)
        assert [len(part) for part in split(spoken * 3)] == [1, 0]
        assert split([]) == Split((), ())


class TestTrain:
    def test_it_learns_a_voice_and_tells_what_happened(self, woman_parts):
        told = []
        done = train(BODY, genesis().weights, woman_parts, TrainOptions(epochs=3), told.append)
        assert done.after.mse < done.before.mse
        assert done.after == score(BODY, done.weights, woman_parts.held_out)
        assert done.before == score(BODY, genesis().weights, woman_parts.held_out)
        assert tuple(told) == done.history
        assert [facts.epoch for facts in told] == [1, 2, 3]
        assert done.history[done.best_epoch - 1].rmse_db == pytest.approx(done.after.rmse_db)
        assert min(facts.rmse_db for facts in told) == done.history[done.best_epoch - 1].rmse_db
        assert told[-1].loss < told[0].loss
        assert done.frames == sum(map(len, woman_parts.train))
        assert not done.stopped
        BODY.layout.check(done.weights)

    def test_it_depends_on_nothing_but_its_arguments(self):
        parts = split(voice(4))
        start = BODY.start(np.concatenate(voice(5)))
        kept = digest(start)
        one, again = (train(BODY, start, parts, TrainOptions(epochs=2, seed=7)) for _ in range(2))
        other = train(BODY, start, parts, TrainOptions(epochs=2, seed=8))
        assert same(one.weights, again.weights)
        assert same(one.last, again.last)
        assert not same(one.last, other.last)
        assert digest(start) == kept, "the start is not written to"

    @pytest.mark.parametrize("rate", [1e-4, 1e-2, 1.0, 30.0])
    @pytest.mark.parametrize("seed", [0, 1])
    def test_it_is_never_worse_than_its_start(self, rate, seed):
        parts = split(voice(seed))
        start = BODY.start(np.concatenate(voice(seed + 10)))
        done = train(BODY, start, parts, TrainOptions(epochs=2, rate=rate, seed=seed))
        assert done.after.mse <= done.before.mse
        assert score(BODY, done.weights, parts.held_out).mse == done.after.mse
        if not done.best_epoch:
            assert same(done.weights, start)

    def test_a_rate_that_ruins_the_model_leaves_the_start(self):
        spoken = voice(6)
        done = train(BODY, BODY.start(np.concatenate(spoken)), split(spoken), TrainOptions(epochs=1, rate=30.0))
        assert done.best_epoch == 0
        assert done.after == done.before

    def test_it_stops_before_the_batch_that_it_is_told_to(self):
        parts = split(voice(7))
        asked = []

        def after(count):
            asked.clear()
            return lambda: asked.append(None) or len(asked) > count

        start = BODY.start(np.concatenate(voice(7)))
        at_once = train(BODY, start, parts, TrainOptions(epochs=3), stop=after(0))
        assert at_once.stopped
        assert at_once.history == ()
        assert same(at_once.last, start)
        assert same(at_once.weights, start)
        steps = max(sum(map(len, parts.train)) // 64, 1)
        later = train(BODY, start, parts, TrainOptions(epochs=3), stop=after(steps + 1))
        assert later.stopped
        assert len(later.history) == 1
        assert len(asked) == steps + 2
        assert not same(later.last, later.weights)

    def test_a_pull_keeps_it_near_the_start_and_less_so_with_more_speech(self):
        start, spoken = BODY.start(np.concatenate(voice(9))), tuple(voice(8, 1))

        def moved(times, pull):
            """With all rows in one step, the same speech several times over has the same gradient."""
            options = TrainOptions(epochs=30, batch=10_000, pull=pull)
            return norm(subtract(train(BODY, start, Split(spoken * times, ()), options).last, start))

        free, held, more = moved(1, 0.0), moved(1, 100.0), moved(4, 100.0)
        assert held < 0.7 * free
        assert held < 0.9 * more < 0.9 * free

    def test_fewer_frames_than_a_batch_are_one_batch(self):
        done = train(BODY, genesis().weights, split(voice(9, 2, 5)), TrainOptions(epochs=2))
        assert done.frames == 5
        assert len(done.history) == 2

    def test_with_nothing_held_out_the_training_speech_is_the_judge(self):
        parts = split(voice(9, 1))
        done = train(BODY, genesis().weights, parts, TrainOptions(epochs=1))
        assert done.after == score(BODY, done.weights, parts.train)

    def test_what_makes_no_sense_is_refused(self):
        parts = split(voice(9))
        with pytest.raises(ValueError, match="no speech"):
            train(BODY, genesis().weights, Split((), ()))
        with pytest.raises(ValueError, match="epochs=0"):
            train(BODY, genesis().weights, parts, TrainOptions(epochs=0))
        with pytest.raises(ModelDamaged):
            train(BODY, {"odd": np.zeros(3, np.float32)}, parts)
