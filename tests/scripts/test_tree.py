from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def tree(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("tree", repository / "scripts" / "tree.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for room, says in {
        "cli": "The door: knocks.",
        "node": "The household.",
        "ml": "The studio.",
        "p2p": "The gate.",
    }.items():
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text(f'"""{says} More."""\n')
    (tmp_path / "ml" / "audio").mkdir()
    (tmp_path / "ml" / "audio" / "__init__.py").write_text('"""Sound as numbers."""\n')
    (tmp_path / "ml" / "types.py").write_text('"""The values that\ntravel. And more.\n\nMuch more.\n"""\n')
    return tmp_path


def test_modules_come_with_their_first_sentence(tree: ModuleType, house: Path) -> None:
    page = tree.page_with_tree(f"# A\n{tree.START}\nold\n{tree.END}\nend\n", house)
    assert page.startswith(f"# A\n{tree.START}\n\n```text\ncli/")
    assert page.endswith(f"```\n\n{tree.END}\nend\n")
    body = page.splitlines()
    assert "cli/                         The door: knocks" in body
    assert "  types.py                   The values that travel" in body
    assert "  audio/                     Sound as numbers" in body
    assert "old" not in body


def test_writing_twice_changes_nothing(tree: ModuleType, house: Path) -> None:
    once = tree.page_with_tree(f"{tree.START}{tree.END}", house)
    assert tree.page_with_tree(once, house) == once


def test_a_page_without_its_place_is_refused(tree: ModuleType, house: Path) -> None:
    with pytest.raises(ValueError, match="the page needs a line"):
        tree.page_with_tree("# nothing", house)


def test_the_committed_tree_is_the_present_one(repository: Path) -> None:
    command = [sys.executable, "scripts/tree.py", "--check"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
