"""Translation of what was heard, and of nothing."""

import pytest

from ml.errors import BadText, EngineFailed, UnsupportedLanguage
from ml.speech.items import Utterance
from ml.speech.translate import UNCHANGED, Translate, TranslateEach, Wording
from ml.types import Audio, Transcript
from tests.fakes import ManyMt, UpperMt, tone


def heard(text: str | None) -> Utterance:
    transcript = None if text is None else Transcript(text, "en", 0, 1, 0.9, "x")
    return Utterance(0, 0, 1, 1, Audio(tone(1.0)), "k", transcript=transcript)


def test_words_are_translated():
    assert Translate(UpperMt(), "en", "es").fill(heard("good morning")).translation.text == "GOOD MORNING"


@pytest.mark.parametrize("text", [None, "", "   "])
def test_nothing_is_not_translated(text: str | None):
    mt = UpperMt()
    assert Translate(mt, "en", "es").fill(heard(text)).translation is None
    assert mt.calls == 0


def test_a_language_without_route_is_refused_before_any_work():
    with pytest.raises(UnsupportedLanguage):
        Translate(UpperMt(), "en", "xx")


def in_language(language: str, text: str = "good morning") -> Utterance:
    return Utterance(
        0, 0, 1, 1, Audio(tone(1.0)), "k", transcript=Transcript(text, language, 0, 1, 0.9, "x") if language else None
    )


def each(mt: UpperMt, **more: object) -> tuple[TranslateEach, list[str]]:
    asked: list[str] = []

    def choose(language: str) -> UpperMt:
        asked.append(language)
        return mt

    return TranslateEach(choose, "es", **more), asked


def test_each_utterance_goes_from_its_own_language():
    stage, asked = each(ManyMt("de", "en"))
    stage.settle("de")
    assert (asked, stage.source, stage.route) == (["de"], "de", ("de", "es"))
    assert stage.fill(in_language("deu")).translation.route == ("de", "es")
    assert stage.fill(in_language("en")).translation.route == ("en", "es")
    assert stage.fill(in_language("en")).translation.text == "GOOD MORNING"
    assert asked == ["de"], "one translator for all"


def test_what_is_in_the_target_already_stays_as_it_is():
    mt = ManyMt("en")
    stage, _ = each(mt)
    stage.settle("en")
    kept = stage.fill(in_language("es", "buenos días")).translation
    assert (kept.text, kept.route, kept.engine) == ("buenos días", ("es",), UNCHANGED)
    assert mt.calls == 0


def test_without_a_way_there_is_no_translation():
    stage, _ = each(ManyMt("en"))
    stage.settle("en")
    assert stage.fill(in_language("fr")).translation is None
    assert stage.fill(in_language("")).translation is None
    keys = {stage.fingerprint(in_language(code)) for code in ("en", "fr", "es")}
    assert len(keys) == 3


def test_an_untold_language_is_the_recordings():
    stage, _ = each(ManyMt("en"))
    stage.settle("en")
    assert stage.fill(in_language("und")).translation.source == "en"


def test_the_first_language_must_have_a_way():
    for language in ("fr", "es"):
        stage, _ = each(ManyMt("en"))
        with pytest.raises(UnsupportedLanguage):
            stage.settle(language)


def test_nothing_is_translated_before_the_language_is_settled():
    stage, _ = each(ManyMt("en"))
    assert stage.fill(in_language("")).translation is None
    assert stage.fingerprint(in_language("")) == "translate:nothing"
    with pytest.raises(EngineFailed):
        stage.fill(in_language("und"))


def test_terms_go_to_translators_that_take_them():
    stage = Translate(ManyMt(), "en", "es", {"good": "bueno", "lost": "perdido"})
    assert stage.fill(heard("good morning")).translation.text == "BUENO MORNING"
    assert stage.fill(heard("lost")).translation.missed == ("perdido",)
    assert stage.fingerprint(heard("x")) != Translate(ManyMt(), "en", "es").fingerprint(heard("x"))
    with pytest.raises(BadText, match="upper takes no glossary"):
        Translate(UpperMt(), "en", "es", {"good": "bueno"})
    assert Translate(UpperMt(), "en", "es", {}).fill(heard("good")).translation.text == "GOOD"


def test_many_texts_go_at_once_where_that_is_possible_and_give_the_same():
    mt, texts = ManyMt(), ["one", "two"]
    together = Wording(mt).translate_many(texts, "en", "es")
    assert mt.batches == [2]
    assert together == Wording(UpperMt()).translate_many(texts, "en", "es")
