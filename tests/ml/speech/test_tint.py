"""The voice is matched, measured, and left alone when that is asked."""

import numpy as np

from ml.speech.items import Utterance
from ml.speech.tint import AsSpoken, Tint
from ml.types import Audio, Speech
from tests.fakes import HalfMatcher, tone


def spoken() -> Utterance:
    speech = Speech(Audio(tone(1.0, 200.0)), "x", "es", "tone")
    return Utterance(0, 0, 1, 1, Audio(tone(1.0, 100.0)), "k", speech=speech)


def test_likeness_is_measured_before_and_after():
    done = Tint(HalfMatcher()).fill(spoken())
    assert abs(done.likeness.f0_source - 100) < 2
    assert abs(done.likeness.f0_before - 200) < 4
    assert abs(done.likeness.f0_after - 200) < 4
    assert done.likeness.similarity_after == done.likeness.similarity_before / 2


def test_as_spoken_changes_nothing():
    done = Tint(AsSpoken()).fill(spoken())
    np.testing.assert_array_equal(done.dub.audio.samples, done.speech.audio.samples)
    assert done.likeness.similarity_after is None


def test_silence_stays_silent():
    assert Tint(HalfMatcher()).fill(Utterance(0, 0, 1, 1, Audio(tone(1.0)), "k")).dub is None
