"""Translation by the installed Apertium pairs, and around them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.engines.apertium import SPEC, UNMEASURED, Apertium, ApertiumOptions, confidence, version
from ml.engines.apertium_stream import tidy
from ml.engines.phrases import PhraseTable
from ml.engines.protocols import EngineHome, Mt
from ml.engines.routes import MEASURED, Route
from ml.errors import BadText, EngineFailed, UnsupportedLanguage

HOUSE = ("The house is big.", "La casa es grande.")
AWKWARD = st.sampled_from("[]{}^$/@<>\\*#~_ aeT.,;!?'\"-\0\n\t😀שםمر日é\u0301\u200b\ufeff\u2028½")
TEXTS = st.text(alphabet=AWKWARD | st.characters(), max_size=60)
DIRECT = {("en", "es"): MEASURED["en", "es"]}


@pytest.fixture(scope="module")
def mt(apertium_installed: None) -> Iterator[Apertium]:
    engine = SPEC.factory(EngineHome(Path("nowhere")))
    assert isinstance(engine, Apertium)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def rules(apertium_installed: None) -> Iterator[Apertium]:
    """Without the phrase table."""
    engine = Apertium(ApertiumOptions(phrases=False), PhraseTable())
    yield engine
    engine.close()


def test_it_is_a_translator_that_runs_outside_this_process(mt: Apertium) -> None:
    assert isinstance(mt, Mt)
    assert SPEC.isolation == "process"
    able = mt.capabilities()
    assert ("en", "es") in able.pairs
    assert "apertium-eng-cat" in able.version


def test_preparing_starts_the_chains_and_tells_the_route(mt: Apertium) -> None:
    assert mt.prepare("en", "es") == ("en", "ca", "es")
    assert len(mt.pids()) > 15
    assert all(psutil.Process(pid).ppid() == os.getpid() for pid in mt.pids())


@pytest.mark.parametrize(
    ("english", "spanish"),
    [
        HOUSE,
        ("My brother works in a hospital.", "Mi hermano trabaja en un hospital."),
        ("do you like coffee", "¿Te gusta el café?"),
        ("where does your brother live", "¿Dónde vive tu hermano?"),
        ("Don't open the window.", "No abras la ventana."),
        ("i've lost my keys", "He perdido mis llaves."),
        ("My grandfather is ill.", "Mi abuelo está enfermo."),
        ("We have dinner at eight o'clock.", "a las ocho"),
    ],
)
def test_everyday_english_becomes_spanish(rules: Apertium, english: str, spanish: str) -> None:
    said = rules.translate(english, "en", "es")
    if english.startswith("where"):
        assert said.text in {spanish, "¿Dónde tu hermano vive?"}
    else:
        assert spanish in said.text
    assert (said.engine, said.route, said.unknown) == ("apertium", ("en", "ca", "es"), ())
    assert (said.source, said.target, said.source_text) == ("en", "es", english)
    assert 0.5 < said.confidence <= 1


@pytest.mark.parametrize(
    ("source", "target", "text", "expected"),
    [
        ("en", "ca", "The house is big.", "La casa és gran."),
        ("en", "fr", "The house is big.", "La maison est grande."),
        ("en", "it", "The house is big.", "La casa è grande."),
        ("en", "pt", "The house is big.", "A casa é grande."),
        ("es", "en", "La casa es grande.", "The house is big."),
        ("es", "ca", "La casa es grande.", "La casa és gran."),
    ],
)
def test_other_pairs(rules: Apertium, source: str, target: str, text: str, expected: str) -> None:
    if (source, target) not in rules.capabilities().pairs:
        pytest.skip(f"needs the Apertium pairs from {source} to {target}: make apertium")
    assert rules.translate(text, source, target).text == expected


def test_the_phrase_table_answers_first_and_says_so(mt: Apertium) -> None:
    said = mt.translate("good morning how are you", "en", "es")
    assert said.text == "Buenos días, ¿cómo estás?"
    assert (said.engine, said.route, said.confidence) == ("phrases", ("en", "es"), 1.0)


def test_phrases_and_rules_share_a_text(mt: Apertium) -> None:
    said = mt.translate("Good morning, the house is big, thank you. What is your name?", "en", "es")
    assert said.text == "Buenos días, la casa es grande, gracias. ¿Cómo te llamas?"
    assert (said.engine, said.route) == ("phrases+apertium", ("en", "ca", "es"))
    assert MEASURED["en", "ca", "es"] / 100 < said.confidence < 1


def test_the_brazilian_phrases_are_not_given_for_european_portuguese(mt: Apertium) -> None:
    if ("en", "pt-PT") not in mt.capabilities().pairs:
        pytest.skip("needs the Apertium pair Catalan-Portuguese: make apertium")
    assert mt.translate("good morning", "en", "pt").engine == "phrases"
    assert mt.translate("good morning", "en", "pt-BR").engine == "phrases"
    assert mt.translate("good morning", "en", "pt-PT").engine == "apertium"


def test_words_nobody_knows_are_named_and_cost_confidence(rules: Apertium) -> None:
    known, said = rules.translate(HOUSE[0], "en", "es"), rules.translate("The zzyzzx is big.", "en", "es")
    assert said.unknown == ("zzyzzx",)
    assert "zzyzzx" in said.text
    assert "*" not in said.text
    assert said.confidence < known.confidence


def test_confidence_is_the_measured_route_times_what_came_through() -> None:
    route = Route(("en", "es"), ("eng-spa",), 70.0)
    assert confidence(route, 4, 0, 0) == pytest.approx(0.7)
    assert confidence(route, 4, 1, 0) == pytest.approx(0.7 * 0.75)
    assert confidence(route, 4, 0, 2) == pytest.approx(0.7 * 0.75)
    assert confidence(route, 2, 9, 9) == 0.0
    assert confidence(Route(("a", "b"), ("a-b",)), 4, 0, 0) == UNMEASURED


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS)
def test_any_text_comes_back_and_harms_no_later_one(rules: Apertium, text: str) -> None:
    before = rules.pids()
    if tidy(text):
        said = rules.translate(text, "en", "es")
        assert said.text
        for mark in "*@#^$[]{}<>\\":
            assert said.text.count(mark) == text.count(mark), "marks are gone, the text's own characters stay"
        assert "\0" not in said.text
        assert "\n" not in said.text
        assert 0 <= said.confidence <= 1
    else:
        with pytest.raises(BadText, match="no text"):
            rules.translate(text, "en", "es")
    assert rules.translate(HOUSE[0], "en", "es").text == HOUSE[1]
    if before:
        assert rules.pids() == before, "no chain had to be restarted"


def test_a_long_text_is_translated_sentence_by_sentence(rules: Apertium) -> None:
    said = rules.translate(" ".join([HOUSE[0]] * 300), "en", "es")
    assert said.text == " ".join([HOUSE[1]] * 300)


def test_a_sentence_without_end_is_cut(rules: Apertium) -> None:
    said = rules.translate("the house is big and " * 400, "en", "es")
    assert said.text.count("casa") == 400


def test_the_answer_does_not_depend_on_what_came_before(rules: Apertium) -> None:
    alone = rules.translate("I saw her in the garden.", "en", "es").text
    rules.translate("He is a doctor. She was not here", "en", "es")
    assert rules.translate("I saw her in the garden.", "en", "es").text == alone


@pytest.mark.parametrize("text", ["", "   ", "\0\n", "\ud800"])
def test_nothing_to_translate_is_told(mt: Apertium, text: str) -> None:
    with pytest.raises(BadText, match="no text"):
        mt.translate(text, "en", "es")


def test_a_text_that_is_too_long_is_told(mt: Apertium) -> None:
    with pytest.raises(BadText, match="20000"):
        mt.translate("a" * 20_001, "en", "es")


def test_a_language_out_of_reach_is_told_before_anything_starts(apertium_installed: None) -> None:
    engine = Apertium(ApertiumOptions(), PhraseTable())
    with pytest.raises(UnsupportedLanguage, match="reach ca"):
        engine.prepare("en", "zh")
    with pytest.raises(UnsupportedLanguage):
        engine.translate("hello", "en", "en")
    assert engine.pids() == ()
    engine.close()


@pytest.mark.parametrize("stage", [0, 4, 12, 20])
def test_a_stage_that_is_killed_is_not_noticed_outside(rules: Apertium, stage: int) -> None:
    rules.prepare("en", "es")
    os.kill(rules.pids()[stage], signal.SIGKILL)
    assert rules.translate(HOUSE[0], "en", "es").text == HOUSE[1]
    children = psutil.Process().children(recursive=True)
    assert not [child.pid for child in children if child.status() == psutil.STATUS_ZOMBIE]


def test_each_thread_gets_its_own_answer(rules: Apertium) -> None:
    texts = {"I have two dogs.": "perros", "The tea is cold.": "té", "She sells flowers.": "flores", "He reads.": "Lee"}
    alone = {text: rules.translate(text, "en", "es").text for text in texts}
    assert all(word in alone[text] for text, word in texts.items())
    wrong: list[str] = []

    def work() -> None:
        for _ in range(10):
            wrong.extend(text for text in texts if rules.translate(text, "en", "es").text != alone[text])

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_without_the_best_route_the_next_one_is_taken_and_shown(apertium_installed: None) -> None:
    engine = Apertium(ApertiumOptions(measured=DIRECT, phrases=False), PhraseTable())
    if ("en", "es") not in engine.capabilities().pairs or engine.prepare("en", "es") != ("en", "es"):
        engine.close()
        pytest.skip("needs the Apertium pair English-Spanish: make apertium")
    said = engine.translate("My brother works in a hospital.", "en", "es")
    engine.close()
    assert (said.text, said.route) == ("Mi hermano trabaja en un hospital.", ("en", "es"))
    assert said.confidence == pytest.approx(MEASURED["en", "es"] / 100)


def test_every_option_changes_what_it_says(apertium_installed: None) -> None:
    def translate(text: str, options: ApertiumOptions) -> str:
        engine = Apertium(options, PhraseTable())
        try:
            return engine.translate(text, "en", "es").text
        finally:
            engine.close()

    plain = ApertiumOptions(phrases=False, preedit=False, amend=False)
    assert "hermano trabaja" not in translate("My brother works here.", plain)
    assert "hermano trabaja" in translate("My brother works here.", ApertiumOptions(phrases=False, preedit=False))
    assert "tienes" not in translate("how old are you", plain)
    assert "tienes" in translate("how old are you", ApertiumOptions(phrases=False))


def test_an_empty_machine_translates_nothing_and_says_what_would_help(tmp_path: Path) -> None:
    engine = Apertium(ApertiumOptions(modes=tmp_path), PhraseTable())
    assert engine.capabilities().pairs == ()
    with pytest.raises(UnsupportedLanguage) as failure:
        engine.translate("hello", "en", "es")
    assert failure.value.remedy == "sudo apt install apertium apertium-eng-cat apertium-spa-cat"
    engine.close()


def test_after_closing_no_process_is_left_and_no_work_is_taken(apertium_installed: None) -> None:
    engine = Apertium(ApertiumOptions(), PhraseTable())
    engine.prepare("en", "es")
    processes = [psutil.Process(pid) for pid in engine.pids()]
    engine.close()
    engine.close()
    assert len(processes) > 15
    assert not psutil.wait_procs(processes, timeout=5)[1]
    for call in (lambda: engine.translate("hello", "en", "es"), lambda: engine.prepare("en", "es")):
        with pytest.raises(EngineFailed, match="closed"):
            call()


def test_the_version_is_read_from_what_dpkg_recorded(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(
        "Package: apertium\nStatus: install ok installed\nVersion: 3.8.3-1\n\n"
        "Package: apertium-eng-cat\nStatus: install ok installed\nVersion: 1.0.1-5\n\n"
        "Package: apertium-spa-cat\nStatus: deinstall ok config-files\nVersion: 2.2\n\n"
        "Package: apertium-lex-tools\nStatus: install ok installed\nVersion: 9\n\n"
    )
    said = version(status)
    assert said.startswith("apertium 3.8.3-1, apertium-eng-cat 1.0.1-5, rules ")
    assert version(tmp_path / "nowhere").startswith("rules ")
