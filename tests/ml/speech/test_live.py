"""Live translation: the sound alone decides what comes out, and nothing that was said is lost."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.prosody import measure
from ml.engines.protocols import AsrOptions
from ml.errors import BadText, UnsupportedLanguage
from ml.speech.live import Caption, Interpreter, LiveTranslator, Said, quick_delivery
from ml.speech.turn import FastTurn
from ml.types import Audio, Delivery, Speech
from tests.fakes import CountingAsr, HalfMatcher, LevelActivity, ToneTts, UpperMt, silence, tone

SOUND = np.concatenate([silence(0.5), tone(1.5), silence(0.6), tone(0.8), silence(0.7), tone(1.0), silence(0.2)])


def translator(*, finish: bool = True, tts: ToneTts | None = None) -> LiveTranslator:
    interpreter = Interpreter(UpperMt(), tts or ToneTts(), HalfMatcher(), "en", "es")
    turn = FastTurn(lambda frame: max(frame) > 0)
    return LiveTranslator(CountingAsr(), AsrOptions(), LevelActivity(), turn, interpreter, finish=finish)


def told(events: list) -> list[tuple]:
    return [
        (e.index, e.transcript.text, e.transcript.start, e.translation.text, e.decided_at, e.prepared)
        if isinstance(e, Said)
        else (e.index, e.transcript.text)
        for e in events
    ]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=60), st.booleans())
def test_chunks_of_any_size_give_the_same_events(sizes: list[int], finish: bool):
    whole = translator(finish=finish)
    expected = told([*whole.push(SOUND), *whole.flush()])
    cuts = np.cumsum(sizes)
    parts = translator(finish=finish)
    events = [event for chunk in np.split(SOUND, cuts[cuts < len(SOUND)]) for event in parts.push(chunk)]
    assert told([*events, *parts.flush()]) == expected


def test_every_turn_is_said_once_in_order_and_soon():
    stream = translator()
    events = [*stream.push(SOUND), *stream.flush()]
    said = [event for event in events if isinstance(event, Said)]
    assert [event.index for event in said] == [0, 1, 2]
    heard = [float(event.transcript.text.split()[0]) for event in said]
    assert heard == pytest.approx([1.5, 0.8, 1.0], abs=0.15)
    ends = [2.0, 3.4, 5.1]
    for event, end in zip(said, ends, strict=True):
        assert 0.05 < event.decided_at - end < 0.3
        assert event.transcript.final
    assert any(isinstance(event, Caption) for event in events)


def test_a_prepared_answer_is_not_spoken_twice():
    tts = ToneTts()
    stream = translator(finish=False, tts=tts)
    said = [event for event in [*stream.push(SOUND), *stream.flush()] if isinstance(event, Said)]
    assert said[0].prepared
    assert tts.calls == len({event.translation.text for event in said})


def test_the_open_turn_is_said_at_the_end_of_the_stream():
    stream = translator()
    stream.push(np.concatenate([silence(0.5), tone(1.0)]))
    (said,) = [event for event in stream.flush() if isinstance(event, Said)]
    assert said.transcript.text == "1.0 seconds"
    assert stream.flush() == []


def test_silence_says_nothing():
    stream = translator()
    assert stream.push(silence(5.0)) == []
    assert stream.flush() == []


def test_a_rough_pitch_is_put_right_over_the_sentences_of_the_language():
    class Sharp(ToneTts):
        """A tenth too high, unless it may take its time."""

        def speak(self, text, language, delivery):
            high = Delivery(delivery.f0_hz * (1.1 if delivery.rough else 1.0))
            return super().speak(text, language, high)

    tts = Sharp(0.05)
    delivery = quick_delivery(tts, Delivery(120.0), "es")
    assert delivery.rough
    spoken: Speech = tts.speak("HOLA QUE TAL AMIGO", "es", delivery)
    assert measure(Audio(spoken.audio.samples)).f0_median == pytest.approx(120.0, rel=0.02)
    assert quick_delivery(tts, Delivery(), "es") == Delivery(rough=True)


class Murmuring(CountingAsr):
    """Hears `text` in every sound."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def listen(self, options):
        session = super().listen(options)
        told = session._transcript
        session._transcript = lambda *, final: replace(told(final=final), text=self.text)
        return session


class Letters(ToneTts):
    """Has a sound for "HELLO" alone."""

    def speak(self, text, language, delivery):
        if text != "HELLO":
            raise BadText(f"no sound for {text!r}", "")
        return super().speak(text, language, delivery)


@pytest.mark.parametrize("finish", [True, False])
@pytest.mark.parametrize(("text", "turns"), [("...", 0), ("\u266a", 0), ("\u13a0", 0), ("hello", 3)])
def test_what_has_no_sound_is_no_turn_and_ends_nothing(text: str, turns: int, finish: bool):
    interpreter = Interpreter(UpperMt(), Letters(), HalfMatcher(), "en", "es")
    turn = FastTurn(lambda frame: max(frame) > 0)
    stream = LiveTranslator(Murmuring(text), AsrOptions(), LevelActivity(), turn, interpreter, finish=finish)
    said = [event for event in [*stream.push(SOUND), *stream.flush()] if isinstance(event, Said)]
    assert [event.index for event in said] == list(range(turns))


def test_a_language_that_is_not_served_still_ends_the_stream():
    class Elsewhere(UpperMt):
        def translate(self, text, source, target):
            raise UnsupportedLanguage("no way", "")

    interpreter = Interpreter(Elsewhere(), ToneTts(), HalfMatcher(), "en", "es")
    turn = FastTurn(lambda frame: max(frame) > 0)
    stream = LiveTranslator(CountingAsr(), AsrOptions(), LevelActivity(), turn, interpreter, finish=True)
    with pytest.raises(UnsupportedLanguage):
        stream.push(SOUND)
