"""The choice over a grid of machines: none is asked for what it has not, and nobody is passed over without a word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.device import Gpu, Hardware
from ml.engines.choice import Passed, Wish, rank, refusal, speaks
from ml.engines.protocols import EngineHome, EngineSpec, Need, Task
from ml.errors import UnsupportedLanguage

HOME = EngineHome(Path("nowhere"))
GB = 10**9
NONE = Hardware(16 * GB)
SMALL = Hardware(1 * GB)
GPU8 = Hardware(16 * GB, Gpu("cuda", "Card 8", 8 * GB, (8, 6)))
OLD = Hardware(16 * GB, Gpu("cuda", "Old card", 2 * GB, (6, 1)))
MAC = Hardware(16 * GB, Gpu("mps", "Apple GPU", 12 * GB))
ABSENT = Need("the model", "model", lambda home: False, "node models pull it")


def spec(name: str, task: Task = "asr", **more: object) -> EngineSpec:
    told = {"summary": name, "languages": ("en", "es"), "licence": "MIT", **more}
    return EngineSpec(name=name, task=task, factory=lambda home: pytest.fail("nothing is built"), **told)  # type: ignore[arg-type]


EMBEDDED = spec("embedded", rank=10, languages=("en",))
SMALL_MODEL = spec("small", rank=20, memory={"float32": 1 * GB, "float16": GB // 2, "int8": GB // 3})
LARGE = spec("large", rank=40, cpu_rank=5, memory={"float32": 6 * GB, "bfloat16": 3 * GB, "float16": 3 * GB})
UNFREE = spec("unfree", rank=90, use="non-commercial")
ALL = (EMBEDDED, SMALL_MODEL, LARGE, UNFREE)


@pytest.mark.parametrize(
    ("machine", "order", "place"),
    [
        (NONE, ["small", "embedded", "large"], ("cpu", "int8")),
        (SMALL, ["small", "embedded"], ("cpu", "int8")),
        (GPU8, ["large", "small", "embedded"], ("cuda", "bfloat16")),
        (OLD, ["small", "embedded", "large"], ("cuda", "float32")),
        (MAC, ["large", "small", "embedded"], ("mps", "float16")),
    ],
)
def test_a_grid_of_machines(machine: Hardware, order: list[str], place: tuple[str, str]) -> None:
    ranking = rank(ALL, Wish("asr", "en"), HOME, machine)
    assert [candidate.spec.name for candidate in ranking.candidates] == order
    best = ranking.candidates[0].places[0]
    assert (best.device, best.dtype) == place
    assert "unfree" in {passed.spec.name for passed in ranking.passed}


def test_a_licence_that_is_not_for_every_use_is_taken_when_named() -> None:
    (passed,) = (passed for passed in rank(ALL, Wish("asr"), HOME, NONE).passed if passed.spec is UNFREE)
    assert "licence" in passed.reason
    assert "unfree" in passed.remedy
    (only,) = rank(ALL, Wish("asr"), HOME, NONE, "unfree").candidates
    assert only.why == "asked for by name"


def test_what_is_not_fetched_says_how_to_get_it() -> None:
    ranking = rank([spec("far", rank=50, needs=(ABSENT,)), EMBEDDED], Wish("asr", "en"), HOME, NONE)
    assert [candidate.spec.name for candidate in ranking.candidates] == ["embedded"]
    assert ranking.passed[0].remedy == "node models pull it"


def test_languages_decide_before_rank() -> None:
    ranking = rank(ALL, Wish("asr", "es-MX"), HOME, NONE)
    assert "embedded" not in {candidate.spec.name for candidate in ranking.candidates}
    assert any(passed.reason == "it does not know es-MX" for passed in ranking.passed)
    assert rank(ALL, Wish("asr", "xx"), HOME, NONE).candidates == ()


@pytest.mark.parametrize(
    ("pairs", "source", "target", "serves"),
    [
        ((("en", "es"),), "en", "es", True),
        ((("en", "es"),), "es", "en", False),
        ((("en", "es"), ("es", "en")), "es", "en", True),
        ((("en", "pt-BR"),), "en", "pt", True),
        ((("en", "es"),), None, "es", True),
        ((("en", "es"),), None, "fr", False),
    ],
)
def test_pairs_are_directions(
    pairs: tuple[tuple[str, str], ...], source: str | None, target: str, serves: bool
) -> None:
    assert speaks(spec("pair", "mt", languages=(), pairs=pairs), Wish("mt", source, target)) == serves


def test_what_fits_nowhere_is_passed_with_the_figures() -> None:
    (passed,) = rank([LARGE], Wish("asr", "en"), HOME, SMALL).passed
    assert passed.reason == "it needs 3.60 GB in bfloat16, and 1.00 GB are free for engines"
    assert "Close other programs" in passed.remedy


def test_a_bound_that_was_set_is_named_and_no_program_is_to_be_closed() -> None:
    model = spec("m", memory={"float16": GB // 2, "float32": GB})
    (passed,) = rank([model], Wish("asr", "en"), HOME, Hardware(6 * GB // 10, bound=True)).passed
    assert passed.reason == "it needs 1.20 GB in float32, and `memory` in [engines] allows 0.60 GB"
    assert "`memory` in [engines]" in passed.remedy
    assert "programs" not in passed.remedy


def test_numbers_that_nothing_here_computes_in_are_told() -> None:
    (passed,) = rank([spec("m", memory={"float16": 1})], Wish("asr"), HOME, NONE).passed
    assert "only in float16" in passed.reason
    assert passed.remedy == "Choose another one: node models list"


def test_a_yes_that_is_lacking_is_told_and_not_offered_as_a_fetch() -> None:
    yes = Need("your yes to its program", "licence", lambda home: False, "In your own catalogue: runs_code = true")
    wish = Wish("tts", None, "en")
    passed = rank([spec("voice", "tts", needs=(yes,))], wish, HOME, NONE).passed
    said = refusal(wish, passed)
    assert said.sentence == "No tts engine can serve en: voice: your yes to its program is missing."
    assert said.remedy == yes.remedy


FAR = spec("opus-en-de", "mt", languages=(), pairs=(("en", "de"),), needs=(ABSENT,))
WIDE = spec(
    "wide", "mt", languages=("en", "de", "es"), rank=50, needs=(replace(ABSENT, remedy="node models pull wide"),)
)
NEAR = spec("opus-en-es", "mt", languages=(), pairs=(("en", "es"),))
WORDS = spec("words", "mt", languages=())


def test_the_one_that_was_named_is_the_one_that_is_told_of() -> None:
    wish = Wish("mt", None, "de")
    passed = rank([NEAR, FAR], wish, HOME, NONE).passed
    said = refusal(wish, passed, "opus-en-es", ["words"])
    assert said.sentence == "opus-en-es does not know de: it knows en to es."
    assert "words" in said.remedy
    assert refusal(wish, passed, "opus-en-es").remedy == "node models pull it"


def test_one_that_was_named_and_is_not_here_is_told_without_the_others() -> None:
    said = refusal(Wish("mt"), rank([NEAR, FAR], Wish("mt"), HOME, NONE).passed, "opus-en-de")
    assert (said.sentence, said.remedy) == ("opus-en-de cannot be used: the model is missing.", "node models pull it")


def test_a_direction_that_is_not_here_leads_to_its_packages_and_its_model() -> None:
    """The model of just this direction comes before the large one that also knows it."""
    wish = Wish("mt", "en", "de")
    own = UnsupportedLanguage("No dictionaries lead there.", "sudo apt install words-eng-deu")
    passed = [Passed(WORDS, own.sentence, own.remedy, language=True, said=own)]
    passed += rank([WIDE, FAR, NEAR], wish, HOME, NONE).passed
    said = refusal(wish, passed)
    assert isinstance(said, UnsupportedLanguage)
    assert said.sentence == "No dictionaries lead there."
    assert said.remedy == "sudo apt install words-eng-deu  or: node models pull it"
    own.remedy = "Choose another."
    assert refusal(wish, passed).remedy == "node models pull it"
    assert refusal(wish, passed[:1]).remedy == "Choose another."
    assert refusal(wish, rank([WIDE, NEAR], wish, HOME, NONE).passed).remedy == "node models pull wide"


@given(
    st.lists(
        st.builds(
            spec,
            st.uuids().map(str),
            rank=st.integers(-5, 5),
            cpu_rank=st.none() | st.integers(-5, 5),
            use=st.sampled_from(["any", "non-commercial", "ask"]),
            needs=st.sampled_from([(), (ABSENT,)]),
            memory=st.dictionaries(st.sampled_from(["float32", "int8", "float16"]), st.integers(1, 20 * GB)),
        ),
        max_size=6,
    ),
    st.sampled_from([NONE, SMALL, GPU8, OLD, MAC]),
    st.sampled_from(["en", "es", "xx"]),
)
def test_everybody_is_sorted_once_and_candidates_can_serve(
    specs: list[EngineSpec], machine: Hardware, language: str
) -> None:
    ranking = rank(specs, Wish("asr", language), HOME, machine)
    sorted_ = [candidate.spec.name for candidate in ranking.candidates] + [
        passed.spec.name for passed in ranking.passed
    ]
    assert sorted(sorted_) == sorted(one.name for one in specs)
    for candidate in ranking.candidates:
        assert candidate.spec.use == "any"
        assert not candidate.spec.missing(HOME)
        assert bool(candidate.places) == bool(candidate.spec.memory)
        for place in candidate.places:
            room = machine.memory if place.device == "cpu" else machine.gpu.memory if machine.gpu else 0
            assert candidate.spec.memory[place.dtype] <= room
    assert all(passed.reason for passed in ranking.passed)


def test_one_more_is_not_told_as_several() -> None:
    specs = [EngineSpec(name, "mt", "", ("en",), "none", lambda home: None, ()) for name in "abcd"]
    wish = Wish("mt", "fi", "sv")
    assert refusal(wish, rank(specs, wish, HOME, NONE).passed).sentence.endswith("and 1 other.")
    assert refusal(wish, rank([*specs, replace(specs[0], name="e")], wish, HOME, NONE).passed).sentence.endswith(
        "2 others."
    )
