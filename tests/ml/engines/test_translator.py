"""What all translators share, with a network that a few lines imitate: order, batches, faults, glossary, refusals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.generation import Search
from ml.engines.protocols import BatchMt, EngineSpec
from ml.engines.translator import Said, Translator, TranslatorOptions
from ml.errors import BadText, EngineFailed, UnsupportedLanguage

Speak = Callable[[str, Search], list[Said]]


class Echo:
    """Says each sentence in capitals, or what `speak` makes of it."""

    def __init__(self, speak: Speak | None = None) -> None:
        self.speak = speak or (lambda one, search: [Said(one.upper(), 0.5, len(one.split()), True)] * search.best)
        self.batches: list[list[str]] = []
        self.inside = 0
        self.closed = False

    def pairs(self) -> Iterable[tuple[str, str]]:
        return [("en", "es"), ("en", "pt"), ("en", "zh"), ("es", "en")]

    def length(self, sentence: str) -> int:
        return len(sentence.split()) + 1

    def say(self, sentences: Sequence[str], source: str, target: str, search: Search) -> list[list[Said]]:
        self.inside += 1
        assert self.inside == 1, "one thread at a time"
        self.batches.append(list(sentences))
        said = [self.speak(one, search) for one in sentences]
        self.inside -= 1
        return said

    def close(self) -> None:
        self.closed = True


def spec() -> EngineSpec:
    return EngineSpec("echo", "mt", "", (), "CC0-1.0", lambda home: None)  # type: ignore[arg-type,return-value]


def engine(body: Echo, **options: int) -> Translator:
    return Translator(spec(), "1", body, TranslatorOptions(**options))


words = st.lists(st.sampled_from(["a", "bb", "ccc", "dddd"]), min_size=1, max_size=12).map(" ".join)


@settings(deadline=None)
@given(st.lists(st.lists(words, min_size=1, max_size=3).map(". ".join), max_size=8), st.integers(1, 40))
def test_many_are_what_each_is_alone_in_order_and_within_bounds(texts: list[str], room: int) -> None:
    body = Echo()
    many = engine(body, beams=1, batch_tokens=room).translate_many(texts, "en", "es")
    assert [one.text for one in many] == [text.upper() for text in texts]
    assert many == [engine(Echo(), beams=1).translate(text, "en", "es") for text in texts]
    for batch in body.batches:
        assert len(batch) == 1 or len(batch) * max(map(body.length, batch)) <= room
        assert len(set(batch)) == len(batch)
    sizes = [max(map(body.length, batch)) for batch in body.batches]
    assert sizes == sorted(sizes)


def test_the_result_says_what_it_is_of() -> None:
    made = engine(Echo())
    assert isinstance(made, BatchMt)
    done = made.translate("One. Two words!\n\n...", "en-GB", "es")
    assert (done.text, done.source_text) == ("ONE. TWO WORDS!\n\n...", "One. Two words!\n\n...")
    assert (done.source, done.target, done.route, done.engine) == ("en-GB", "es", ("en-GB", "es"), "echo")
    assert done.confidence == pytest.approx(0.5 ** (3 / 4)), "a piece without words is sure"
    assert made.translate("今。", "en", "zh").text == "今。"


def test_a_sentence_too_long_is_cut_and_said_whole() -> None:
    body = Echo()
    text = ", ".join(["some words here"] * 30)
    done = engine(body, longest_sentence=20).translate(text, "en", "es")
    assert max(body.length(one) for batch in body.batches for one in batch) <= 20
    assert done.text.split() == text.upper().split()


def looping(one: str, search: Search) -> list[Said]:
    if search.no_repeat or len(one.split()) < 3:
        return [Said(one.upper(), 0.4, 4, True)] * search.best
    return [Said("LA " * 9, 0.99, 9, True)] * search.best


def test_a_loop_is_tried_again_without_repetitions() -> None:
    body = Echo(looping)
    done = engine(body).translate("Go home now. Wait.", "en", "es")
    assert done.text == "GO HOME NOW. WAIT."
    assert done.confidence == pytest.approx(0.4)
    assert [sorted(batch) for batch in body.batches] == [["Go home now.", "Wait."], ["Go home now."]]


def test_what_stays_bad_is_tried_in_halves_and_else_not_trusted() -> None:
    def short(one: str, search: Search) -> list[Said]:
        count = len(one.split())
        return [Said(one.upper() if count < 10 else "NO", 0.9, count if count < 10 else 1, True)] * search.best

    text = "one two three four five, six seven eight nine ten eleven"
    done = engine(Echo(short)).translate(text, "en", "es")
    assert done.text == text.upper()
    assert done.confidence == pytest.approx(0.9)
    never = engine(Echo(lambda one, search: [Said("la la la la la la", 0.9, 6, True)] * search.best))
    assert never.translate(text, "en", "es").confidence == 0.0
    silent = engine(Echo(lambda one, search: [Said("", 0.9, 0, True)] * search.best))
    assert silent.translate(text, "en", "es").confidence == 0.0


def test_a_glossary_takes_one_of_the_best_that_has_the_term() -> None:
    def several(one: str, search: Search) -> list[Said]:
        return [Said("un gato", 0.9, 2, True), Said("una gata", 0.8, 2, True)][: search.best]

    (done,) = engine(Echo(several)).translate_many(["a cat"], "en", "es", {"cat": "gata"})
    assert (done.text, done.confidence, done.missed) == ("una gata", 0.8, ())
    (plain,) = engine(Echo(several)).translate_many(["a cat"], "en", "es", {"cat": "GATO", "dog": "perro"})
    assert (plain.text, plain.missed) == ("un gato", ())


def test_else_a_placeholder_carries_it() -> None:
    def copies(one: str, search: Search) -> list[Said]:
        return [Said(one.replace("XX1", "eks").replace("peer", "par"), 0.7, 3, True)] * search.best

    body = Echo(copies)
    (done,) = engine(body).translate_many(["My peer node runs"], "en", "es", {"peer node": "nodo vecino"})
    assert (done.text, done.missed) == ("My nodo vecino runs", ())
    assert ["My [1] runs"] in body.batches


def test_and_what_no_way_brings_is_told() -> None:
    body = Echo(lambda one, search: [Said("algo", 0.7, 2, True)] * search.best)
    done, other = engine(body).translate_many(["My peer", "Hello"], "en", "es", {"peer": "par"})
    assert (done.text, done.missed) == ("algo", ("par",))
    assert other.missed == ()
    with pytest.raises(BadText):
        engine(body).translate_many(["a"], "en", "es", {"": "x"})


def test_pairs_and_codes() -> None:
    made = engine(Echo())
    assert made.prepare("eng", "spa_Latn") == ("eng", "spa_Latn")
    assert made.translate("a", "en", "pt-BR").text == "A"
    for pair in (("en", "fr"), ("pt", "en"), ("en", "xx"), ("en", "en")):
        with pytest.raises(UnsupportedLanguage) as refusal:
            made.prepare(*pair)
        assert refusal.value.remedy
    able = made.capabilities()
    assert (able.languages, able.pairs[0]) == (("en", "es", "pt", "zh"), ("en", "es"))


def test_a_model_of_one_region_serves_its_language() -> None:
    class Brazilian(Echo):
        def pairs(self) -> Iterable[tuple[str, str]]:
            return [("en", "pt-BR"), ("en", "roa")]

        def say(self, sentences: Sequence[str], source: str, target: str, search: Search) -> list[list[Said]]:
            return [[Said(f"{source}-{target}", 1.0, 1, True)] for _ in sentences]

    made = engine(Brazilian())
    for target in ("pt", "pt-BR", "por"):
        assert made.translate("a", "en-US", target).text == "en-pt-BR"
    with pytest.raises(UnsupportedLanguage):
        made.prepare("en", "es")


def test_what_cannot_be_translated_is_refused_before_any_work() -> None:
    body = Echo()
    made = engine(body, longest_text=10)
    for text in ("", " \n", "\0\ud800", "x" * 11):
        with pytest.raises(BadText):
            made.translate_many(["ok", text], "en", "es")
    assert body.batches == []
    assert made.translate_many([], "en", "es") == []


def test_closing() -> None:
    body = Echo()
    made = engine(body)
    made.close()
    made.close()
    assert body.closed
    with pytest.raises(EngineFailed):
        made.translate("a", "en", "es")


def test_threads_take_turns() -> None:
    body, results = Echo(), list[str]()
    made = engine(body)
    threads = [
        threading.Thread(target=lambda: results.append(made.translate("a b", "en", "es").text)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["A B"] * 8
