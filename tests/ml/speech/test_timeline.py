"""What sounds when: dubs at their place, silence or the ducked original around them."""

import numpy as np
import pytest

from ml.speech.items import Utterance
from ml.speech.timeline import DUCK_DB, Overlap, Timeline
from ml.types import Audio, Speech
from tests.fakes import tone


def utterance(index: int, start: float, end: float, room: float, dub: float | None) -> Utterance:
    speech = Speech(Audio(np.full(round(dub * 16000), 0.5, np.float32)), "x", "es", "tone") if dub is not None else None
    return Utterance(index, start, end, room, Audio(tone(end - start)), "k", dub=speech)


def lay(timeline: Timeline, utterances: list[Utterance], seconds: float) -> np.ndarray:
    blocks = [block for u in utterances for block in timeline.place(u)]
    return np.concatenate([*blocks, *timeline.finish(seconds)])


def test_dubs_lie_at_their_place_and_the_length_is_the_inputs():
    out = lay(Timeline(), [utterance(0, 1.0, 2.0, 3.0, 1.5), utterance(1, 3.0, 4.0, 4.0, 0.5)], 5.0)
    assert len(out) == 80000
    loud = np.abs(out) > 0.1
    expected = np.zeros(80000, bool)
    expected[16000:40000] = True
    expected[48000:56000] = True
    np.testing.assert_array_equal(loud, expected)


def test_an_utterance_without_dub_is_silence():
    assert not lay(Timeline(), [utterance(0, 1.0, 2.0, 3.0, None)], 3.0).any()


def test_overlapping_dubs_are_refused():
    timeline = Timeline()
    list(timeline.place(utterance(0, 1.0, 2.0, 2.0, 1.5)))
    with pytest.raises(Overlap):
        list(timeline.place(utterance(1, 2.0, 3.0, 3.0, 0.5)))


def test_the_original_is_kept_and_goes_down_under_the_dub():
    background = iter(np.full((10, 8000), 0.25, np.float32))
    out = lay(Timeline(background), [utterance(0, 1.0, 2.0, 3.0, 0.5)], 5.0)
    assert len(out) == 80000
    assert np.allclose(out[:16000], 0.25)
    ducked = 0.25 * 10 ** (DUCK_DB / 20)
    assert np.allclose(out[17000:24000], 0.5 + ducked, atol=1e-4)
    assert np.allclose(out[24000:32000], ducked, atol=1e-4)
    assert np.allclose(out[33000:], 0.25)


def test_the_levels_move_without_steps():
    background = iter(np.full((10, 8000), 0.25, np.float32))
    silent = utterance(0, 1.0, 2.0, 3.0, 0.5)
    quiet = Speech(Audio(np.zeros(8000, np.float32)), "x", "es", "tone")
    out = lay(Timeline(background), [Utterance(0, 1.0, 2.0, 3.0, silent.audio, "k", dub=quiet)], 5.0)
    assert np.abs(np.diff(out)).max() < 0.001


def test_a_background_that_ends_early_is_followed_by_silence():
    out = lay(Timeline(iter([np.ones(8000, np.float32)])), [], 2.0)
    assert out[:8000].all()
    assert not out[8000:].any()
    assert len(out) == 32000
