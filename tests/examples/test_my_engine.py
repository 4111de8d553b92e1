"""The example of a third party's engine, built and installed as a reader would, found and run through the one door."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

RUN = """
import json, sys
from pathlib import Path
from ml.engines.protocols import EngineHome, Mt
from ml.engines.registry import Registry, discover
from ml.errors import EngineFailed, UnsupportedLanguage

specs = [spec for spec in discover() if spec.task == "mt"]
registry = Registry(specs, EngineHome(Path("none")))
engine = registry.load("mt", "glossary")
result = engine.translate("Good morning! Where is the old station?", "en", "eo")
refused = ""
try:
    engine.translate("hello", "en", "es")
except UnsupportedLanguage as error:
    refused = error.sentence
registry.close()
try:
    engine.translate("hello", "en", "eo")
except EngineFailed as error:
    closed = error.sentence
print(json.dumps({
    "isinstance": isinstance(engine, Mt), "names": [spec.name for spec in specs], "text": result.text,
    "unknown": result.unknown, "confidence": result.confidence, "route": result.route, "refused": refused,
    "closed": closed, "file": sys.modules["babelmesh_glossary"].__file__,
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installed the example into, built from a copy so that the checkout stays as it is."""
    pytest.importorskip("hatchling", reason="needs hatchling: make develop")
    example = Path(__file__).resolve().parents[2] / "examples" / "my_engine"
    target = tmp_path_factory.mktemp("installed")
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir")
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--target", str(target))
    command = [sys.executable, "-m", "pip", "install", *quiet, *offline, str(example)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def result(installed: Path) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_engine_is_found_beside_ours(result: dict[str, Any], installed: Path) -> None:
    assert result["names"][-1] == "glossary"
    assert len(result["names"]) > 1
    assert result["file"].startswith(str(installed))
    assert result["isinstance"]


def test_it_translates_longest_phrase_first_and_tells_what_it_lacks(result: dict[str, Any]) -> None:
    assert result["text"] == "bonan matenon! kie estas la old station?"
    assert result["unknown"] == ["old", "station"]
    assert result["confidence"] == pytest.approx(3 / 5)
    assert result["route"] == ["en", "eo"]


def test_it_keeps_the_contract(result: dict[str, Any]) -> None:
    assert result["refused"] == "The glossary goes from en to eo only."
    assert result["closed"] == "The glossary is closed."


def test_it_stays_small() -> None:
    module = Path(__file__).resolve().parents[2] / "examples" / "my_engine" / "babelmesh_glossary" / "__init__.py"
    assert len(module.read_text().splitlines()) <= 60


def test_it_is_as_short_as_the_page_says() -> None:
    page = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8")
    code = (ROOT / "examples" / "my_engine" / "babelmesh_glossary" / "__init__.py").read_text(encoding="utf-8")
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) < 40
    assert f"{len(lines)} lines of code" in page
