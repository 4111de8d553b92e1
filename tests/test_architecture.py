"""The rules of the house, so that no reviewer has to hold them.

Each is also run over small bad modules that it must catch and good ones that it must leave alone: a rule that cannot
fail holds nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house_rules import (
    ROOMS,
    ROOT,
    RULES,
    SUPERVISORS,
    TEST_RULES,
    WITHOUT_MIRROR,
    Module,
    Rule,
    has_its_mirror_test,
)

AT_THE_ROOT = {
    *(".ci", ".github", ".gitignore", ".gitattributes"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "NOTICE", "README.md", "SECURITY.md"),
    *("constraints.txt", "pyproject.toml", "zensical.toml"),
    *("benchmarks", "cli", "docs", "examples", "ml", "node", "p2p", "scripts", "tests"),
}

STAYS_OUT_OF_THE_DOOR = ("torch", "libp2p", "trio", "onnxruntime", "transformers", "pocketsphinx", "scipy", "av")

CASES_TO_CATCH = [(rule, bad) for rule, (bads, _) in (RULES | TEST_RULES).items() for bad in bads]
CASES_TO_LEAVE = [(rule, good) for rule, (_, goods) in (RULES | TEST_RULES).items() for good in goods]


def name_of(value: object) -> str:
    return getattr(value, "__name__", None) or repr(getattr(value, "text", value))[:40]


def modules_of(*folders: str) -> list[Module]:
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [Module(path.relative_to(ROOT).as_posix(), path.read_text()) for path in paths]


@pytest.fixture(scope="session")
def product() -> list[Module]:
    return modules_of(*ROOMS)


@pytest.fixture(scope="session")
def beside_the_product() -> list[Module]:
    return modules_of("tests", "benchmarks", "scripts")


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_the_product_keeps_the_rule(rule: Rule, product: list[Module]) -> None:
    assert len(product) > len(ROOMS)
    broken = [f"{module.path} {what}" for module in product for what in rule(module)]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("rule", TEST_RULES, ids=name_of)
def test_the_tests_keep_the_rule(rule: Rule, beside_the_product: list[Module]) -> None:
    assert len(beside_the_product) > len(ROOMS)
    broken = [f"{module.path} {what}" for module in beside_the_product for what in rule(module)]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(("rule", "bad"), CASES_TO_CATCH, ids=name_of)
def test_the_rule_catches_what_breaks_it(rule: Rule, bad: Module) -> None:
    assert list(rule(bad))


@pytest.mark.parametrize(("rule", "good"), CASES_TO_LEAVE, ids=name_of)
def test_the_rule_leaves_what_keeps_it(rule: Rule, good: Module) -> None:
    assert list(rule(good)) == []


def test_an_empty_mirror_is_no_mirror(tmp_path: Path) -> None:
    mirror = tmp_path / "tests" / "ml" / "test_a.py"
    mirror.parent.mkdir(parents=True)
    mirror.write_text('"""Soon."""\n')
    assert list(has_its_mirror_test(Module("ml/a.py", ""), tmp_path)) == ["has an empty test file: tests/ml/test_a.py"]
    mirror.write_text("def test_a(): assert 1\n")
    assert list(has_its_mirror_test(Module("ml/a.py", ""), tmp_path)) == []


def test_every_exemption_still_has_its_module() -> None:
    gone = [path for path in (*WITHOUT_MIRROR, *SUPERVISORS) if not (ROOT / path).is_file()]
    assert not gone, f"these need no exemption any more: {gone}"


def strangers(tracked: list[str]) -> set[str]:
    """Names at the root that are not on the list."""
    return {path.split("/")[0] for path in tracked} - AT_THE_ROOT


def test_nothing_strange_lies_at_the_root() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs a git checkout to tell what belongs to the project")
    found = strangers(listed.stdout.splitlines())
    assert not found, f"these belong into a room, or onto the list with a reason: {sorted(found)}"


def test_a_stranger_at_the_root_is_seen() -> None:
    assert strangers(["README.md", "ml/a.py", "notes.txt", "old/b.py"]) == {"notes.txt", "old"}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.is_file():
        pytest.skip("needs import-linter: make develop")
    return subprocess.run([tool, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_the_rooms_know_only_who_they_may_know() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("room", "text", "contract"),
    [
        ("ml", "import p2p\n", "rooms"),
        ("p2p", "import ml\n", "rooms"),
        ("ml", "import node\n", "rooms"),
        ("node", "import cli\n", "rooms"),
        ("node", "import trio\n", "one door to the network"),
        ("cli", "import torch\n", "tensors stay in the studio"),
    ],
)
def test_a_forbidden_door_is_seen(tmp_path: Path, room: str, text: str, contract: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ROOMS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    clean = lint_imports(tmp_path)
    assert clean.returncode == 0, clean.stdout
    (tmp_path / room / "intruder.py").write_text(text)
    caught = lint_imports(tmp_path)
    assert caught.returncode != 0
    assert f"{contract} BROKEN" in caught.stdout


def heavy_after(statement: str) -> list[str]:
    """Which of the heavy packages are loaded after running a statement in a new interpreter."""
    script = f"import sys\n{statement}\nprint(*(set({STAYS_OUT_OF_THE_DOOR!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.split())


def test_the_door_opens_without_the_heavy_furniture() -> None:
    assert heavy_after("import cli.app") == []


def test_the_rooms_open_without_the_heavy_furniture() -> None:
    assert heavy_after("import ml, ml.engines.registry, node.config, node.doctor, p2p") == []


def test_heavy_furniture_would_be_seen() -> None:
    assert heavy_after("import onnxruntime") == ["onnxruntime"]
