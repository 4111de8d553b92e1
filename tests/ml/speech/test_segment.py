"""Chunk sizes must not matter, and no sound may be lost or moved."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.endpoint import Endpointer, EndpointOptions
from ml.speech.items import InputEnded, SpeechClosed, SpeechOpened
from ml.speech.segment import Segmenter, Slots
from ml.speech.stage import chain
from tests.fakes import LevelActivity, silence, tone


def recording(*parts: tuple[float, float]) -> np.ndarray:
    return np.concatenate([np.concatenate([silence(quiet), tone(loud)]) for quiet, loud in parts] + [silence(1.0)])


def segmenter() -> Segmenter:
    return Segmenter(LevelActivity(), Endpointer(EndpointOptions(hangover=0.3)))


def chunked(sound: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    cuts = np.cumsum(sizes)
    return list(np.split(sound, cuts[cuts < len(sound)]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=60))
def test_events_do_not_depend_on_chunk_sizes(sizes: list[int]):
    sound = recording((0.5, 1.2), (0.9, 0.7), (0.4, 2.0))
    whole = list(chain([segmenter()], [sound]))
    parts = list(chain([segmenter()], chunked(sound, sizes)))
    assert len(whole) == len(parts) == 7
    for one, other in zip(whole, parts, strict=True):
        assert type(one) is type(other)
        if isinstance(one, SpeechClosed):
            assert (one.start, one.end) == (other.start, other.end)
            np.testing.assert_array_equal(one.audio.samples, other.audio.samples)
        else:
            assert one == other


def test_utterances_hold_the_very_samples_of_their_place():
    sound = recording((0.5, 1.2), (0.9, 0.7))
    closed = [event for event in chain([segmenter()], chunked(sound, [1000] * 60)) if isinstance(event, SpeechClosed)]
    assert len(closed) == 2
    for event in closed:
        first = round(event.start * 16000)
        np.testing.assert_array_equal(event.audio.samples, sound[first : first + len(event.audio.samples)])
        assert abs(event.end - event.start - event.audio.seconds) < 1e-9
    assert closed[0].start <= 0.5
    assert closed[0].end >= 1.7


def test_a_segmenter_can_be_used_for_a_second_input():
    sound = recording((0.5, 1.2))
    stage = segmenter()
    first = [*stage.process(sound), *stage.flush()]
    second = [*stage.process(sound), *stage.flush()]
    assert [type(event) for event in first] == [SpeechOpened, SpeechClosed, InputEnded]
    assert first[0] == second[0]
    assert first[2] == second[2]


def test_memory_stays_bounded_while_nobody_speaks():
    stage = segmenter()
    for _ in range(200):
        assert list(stage.process(silence(1.0))) == []
    assert len(stage._kept) < 16000


def test_slots_end_where_the_next_utterance_begins_or_the_input_ends():
    sound = recording((0.5, 1.2), (0.9, 0.7))
    stages = [segmenter(), Slots()]
    first, second = chain(stages, [sound])
    opened = [event for event in chain([segmenter()], [sound]) if isinstance(event, SpeechOpened)]
    assert first.room == opened[1].start
    assert abs(second.room - len(sound) / 16000) < 1e-6
    assert first.end <= first.room <= second.start


def test_keys_tell_different_sound_apart():
    stages = [segmenter(), Slots()]
    one, two = (next(iter(list(chain(stages, [recording((0.5, 1.2 + extra))])))) for extra in (0.0, 0.3))
    again = next(iter(list(chain(stages, [recording((0.5, 1.2))]))))
    assert one.key != two.key
    assert one.key == again.key
