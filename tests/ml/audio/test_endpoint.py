from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.audio.endpoint import Endpointer, EndpointOptions, Reason, SpeechEnd, SpeechStart, utterances
from ml.audio.vad import FRAME_SECONDS

F = FRAME_SECONDS
OPTIONS = EndpointOptions(min_speech=3 * F, hangover=8 * F, pad=2 * F, max_utterance=60 * F)


def frames(*runs: tuple[int, float]) -> np.ndarray:
    return np.concatenate([np.full(count, value, np.float32) for count, value in runs])


def at(frame: float) -> object:
    return pytest.approx(frame * F)


def test_one_utterance_has_its_pads_and_known_times():
    endpointer = Endpointer(OPTIONS)
    started, ended = endpointer.feed(frames((10, 0.0), (20, 0.9), (30, 0.0)))
    assert isinstance(started, SpeechStart)
    assert (started.time, started.known_at) == (at(8), at(13))
    assert isinstance(ended, SpeechEnd)
    assert (ended.start, ended.end, ended.speech_end, ended.known_at) == (at(8), at(32), at(30), at(38))
    assert ended.reason is Reason.SILENCE
    assert not endpointer.in_speech


def test_a_click_is_not_speech_and_a_short_pause_is_not_an_end():
    assert utterances(frames((10, 0.0), (2, 0.99), (30, 0.0)), OPTIONS) == []
    assert len(utterances(frames((10, 0.9), (7, 0.0), (10, 0.9), (20, 0.0)), OPTIONS)) == 1
    assert len(utterances(frames((10, 0.9), (8, 0.0), (10, 0.9), (20, 0.0)), OPTIONS)) == 2


def test_between_the_thresholds_what_was_goes_on():
    assert utterances(frames((40, 0.4)), OPTIONS) == []
    (only,) = utterances(frames((10, 0.9), (20, 0.4), (5, 0.9), (20, 0.0)), OPTIONS)
    assert only.speech_end == at(35)
    (silent,) = utterances(frames((10, 0.9), (1, 0.1), (20, 0.4)), OPTIONS)
    assert silent.speech_end == at(10)


def test_the_pads_of_neighbours_meet_and_do_not_overlap():
    wide = EndpointOptions(min_speech=F, hangover=2 * F, pad=9 * F, max_utterance=60 * F)
    first, second = utterances(frames((10, 0.9), (3, 0.0), (10, 0.9), (20, 0.0)), wide)
    assert first.end == second.start == at(12)


def test_too_long_is_split_at_the_quietest_point_and_nothing_is_lost():
    # The dip at 45..47 is not silence (0.38), so only the length can end the utterance.
    first, second = utterances(frames((45, 0.95), (3, 0.38), (40, 0.95), (20, 0.0)), OPTIONS)
    assert (first.start, first.end, first.reason) == (at(0), at(46), Reason.LENGTH)
    assert (second.start, second.speech_end, second.reason) == (at(46), at(88), Reason.SILENCE)


def test_too_long_inside_a_pause_ends_at_the_pause():
    first, second = utterances(frames((55, 0.95), (6, 0.0), (10, 0.95), (20, 0.0)), OPTIONS)
    assert (first.speech_end, first.reason) == (at(55), Reason.LENGTH)
    assert second.start == at(59)  # 61 less the pad of two


def test_the_caller_sees_the_running_silence_and_may_cut():
    endpointer = Endpointer(OPTIONS)
    endpointer.feed(frames((5, 0.0), (10, 0.9)))
    assert (endpointer.in_speech, endpointer.silence, endpointer.speech) == (True, 0.0, at(10))
    endpointer.feed(frames((3, 0.0)))
    assert (endpointer.in_speech, endpointer.silence, endpointer.speech) == (True, at(3), at(10))
    (ended,) = endpointer.cut()
    assert isinstance(ended, SpeechEnd)
    assert (ended.speech_end, ended.end, ended.known_at, ended.reason) == (at(15), at(17), at(18), Reason.CUT)
    assert (endpointer.in_speech, endpointer.silence, endpointer.speech) == (False, 0.0, 0.0)
    assert endpointer.cut() == []


def test_a_cut_while_speech_goes_on_begins_the_next_utterance_at_once():
    endpointer = Endpointer(OPTIONS)
    endpointer.feed(frames((20, 0.9)))
    ended, started = endpointer.cut()
    assert isinstance(ended, SpeechEnd)
    assert isinstance(started, SpeechStart)
    assert ended.end == started.time == at(20)
    (last,) = endpointer.flush()
    assert isinstance(last, SpeechEnd)
    assert (last.start, last.end, last.reason) == (at(20), at(20), Reason.END)


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0.3, "negative_threshold": 0.4},
        {"negative_threshold": 0.0},
        {"hangover": 0.0},
        {"pad": -0.1},
        {"max_utterance": 0.1},
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match="must"):
        EndpointOptions(**wrong)


probabilities = st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.99]), max_size=300)
options = st.builds(
    EndpointOptions,
    min_speech=st.floats(0.01, 0.3),
    hangover=st.floats(0.03, 0.6),
    pad=st.floats(0, 0.3),
    max_utterance=st.floats(1.3, 3),
)


@given(probabilities, options, st.lists(st.integers(0, 300), max_size=6))
def test_how_the_stream_is_chunked_changes_nothing(given: list[float], options: EndpointOptions, cuts: list[int]):
    whole, piecewise = Endpointer(options), Endpointer(options)
    expected = [*whole.feed(given), *whole.flush()]
    bounds = [0, *sorted(min(cut, len(given)) for cut in cuts), len(given)]
    events = [e for a, b in itertools.pairwise(bounds) for e in piecewise.feed(given[a:b])]
    assert [*events, *piecewise.flush()] == expected


@given(probabilities, options)
def test_utterances_are_ordered_bounded_and_hold_all_sustained_speech(given: list[float], options: EndpointOptions):
    endpointer = Endpointer(options)
    events = []
    for index, probability in enumerate(given):
        for event in endpointer.feed([probability]):
            assert event.known_at == at(index + 1)
            if isinstance(event, SpeechStart):
                assert event.time >= endpointer.now - endpointer.lookback - 1e-9 or events[-1].reason is Reason.LENGTH
            events.append(event)
    events.extend(endpointer.flush())
    starts, ends = events[::2], events[1::2]
    assert len(starts) == len(ends)
    assert all(isinstance(e, SpeechStart) for e in starts)
    assert all(isinstance(e, SpeechEnd) for e in ends)
    previous = 0.0
    for start, end in zip(starts, ends, strict=True):
        assert previous <= start.time == end.start <= end.end <= len(given) * F + 1e-9
        assert end.end - end.start <= round(options.max_utterance / F) * F + 1e-9
        assert end.speech_end <= end.end
        previous = end.end
    covered = [(end.start, end.end) for end in ends]
    need = max(1, round(options.min_speech / F))
    for first in range(len(given) - need + 1):
        if all(p >= options.threshold for p in given[first : first + need]):
            inside = any(a - 1e-9 <= first * F and (first + need) * F <= b + 1e-9 for a, b in covered)
            across = any(a - 1e-9 <= first * F < b - 1e-9 for a, b in covered)
            assert inside or across
