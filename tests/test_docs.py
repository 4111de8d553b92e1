"""What the documentation says is there: links lead somewhere, targets and commands exist, settings are read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from cli.app import build_app
from node.config import ConfigFile

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/**/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"`(?:[A-Z_]+=\S+ )?make ([a-z][a-z-]*)|^\s*make ([a-z][a-z-]*)", re.MULTILINE)
NODE = re.compile(r"(?:`|bin/|^\s*)node ([a-z]+)(?: ([a-z]+)\b)?", re.MULTILINE)

TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    links = [link.partition("#")[0] for link in LINK.findall(page.read_text(encoding="utf-8"))]
    return [link for link in links if link and "://" not in link and not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def missing_tests(page: Path) -> list[str]:
    """Tests that a page names and that are not there."""
    return [
        f"{file}::{name}"
        for file, name in TEST.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / file).is_file() or not re.search(rf"def {name}\(", (ROOT / file).read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_test_that_is_named_exists(page: Path) -> None:
    assert missing_tests(page) == []


def test_a_missing_test_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "`tests/test_docs.py::test_a_missing_test_is_seen` `tests/test_docs.py::test_nothing`"
    )
    assert missing_tests(tmp_path / "a.md") == ["tests/test_docs.py::test_nothing"]


def test_the_threat_model_names_tests() -> None:
    assert len(TEST.findall((ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8"))) > 20


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("[b](b.md) [c](https://c.org) [d](#d) [a](a.md#x)")
    assert broken_links(tmp_path / "a.md") == ["b.md"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {first or second for first, second in MAKE.findall(page.read_text(encoding="utf-8"))}
    assert named <= targets


def test_make_targets_are_seen() -> None:
    text = "`make demo` and `A=1 make bench`\n    make test\nto make sense"
    assert {first or second for first, second in MAKE.findall(text)} == {"demo", "bench", "test"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_exists(page: Path) -> None:
    app = build_app()
    for command, verb in NODE.findall(page.read_text(encoding="utf-8")):
        assert command in app, f"node {command}"
        if command in {"voice", "models"} and verb:
            assert verb in app[command], f"node {command} {verb}"


def test_the_settings_of_the_quick_start_are_read() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "quick-start.md").read_text(), re.DOTALL)
    said = msgspec.convert(tomllib.loads(text), ConfigFile)
    assert said.translate.target == "es"
    assert said.voice.profile == "me"


def test_the_documented_packages_are_the_ones_that_make_installs() -> None:
    (wanted,) = re.findall(r"^DEBIAN_PACKAGES \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    page = (ROOT / "docs" / "quick-start.md").read_text()
    assert [name for name in wanted.split() if f"`{name}`" not in page] == []


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
