"""Transcripts lie on the input's time line."""

from ml.engines.protocols import AsrOptions
from ml.speech.items import Utterance
from ml.speech.recognise import Recognise, shift
from ml.types import Audio, Transcript, Word
from tests.fakes import CountingAsr, silence, tone


def test_times_are_moved_onto_the_time_line():
    heard = Transcript("a b", "en", 0.0, 1.0, 0.5, "x", (Word("a", 0.1, 0.4, 0.7), Word("b", 0.5, 0.9)))
    moved = shift(heard, 10.0)
    assert (moved.start, moved.end) == (10.0, 11.0)
    assert [(w.text, w.start, w.end, w.confidence) for w in moved.words] == [
        ("a", 10.1, 10.4, 0.7),
        ("b", 10.5, 10.9, 1.0),
    ]


def test_options_are_part_of_the_fingerprint():
    utterance = Utterance(0, 2.0, 3.0, 3.0, Audio(tone(1.0)), "k")
    asr = CountingAsr()
    plain, noted = Recognise(asr, AsrOptions()), Recognise(asr, AsrOptions(notes="hello"))
    assert plain.fingerprint(utterance) != noted.fingerprint(utterance)
    assert plain.fill(utterance).transcript.start == 2.0


def test_no_words_give_an_empty_transcript():
    utterance = Utterance(0, 2.0, 3.0, 3.0, Audio(silence(1.0)), "k")
    assert Recognise(CountingAsr(), AsrOptions()).fill(utterance).transcript.text == ""
