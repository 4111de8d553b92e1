"""The choice over a grid of machines: none is asked for what it has not, and nobody is passed over without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.device import Gpu, Hardware
from ml.engines.choice import Wish, rank, speaks
from ml.engines.protocols import EngineHome, EngineSpec, Need, Task

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
    assert passed.reason == "it needs 3.0 GB, and 1.0 GB are free"


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
