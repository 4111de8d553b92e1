"""Made people are the same whenever they are made, differ from each other, and are never tested on what they learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.logmel import MELS, log_mel
from ml.audio.read import read
from ml.federated.cohort import Cohort
from ml.federated.crowd import PARTS, Crowd, Part
from ml.federated.imagined import (
    STEP,
    UTTERANCE,
    Imagined,
    ImaginedOptions,
    imagined,
    packed,
    shipped_voices,
    unpacked,
)
from ml.voice.genesis import genesis
from ml.voice.training import TrainOptions


def test_the_shipped_voices_are_the_shipped_recordings(repository: Path) -> None:
    voices = [log_mel(read(repository / "examples" / "audio" / name).samples) for name in ("demo.flac", "lj.flac")]
    for (shipped,), voice in zip(shipped_voices(), voices, strict=True):
        assert np.abs(shipped - voice).max() <= STEP / 2 + 1e-3
        assert shipped.dtype == np.float32
    assert np.array_equal(unpacked(packed(voices))[1][0], shipped_voices()[1][0])


@given(st.integers(0, 2**32), st.integers(1, 50), st.data(), st.sampled_from(PARTS))
@settings(deadline=None, max_examples=20)
def test_anybody_is_made_alone_and_always_alike(seed: int, count: int, data: st.DataObject, part: Part) -> None:
    crowd, larger = imagined(None, count, seed), imagined(None, count + 7, seed)
    at = data.draw(st.integers(0, count - 1))
    spoken = crowd.utterances(part, at)
    assert [len(one) for one in spoken] == [size for size in crowd.lengths(part)[at].tolist() if size]
    for one, same in zip(spoken, larger.utterances(part, at), strict=True):
        assert one.shape[1] == MELS
        assert one.dtype == np.float32
        assert np.isfinite(one).all()
        assert np.array_equal(one, same)
    assert crowd.traits(at) == larger.traits(at)
    assert 0.85 <= crowd.traits(at).stretch <= 1 / 0.85


def test_a_crowd_is_a_sequence_of_people() -> None:
    crowd = imagined(None, 3, options=ImaginedOptions(seconds=10, spread=0, groups=2))
    assert isinstance(crowd, Crowd)
    assert len(list(crowd)) == 3
    person = crowd[2]
    assert person.name == "made 2"
    assert [len(one) for one in person.speech.train] == [UTTERANCE] * 7
    assert [len(one) for one in person.test] == [UTTERANCE] * 2
    with pytest.raises(IndexError):
        crowd[3]


def test_parts_share_no_frame_of_the_recordings() -> None:
    voice = np.repeat(np.linspace(-9, 0, 900, dtype=np.float32)[:, None], MELS, axis=1)
    still = ImaginedOptions(seconds=60, spread=0)
    crowd = Imagined([[voice]], 40, options=still)
    at = next(at for at in range(40) if crowd.traits(at).limits[0] == 0)
    loud = [np.concatenate(crowd.utterances(part, at)).mean(axis=1) for part in PARTS]
    assert loud[1].min() > loud[0].max() - 0.05
    assert loud[2].min() > loud[1].max() - 0.05


def test_people_differ_as_their_traits_say() -> None:
    crowd = imagined(None, 300, options=ImaginedOptions(spread=0))
    traits = [crowd.traits(at) for at in range(300)]
    assert {one.group for one in traits} == {0, 1, 2, 3}
    assert {one.voice for one in traits} == {0, 1}
    by_group = [[one.stretch for one in traits if one.group == group] for group in range(4)]
    within = np.mean([np.std(one) for one in by_group])
    assert np.std([one.stretch for one in traits]) > 1.2 * within
    narrow = next(at for at, one in enumerate(traits) if one.limits == (300.0, 3400.0) and one.noise > 40)
    wide = next(at for at, one in enumerate(traits) if one.limits[0] == 0 and one.noise > 40)
    top = [np.concatenate(crowd.utterances("train", at))[:, -10:].mean() for at in (narrow, wide)]
    assert top[0] < top[1] - 1


def test_learning_pays_on_speech_that_was_not_learnt() -> None:
    cohort = Cohort(genesis().autoencoder, imagined(None, 12))
    start = cohort.stack(genesis().weights)
    learnt = cohort.train(start, range(12), TrainOptions(epochs=3))
    before, after = (cohort.errors(stack, range(12), "test") for stack in (start, learnt.best))
    assert after.mean() < 0.97 * before.mean()


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="real voices"):
        Imagined([], 3)
    with pytest.raises(ValueError, match="real voices"):
        Imagined([[np.zeros((50, MELS), np.float32)]], 3)
    with pytest.raises(ValueError, match="no sense"):
        imagined(None, 0)
    with pytest.raises(ValueError, match="no sense"):
        imagined(None, 3, options=ImaginedOptions(seconds=-1))
