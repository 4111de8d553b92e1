from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from ml.audio.logmel import LogMel
from ml.voice.genesis import genesis
from ml.voice.training import EpochFacts, Trained, TrainOptions, split
from ml.weights import digest
from node.config import MODELS, TrainSettings
from node.errors import BadRequest
from node.frames import FrameShelf
from node.learner import GATE_FRAMES, RATES, Plan, VoiceLearner, options_of

START = genesis()


def speech(seed: int, seconds: float) -> LogMel:
    """What is a little like speech to the model: a walk through its latents, with one ripple that it can learn."""
    rng = np.random.default_rng(seed)
    count = round(seconds * 62.5)
    walk = np.cumsum(rng.normal(size=(count, 32)), axis=0) * 0.1 + rng.normal(size=32)
    latents = (walk - walk.mean(axis=0)).astype(np.float32)
    ripple = 0.5 * np.sin(2.9 * np.arange(80)) + 0.1 * rng.normal(size=(count, 80))
    return (START.autoencoder.decode(START.weights, latents) + ripple).astype(np.float32)


def learner(folder: Path, spoken: dict[str, list[float]], voice: str | None = None) -> VoiceLearner:
    shelf = FrameShelf(folder)
    for number, (name, lengths) in enumerate(spoken.items()):
        shelf.add(name, [speech(100 * number + place, seconds) for place, seconds in enumerate(lengths)])
    return VoiceLearner(shelf, START, TrainOptions(epochs=2), voice)


def test_each_shipped_model_learns_at_a_rate_of_its_own() -> None:
    for model in MODELS:
        options = options_of(TrainSettings(model=model, method="mix", batch=32))
        assert (options.rate, options.epochs, options.pull, options.batch) == (RATES[model], 5, 25.0, 32)
    assert options_of(TrainSettings()).rate == TrainOptions().rate


def test_everybody_begins_with_the_shipped_weights(tmp_path: Path) -> None:
    made = learner(tmp_path, {})
    assert made.genesis == digest(made.origin) == START.digest
    made.layout.check(made.origin)


@pytest.mark.parametrize(
    ("spoken", "voice", "said"),
    [
        ({}, None, "node voice add me"),
        ({"me": [20.0]}, None, "in 1 utterance;"),
        ({"me": [1.0, 1.0]}, None, "2.0 s of speech"),
        ({"me": [4.0, 4.0], "you": [4.0, 4.0]}, None, '[train] voice = "..."'),
        ({"me": [4.0, 4.0]}, "you", "The voice you has no speech here"),
    ],
)
async def test_what_is_missing_is_said_with_the_remedy(
    tmp_path: Path, spoken: dict[str, list[float]], voice: str | None, said: str
) -> None:
    made = learner(tmp_path, spoken, voice)
    assert said in made.listen().lack
    with pytest.raises(BadRequest) as error:
        await made.train(made.origin, Plan(0), lambda facts: None)
    assert said in error.value.remedy


def test_the_named_voice_is_learnt_from(tmp_path: Path) -> None:
    heard = learner(tmp_path, {"me": [4.0, 4.0], "you": [3.0, 3.0, 3.0]}, "you").listen()
    assert (heard.voice, heard.utterances, heard.lack) == ("you", 3, "")
    assert heard.seconds == pytest.approx(9.0, abs=0.1)


def test_speech_that_comes_later_is_noticed(tmp_path: Path) -> None:
    made = learner(tmp_path, {"me": [2.0]})
    assert made.listen().lack
    FrameShelf(tmp_path).add("me", [speech(7, 5.0), speech(8, 2.0)])
    assert (made.listen().utterances, made.listen().lack) == (3, "")


def test_other_speech_of_the_same_length_is_noticed(tmp_path: Path) -> None:
    made = learner(tmp_path, {"me": [4.0, 4.0, 4.0]})
    before = made.listen()
    with FrameShelf(tmp_path).adding("me", [speech(50 + n, 4.0) for n in range(3)], instead=True):
        pass
    assert made.listen() == before
    assert made._split is not None
    here = FrameShelf(tmp_path).utterances("me")
    for learnt in (*made._split.train, *made._split.held_out):
        assert any(np.array_equal(learnt, spoken) for spoken in here), "what was deleted is not learnt from"


async def test_it_trains_on_the_owners_speech_and_tells_every_epoch(tmp_path: Path) -> None:
    made = learner(tmp_path, {"me": [4.0] * 6})
    told: list[EpochFacts] = []
    trained = await made.train(made.origin, Plan(seed=1, epochs=3), told.append)
    await asyncio.sleep(0)
    assert [facts.epoch for facts in told] == [1, 2, 3], "the plan's epochs, not the settings'"
    assert trained.after.mse < trained.before.mse
    assert await made.score(trained.weights) == trained.after
    assert await made.score(made.origin) == trained.before


async def test_a_plan_may_pull_elsewhere_and_train_on_what_is_held_out_too(tmp_path: Path) -> None:
    made = learner(tmp_path, {"me": [4.0] * 6})
    far = {name: tensor + np.float32(0.1) for name, tensor in made.origin.items()}

    async def last(plan: Plan) -> Trained:
        return await made.train(made.origin, plan, lambda facts: None)

    usual, pulled, entire = [await last(plan) for plan in (Plan(1), Plan(1, towards=far), Plan(1, whole=True))]

    def way(trained: Trained) -> float:
        return sum(float(np.abs(trained.last[name] - far[name]).sum()) for name in far)

    assert way(pulled) < way(usual)
    assert entire.frames > usual.frames
    assert entire.frames == sum(map(len, FrameShelf(tmp_path).utterances("me")))


async def test_two_seeds_are_two_trainings_and_one_seed_is_one(tmp_path: Path) -> None:
    made = learner(tmp_path, {"me": [4.0] * 4})
    one, again, other = [await made.train(made.origin, Plan(seed), lambda facts: None) for seed in (1, 1, 2)]
    assert digest(one.last) == digest(again.last) != digest(other.last)


async def test_the_gate_judges_by_held_out_speech_alone_and_by_a_minute_at_most(tmp_path: Path) -> None:
    made = learner(tmp_path, {"me": [50.0] * 8})
    assert not made.listen().lack
    held_out = split(FrameShelf(tmp_path).utterances("me")).held_out
    frames = np.concatenate(held_out)[:GATE_FRAMES]
    wanted = float(np.mean(np.square(START.autoencoder.reconstruct(made.origin, frames) - frames)))
    assert made.loss()(made.origin) == pytest.approx(wanted, rel=1e-5)


async def test_hostile_weights_have_a_loss_that_is_no_number_and_raise_nothing(tmp_path: Path) -> None:
    made = learner(tmp_path, {"me": [4.0] * 3})
    made.listen()
    huge = {name: np.full_like(tensor, 1e30) for name, tensor in made.origin.items()}
    assert not np.isfinite(made.loss()(huge))


async def test_it_stops_soon_when_it_is_told_to(tmp_path: Path) -> None:
    made = learner(tmp_path, {"me": [30.0] * 6})
    training = asyncio.ensure_future(made.train(made.origin, Plan(seed=1, epochs=1000), lambda facts: None))
    await asyncio.sleep(0.5)
    made.stop()
    trained = await asyncio.wait_for(training, 10)
    assert trained.stopped


async def test_work_runs_off_the_event_loop(tmp_path: Path) -> None:
    import threading

    made = learner(tmp_path, {})
    assert await made.work(threading.get_ident) != threading.get_ident()


async def test_speech_that_comes_in_the_middle_of_a_round_does_not_change_what_it_is_judged_by(tmp_path: Path) -> None:
    made = learner(tmp_path, {"me": [4.0] * 4})
    assert not made.listen().lack
    before, loss = await made.score(made.origin), made.loss()(made.origin)
    FrameShelf(tmp_path).add("me", [speech(70 + number, 6.0) for number in range(6)])
    trained = await made.train(made.origin, Plan(seed=1), lambda facts: None)
    assert trained.before == before == await made.score(made.origin)
    assert made.loss()(made.origin) == loss
    assert not made.listen().lack
    assert await made.score(made.origin) != before


def test_a_voice_that_is_removed_while_it_is_read_is_speech_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = learner(tmp_path, {"me": [4.0] * 3})

    def gone(self: FrameShelf, voice: str) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    with monkeypatch.context() as patched:
        patched.setattr(FrameShelf, "utterances", gone)
        assert "No such file" in made.listen().lack
    assert made.listen().lack == ""
