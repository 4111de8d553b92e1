"""Keys say what a result depends on."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml.speech.items import Fit, SpeechClosed, Utterance
from ml.types import Audio


def heard(samples: np.ndarray, room: float = 2.0) -> Utterance:
    return Utterance.heard(SpeechClosed(0, 0.0, 1.0, Audio(samples.astype(np.float32))), room)


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=50), st.text(max_size=20), st.text(max_size=20))
def test_equal_sound_and_stages_give_equal_keys(samples: list[float], one: str, other: str):
    first, second = heard(np.array(samples)), heard(np.array(samples))
    assert first.key == second.key
    assert first.extended_key(one) == second.extended_key(one)
    assert (first.extended_key(one) == first.extended_key(other)) == (one == other)
    assert first.with_key("x").key == "x"


def test_a_dub_always_has_at_least_the_originals_room():
    assert heard(np.zeros(3), room=0.2).room == 1.0


def test_spill_is_what_goes_beyond_the_slot():
    assert Fit("into the pause", 2.0, 1.5, 1.2, 2.0, 1.25).spill == 1.5 - 1.2
    assert Fit("slower", 1.0, 1.1, 1.2, 2.0, 0.9).spill == 0.0
