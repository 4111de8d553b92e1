"""Text in."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.read import read
from ml.engines.protocols import Capabilities
from ml.errors import BadText, EngineCrashed, EngineFailed, UnsupportedLanguage
from ml.voice.profile import build_profile
from node.dubbing import DubOptions
from node.errors import BadRequest
from node.texts import BATCH, LONGEST, SAMPLE, say_text, text_language, translate_text
from tests.fakes import ManyMt, UpperMt, fake_node

OPTIONS = DubOptions("es")
TERMS = {"one": "uno", "lost": "perdido"}


def test_lines_stay_lines(tmp_path):
    result = translate_text(fake_node(tmp_path), "one\n\n---\ntwo\n", OPTIONS)
    assert result.text == "ONE\n\n\nTWO"
    assert result.as_dict()["route"] == ("en", "es")


@pytest.mark.parametrize("text", ["", " \n\t", "---", "x" * (LONGEST + 1)])
def test_what_is_no_text_is_refused(tmp_path, text):
    with pytest.raises(BadText):
        translate_text(fake_node(tmp_path), text, OPTIONS)
    with pytest.raises(BadText):
        say_text(fake_node(tmp_path), text, OPTIONS, tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


def test_text_is_spoken(tmp_path):
    result = say_text(fake_node(tmp_path), "hello\nworld", OPTIONS, tmp_path / "out.wav")
    assert result.text == "HELLO\nWORLD"
    assert read(tmp_path / "out.wav").seconds == pytest.approx(result.seconds, abs=0.01) == pytest.approx(1.4, abs=0.01)


@pytest.mark.parametrize(("voice", "own_voice"), [(None, True), ("me", False)])
def test_a_stock_voice_bears_the_watermark_also_where_a_voice_is_named(tmp_path, repository, voice, own_voice):
    options = DubOptions("es", voice=voice, own_voice=own_voice, watermark=False)
    node = fake_node(tmp_path)
    if voice is not None:
        speech = read(repository / "examples" / "audio" / "lj.flac")
        node.voices.put(voice, build_profile([speech], None, None, "es"))
    with pytest.raises(BadRequest, match="own enrolled voice"):
        say_text(node, "hello", options, tmp_path / "out.wav")
    with pytest.raises(BadRequest, match="own enrolled voice"):
        node.dubbing(options)
    assert not list(tmp_path.glob("*.wav"))


def test_lines_are_translated_together_and_come_out_as_one_by_one(tmp_path):
    text = "\n".join("---" if n % 3 == 0 else f"line {n}" for n in range(150))
    mt = ManyMt()
    together = translate_text(fake_node(tmp_path, mt=mt), text, OPTIONS)
    assert mt.batches == [BATCH] * (100 // BATCH) + [100 % BATCH]
    alone = translate_text(fake_node(tmp_path), text, OPTIONS)
    assert together == alone


def test_terms_are_kept_to_and_the_lost_are_named(tmp_path):
    options = replace(OPTIONS, glossary=TERMS)
    result = translate_text(fake_node(tmp_path, mt=ManyMt()), "one\nlost", options)
    assert (result.text, result.missed_terms) == ("UNO\nLOST", ("perdido",))
    with pytest.raises(BadText, match="upper takes no glossary") as refused:
        translate_text(fake_node(tmp_path), "one", options)
    assert "--mt" in refused.value.remedy


WORDS = {"en": {"the", "good", "a", "no"}, "fr": {"bon", "la", "a", "no"}, "it": {"buon", "la", "a", "no"}}


class Lexical(UpperMt):
    """Knows the words of `WORDS`, and says which it does not; breaks in the languages `broken`."""

    def __init__(self, marks=True, broken=()):
        super().__init__()
        self.marks, self.broken, self.asked = marks, broken, []

    def capabilities(self):
        return Capabilities("1", tuple(WORDS), pairs=tuple((one, "es") for one in WORDS), marks_unknown=self.marks)

    def translate(self, text, source, target):
        self.asked.append((source, text))
        if source in self.broken:
            raise EngineFailed("It broke.", "")
        unknown = tuple(word for word in text.split() if word not in WORDS[source]) if self.marks else ()
        return replace(super().translate(text, source, target), unknown=unknown)


@pytest.mark.parametrize(
    ("text", "language"), [("the good", "en"), ("good Joensuu", "en"), ("la bon", "fr"), ("buon", "it"), ("a", "en")]
)
def test_the_language_of_a_text_is_that_of_its_words(tmp_path, text, language):
    result = translate_text(fake_node(tmp_path, mt=Lexical()), text, OPTIONS)
    assert result.source == language
    assert f"taken as {language!r}" in result.remark


@pytest.mark.parametrize("text", ["Joensuu", "la", "xyz good Joensuu"])
@pytest.mark.parametrize("mt", [Lexical(), Lexical(marks=False)])
def test_where_nothing_tells_the_language_it_is_asked_for(tmp_path, text, mt):
    with pytest.raises(UnsupportedLanguage) as caught:
        translate_text(fake_node(tmp_path, mt=mt), text, OPTIONS)
    assert "--from, one of: en, fr, it" in caught.value.remedy
    assert translate_text(fake_node(tmp_path, mt=mt), text, replace(OPTIONS, source="fr")).remark is None


def test_a_pair_that_does_not_work_is_nothing_to_go_by():
    assert text_language("bon", Lexical(broken=("it",)), "es")[0] == "fr"
    with pytest.raises(UnsupportedLanguage):
        text_language("bon", Lexical(broken=tuple(WORDS)), "es")


def test_english_that_is_known_asks_no_other_dictionary():
    mt = Lexical()
    text_language("the good " * 1000, mt, "es")
    ((source, sample),) = mt.asked
    assert source == "en"
    assert len(sample) <= SAMPLE
    assert set(sample.split()) == {"the", "good"}, "cut between words"


@settings(deadline=None)
@given(st.text(min_size=1, max_size=400))
def test_any_text_has_a_language_or_is_asked_about(text):
    with suppress(UnsupportedLanguage):
        assert text_language(text, Lexical(), "es")[0] in WORDS


def test_a_process_that_ends_at_a_text_is_asked_once_more(tmp_path):
    class Fragile(UpperMt):
        falls = 1

        def translate(self, text, source, target):
            if self.falls:
                self.falls -= 1
                raise EngineCrashed("It stopped (SIGKILL).", "The next request starts it again.")
            return super().translate(text, source, target)

    mt = Fragile()
    assert translate_text(fake_node(tmp_path, mt=mt), "one", OPTIONS).text == "ONE"
    mt.falls = 2
    with pytest.raises(EngineCrashed):
        translate_text(fake_node(tmp_path, mt=mt), "one", OPTIONS)


def test_the_engines_own_voice_speaks_where_that_is_asked_for(tmp_path, repository):
    node = fake_node(tmp_path)
    speech = read(repository / "examples" / "audio" / "lj.flac")
    node.voices.put("me", build_profile([speech], None, None, "es"))
    sounds = []
    for number, options in enumerate(
        (OPTIONS, replace(OPTIONS, voice="me", own_voice=False), DubOptions("es", voice="me"))
    ):
        say_text(node, "hello there", options, tmp_path / f"{number}.wav")
        sounds.append(read(tmp_path / f"{number}.wav").samples)
    assert np.array_equal(sounds[0], sounds[1])
    assert len(sounds[0]) != len(sounds[2]) or not np.array_equal(sounds[0], sounds[2])


def test_a_mark_that_may_not_be_left_out_is_told_before_anything_is_translated(tmp_path):
    mt = ManyMt()
    with pytest.raises(BadRequest, match="own enrolled voice"):
        say_text(fake_node(tmp_path, mt=mt), "hello", replace(OPTIONS, watermark=False), tmp_path / "out.wav")
    assert mt.calls == 0
