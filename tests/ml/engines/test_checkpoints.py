"""Catalogue entries become engines; what is missing is asked for, and nothing is imported to describe them."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest

from ml.device import Placement
from ml.engines.checkpoints import KINDS, Kind, specs, unfetched
from ml.engines.protocols import MORE_TASKS, TASKS, EngineHome, EngineSpec
from ml.errors import Unavailable
from ml.models.catalogue import Catalogue
from ml.models.checkpoint import Checkpoint
from ml.models.entry import HubSource, ModelEntry, ModelFile
from tests.conftest import ROOT
from tests.ml.engines.tiny import checkpoint, entry, tinies, tiny_specs

HOME = EngineHome(Path("nowhere"))
NOWHERE = Checkpoint(entry("one", "mt", "odd"), Path("nowhere"), "0")


def nothing_here(model: ModelEntry, home: EngineHome) -> Checkpoint:
    raise Unavailable(f"{model.name} is not here.", f"node models pull {model.name}")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_a_body_with_a_way_to_load_it_and_a_tiny_checkpoint(name: str) -> None:
    kind = KINDS[name]
    module, _, body = kind.body.partition(":")
    assert callable(getattr(import_module(module), body).load)
    assert kind.loadable() is getattr(import_module(module), body)
    assert kind.task in (*TASKS, *MORE_TASKS)
    assert any(tiny.entry.engine == name and tiny.entry.task == kind.task for tiny in tinies().values())


PARTS = {"resemblyzer", "mediapipe-face"}
"""Models of the catalogue that run without this room's help: their engines have doors of their own."""


def test_every_model_of_the_catalogue_has_an_engine_of_its_task() -> None:
    """A name that no kind bears would leave a model that can be fetched and never be used."""
    models = {model.name: model for model in Catalogue.load().model}
    of = {model.name for model in models.values() if model.engine in KINDS}
    assert {name for name in of if KINDS[models[name].engine].task != models[name].task} == set()
    parts = {part for model in models.values() for part in model.parts.values()}
    assert set(models) - of - parts == PARTS


def test_what_is_missing_is_named_with_the_way_to_get_it() -> None:
    kinds = {"odd": Kind("mt", "nowhere:Nothing", (("no_such_package", "pip install it"),))}
    (spec,) = specs(
        [entry("one", "mt", "odd")], nothing_here, lambda model, home: False, lambda model: Placement(), kinds
    )
    assert [need.remedy for need in spec.missing(HOME)] == [
        "pip install it",
        "Put its published files into one, or mend the catalogue's `path`.",
    ]
    fetched = entry("one", "mt", "odd", source=HubSource("a/b"), files=(ModelFile("x"),))
    (spec,) = specs([fetched], nothing_here, lambda model, home: False, lambda model: Placement(), kinds)
    assert spec.missing(HOME)[1].remedy == "node models pull one"
    assert unfetched(spec, HOME)


def test_a_yes_to_a_program_is_the_users_and_nothing_to_fetch() -> None:
    kinds = {"odd": Kind("tts", "nowhere:Nothing", (), program=True)}
    (spec,) = specs(
        [entry("one", "tts", "odd")], nothing_here, lambda model, home: True, lambda model: Placement(), kinds
    )
    (need,) = spec.missing(HOME)
    assert (need.name, need.kind) == ("your yes to its program", "licence")
    assert not unfetched(spec, HOME)


def test_entries_of_unknown_kinds_are_no_engines() -> None:
    assert not specs(
        [entry("one", "mt", "unheard-of")], nothing_here, lambda model, home: True, lambda model: Placement()
    )


def test_the_spec_says_what_the_catalogue_says() -> None:
    model = entry(
        "one", "mt", "odd", pairs=("en-es", "en-pt-BR"), memory={"float32": 10}, use="ask", terms="be kind", rank=7
    )
    kinds = {"odd": Kind("mt", "nowhere:Nothing", ())}
    (spec,) = specs([model], nothing_here, lambda model, home: True, lambda model: Placement(), kinds)
    assert spec.pairs == (("en", "es"), ("en", "pt-BR"))
    assert (spec.name, spec.rank, spec.use, dict(spec.memory)) == ("one", 7, "ask", {"float32": 10})
    assert spec.missing(HOME) == ()


@pytest.mark.parametrize(
    ("told", "source", "target"),
    [
        ("en-es", "en", "es"),
        ("en-pt-BR", "en", "pt-BR"),
        ("pt-BR-en", "pt-BR", "en"),
        ("zh-Hant-en", "zh-Hant", "en"),
        ("en-zh-Hant", "en", "zh-Hant"),
        ("zh-Hant-pt-BR", "zh-Hant", "pt-BR"),
        ("en-roa", "en", "roa"),
    ],
)
def test_a_pair_is_cut_where_both_sides_are_languages(told: str, source: str, target: str) -> None:
    kinds = {"odd": Kind("mt", "nowhere:Nothing", ())}
    model = entry("one", "mt", "odd", pairs=(told,))
    (spec,) = specs([model], nothing_here, lambda model, home: True, lambda model: Placement(), kinds)
    assert spec.pairs == ((source, target),)


def test_the_factory_gives_the_model_its_place() -> None:
    (spec,) = tiny_specs(["tiny-wavlm"], Placement("cpu", "bfloat16"))
    engine = spec.factory(HOME)
    assert "bfloat16" in engine.capabilities().version
    assert checkpoint("tiny-wavlm").revision[:12] in engine.capabilities().version
    engine.close()


class Meeting:
    """Waits for another that is loaded at the same time."""

    met = 0
    together = threading.Barrier(2)

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> None:
        try:
            cls.together.wait(0.1)
            cls.met += 1
        except threading.BrokenBarrierError:
            cls.together.reset()


def test_engines_are_built_one_after_the_other_from_any_number_of_threads() -> None:
    kinds = {"odd": Kind("mt", f"{__name__}:Meeting", ())}
    models = [entry(name, "mt", "odd") for name in ("one", "two")]
    made = specs(models, lambda model, home: NOWHERE, lambda model, home: True, lambda model: Placement(), kinds)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda spec: spec.factory(HOME), made)) == [None, None]
    assert Meeting.met == 0


def test_describing_engines_imports_nothing_heavy() -> None:
    program = "import sys; import ml.engines.checkpoints; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "huggingface_hub"} & set(done.stdout.split())


def test_the_page_tells_every_kind_and_every_field_of_an_entry(repository: Path) -> None:
    page = (repository / "docs" / "models.md").read_text(encoding="utf-8")
    section = page.partition("### What an entry has")[2].partition("\n### ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    told = {row[0].strip("| `"): set(re.findall(r"`([a-z0-9-]+)`", row[2])) for row in rows if len(row) == 3}
    kinds: dict[str, set[str]] = {}
    for name, kind in KINDS.items():
        kinds.setdefault(kind.task, set()).add(name)
    assert {task: names for task, names in told.items() if task in (*TASKS, *MORE_TASKS)} == kinds
    assert {one for one in ModelEntry.__struct_fields__ if f"`{one}`" not in section} == set()
