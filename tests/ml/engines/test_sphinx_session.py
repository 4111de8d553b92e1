"""Sessions: what is heard does not depend on the pieces in which it comes, and memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.sphinx_session import BLOCK, OPENING, PART, SEARCH, Label, LiveSession, WholeSession, quiet_place
from ml.errors import BadAudio, EngineFailed
from ml.types import SAMPLE_RATE, Samples, Transcript
from tests.fakes import RecordingDecoder, silence, tone

LABEL = Label("recorder", "en")


def live(decoder: RecordingDecoder, ends: list[bool] | None = None) -> LiveSession:
    return LiveSession(decoder, LABEL, lambda fit: ends.append(fit) if ends is not None else None)


def whole(decoder: RecordingDecoder) -> WholeSession:
    @contextmanager
    def borrow() -> Iterator[RecordingDecoder]:
        yield decoder

    return WholeSession(borrow, LABEL)


def hear(session: LiveSession | WholeSession, samples: Samples, cuts: list[int]) -> Transcript:
    at = 0
    for cut in (*cuts, len(samples)):
        session.accept(samples[at : at + cut])
        at += cut
        session.partial()
    return session.finish()


@given(
    st.lists(st.integers(0, 9000), max_size=20),
    st.integers(0, 7000),
    st.integers(0, 20000),
    st.booleans(),
)
@settings(deadline=None)
def test_pieces_of_any_size_are_heard_alike(cuts: list[int], before: int, length: int, is_live: bool) -> None:
    rng = np.random.default_rng(before + length)
    sound = (rng.normal(0, 0.05, length) * np.linspace(0.1, 3, length)).astype(np.float32)
    samples = np.concatenate([np.zeros(before, np.float32), sound])
    make = live if is_live else whole
    one, other = RecordingDecoder(), RecordingDecoder()
    assert hear(make(one), samples, []) == hear(make(other), samples, cuts)
    assert one.parts == other.parts
    if is_live or length:
        assert sum(map(len, one.parts)) == 2 * len(samples)


def test_the_first_sound_waits_for_its_level_and_silence_does_not() -> None:
    decoder = RecordingDecoder()
    session = live(decoder)
    session.accept(silence(0.5))
    assert len(decoder.parts[0]) == SAMPLE_RATE
    session.accept(tone(0.4, level=0.01))
    assert len(decoder.parts[0]) == SAMPLE_RATE
    session.accept(tone(0.2, level=0.01))
    assert len(decoder.parts[0]) > SAMPLE_RATE + 2 * (OPENING - BLOCK)
    heard = np.frombuffer(bytes(decoder.parts[0][SAMPLE_RATE:]), "<i2") / 32768
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(10 ** (-26 / 20), rel=0.05)


def test_a_partial_costs_nothing_when_nothing_was_heard_since() -> None:
    decoder = RecordingDecoder()
    session = live(decoder)
    assert session.partial() is None
    session.accept(tone(1.0))
    first = session.partial()
    looks = decoder.looks
    assert first is not None
    assert not first.final
    assert first.confidence == 0.0
    session.accept(tone(0.01))
    assert session.partial() is first
    assert decoder.looks == looks


def test_live_speech_without_an_end_is_cut_in_a_quiet_place_or_at_last_in_any() -> None:
    decoder = RecordingDecoder()
    loud = tone(31.0)
    result = hear(live(decoder), np.concatenate([loud, silence(0.2), tone(60.0)]), [])
    first, second, third = (len(part) // 2 for part in decoder.parts)
    assert len(loud) < first <= len(loud) + 2 * BLOCK
    assert second == PART + SEARCH
    assert decoder.calls == ["start", "end"] * 3
    assert [word.text for word in result.words] == ["part1", "part2", "part3"]
    assert result.words[1].start == pytest.approx(first / SAMPLE_RATE)
    assert third > 0


def test_a_whole_recording_is_cut_in_its_quietest_place_and_not_kept() -> None:
    decoder = RecordingDecoder()
    session = whole(decoder)
    samples = np.concatenate([tone(25.0), silence(0.5), tone(20.0)])
    for at in range(0, len(samples), 4000):
        session.accept(samples[at : at + 4000])
        assert session._waiting <= PART
    result = session.finish()
    assert 25.0 <= len(decoder.parts[0]) / 2 / SAMPLE_RATE <= 25.5
    assert result.end == pytest.approx(45.5)
    assert result.words[-1].end == pytest.approx(45.5)
    assert result.confidence == 0.5


def test_the_quiet_place_lies_in_the_last_samples() -> None:
    samples = np.concatenate([silence(5.0), tone(25.0)])
    assert len(samples) - SEARCH <= quiet_place(samples) <= len(samples)


@pytest.mark.parametrize("seconds", [0.0, 0.0001, 2.0])
def test_silence_has_no_words(seconds: float) -> None:
    for session in (live(RecordingDecoder()), whole(RecordingDecoder())):
        result = hear(session, silence(seconds), [])
        assert (result.text, result.words, result.confidence, result.final) == ("", (), 0.0, True)


def test_a_live_decoder_goes_back_once_however_it_ends() -> None:
    ends: list[bool] = []
    finished = live(RecordingDecoder(), ends)
    finished.finish()
    finished.abandon()
    assert ends == [True]
    dropped = live(RecordingDecoder(), ends)
    dropped.abandon()
    dropped.abandon()
    assert ends == [True, True]


def test_a_decoder_that_failed_is_not_lent_again() -> None:
    class Breaking(RecordingDecoder):
        def feed(self, pcm: bytes, *, whole: bool = False) -> None:
            raise EngineFailed("It broke.")

    ends: list[bool] = []
    session = live(Breaking(), ends)
    with pytest.raises(EngineFailed, match="broke"):
        session.accept(tone(1.0))
    session.abandon()
    assert ends == [False]


def test_after_the_end_nothing_more_is_heard() -> None:
    for session in (live(RecordingDecoder()), whole(RecordingDecoder())):
        session.finish()
        for call in (session.finish, session.partial, lambda s=session: s.accept(tone(0.1))):
            with pytest.raises(EngineFailed, match="has ended"):
                call()


def test_a_bad_piece_leaves_the_utterance_as_it_was() -> None:
    for session in (live(RecordingDecoder()), whole(RecordingDecoder())):
        session.accept(tone(1.0))
        with pytest.raises(BadAudio):
            session.accept(np.array([np.nan], np.float32))
        assert session.finish().end == 1.0
