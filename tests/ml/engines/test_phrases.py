"""The phrase table: its data, and how texts are found in it."""

from __future__ import annotations

import csv
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines.phrases import PhraseTable, level, read_phrases
from tests.conftest import ROOT

DATA = ROOT / "ml" / "engines" / "data" / "phrases.tsv"
REFERENCE = ROOT / "benchmarks" / "data" / "mt_reference.tsv"
RULES = ROOT / "benchmarks" / "data" / "mt_rules.tsv"
LANGUAGES = ("en", "es", "fr", "it", "pt", "ca")
MADE = "kind\ten\tes\nopener\tHello.\tHola.\n"
MADE += "opener closer\tPlease.\tPor favor.\n\tWho are you?\t¿Quién eres?\n\tI'm here.\t\n"


@pytest.fixture(scope="module")
def table() -> PhraseTable:
    return PhraseTable()


@pytest.fixture
def small() -> PhraseTable:
    return PhraseTable(MADE)


def test_the_table_is_large_and_whole() -> None:
    rows = read_phrases(DATA.read_text(encoding="utf-8"))
    assert len(rows) >= 500
    assert all(row.texts.get("en") and row.texts.get("es") for row in rows)
    assert sum(all(row.texts.get(code) for code in LANGUAGES) for row in rows) >= 250
    assert {kind for row in rows for kind in row.kind.split()} == {"opener", "closer"}
    assert all(set(row.texts) in ({"en", "es"}, set(LANGUAGES)) for row in rows)


def test_no_row_stands_twice() -> None:
    rows = read_phrases(DATA.read_text(encoding="utf-8"))
    twice = [key for key, times in Counter(level(row.texts["en"]) for row in rows).items() if times > 1]
    assert twice == []


def test_every_cell_is_clean_text_with_the_end_of_its_row() -> None:
    for row in read_phrases(DATA.read_text(encoding="utf-8")):
        for code, cell in row.texts.items():
            assert cell == " ".join(cell.split())
            assert cell.isprintable()
            assert cell[-1] in ".?!", (code, cell)
            assert not set("^$[]{}<>@*#\\|") & set(cell)
        ends = {row.texts[code][-1] for code in row.texts if code != "ca"}
        assert ("?" in ends) <= (row.texts["en"][-1] == "?" == row.texts["es"][-1]), row.texts
        assert ("¿" in row.texts["es"]) == row.texts["es"].endswith("?")
        assert ("¡" in row.texts["es"]) == row.texts["es"].endswith("!")


@pytest.mark.parametrize("path", [REFERENCE, RULES], ids=lambda path: path.stem)
def test_no_sentence_of_the_benchmarks_stands_in_the_table(table: PhraseTable, path) -> None:
    lines = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len(lines) >= 60
    assert [line["en"] for line in lines if table.answer(line["en"], "es") and table.find(line["en"], "es")] == []


def test_the_halves_of_the_reference_share_nothing() -> None:
    lines = list(
        csv.DictReader(REFERENCE.read_text(encoding="utf-8").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    )
    halves = [{level(line["en"]) for line in lines if line["split"] == half} for half in ("dev", "test")]
    rules = csv.DictReader(RULES.read_text(encoding="utf-8").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    assert len(halves[0]) + len(halves[1]) == len(lines) >= 80
    assert not halves[0] & halves[1]
    assert not halves[1] & {level(line["en"]) for line in rules}
    assert sum(1 for line in lines if all(line[code] for code in LANGUAGES)) >= 30


@pytest.mark.parametrize(
    ("text", "spanish"),
    [
        ("what's your name", "¿Cómo te llamas?"),
        ("What is your name?", "¿Cómo te llamas?"),
        ("WHAT IS YOUR NAME", "¿Cómo te llamas?"),
        ("i don't know", "No lo sé."),
        ("I do not know.", "No lo sé."),
        ("Good morning, how are you?", "Buenos días, ¿cómo estás?"),
        ("good morning how are you", "Buenos días, ¿cómo estás?"),
        ("Can you help me, please?", "¿Puedes ayudarme, por favor?"),
        ("hello what's your name please", "Hola, ¿cómo te llamas, por favor?"),
        ("Hello, please help me, thank you.", "Hola, por favor, ayúdame, gracias."),
        ("Hello, my dog sings.", None),
    ],
)
def test_a_text_is_found_however_it_is_written(table: PhraseTable, text: str, spanish: str | None) -> None:
    answer = table.answer(text, "es")
    assert answer is not None
    assert (answer.lead if not answer.rest else None) == spanish


def test_what_the_table_does_not_know_is_left_with_what_it_knows_around_it(small: PhraseTable) -> None:
    answer = small.answer("Hello, my dog sings, please.", "es")
    assert answer is not None
    assert answer.rest == "my dog sings."
    assert answer.around("mi perro canta.") == "Hola, mi perro canta, por favor."


def test_an_opener_is_taken_off_unpunctuated_text_only_before_a_row(small: PhraseTable) -> None:
    assert small.answer("hello kitty is a cat", "es") is None
    answer = small.answer("hello who are you", "es")
    assert answer is not None
    assert answer.lead == "Hola, ¿quién eres?"


def test_a_row_without_that_language_is_not_found(small: PhraseTable) -> None:
    assert small.find("who are you", "fr") is None
    assert small.find("i'm here", "es") is None
    assert small.find("something else", "es") is None


def test_french_keeps_the_space_before_its_mark(table: PhraseTable) -> None:
    answer = table.answer("can you help me, please?", "fr")
    assert answer is not None
    assert answer.lead.endswith(", s'il te plaît ?")


@given(st.text(max_size=60))
def test_levelling_twice_is_levelling_once(text: str) -> None:
    assert level(level(text)) == level(text)


@given(st.text(max_size=60))
def test_any_text_can_be_asked(text: str) -> None:
    answer = PhraseTable(MADE).answer(text, "es")
    assert answer is None or answer.lead or answer.tail
