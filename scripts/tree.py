"""Writes the annotated tree into docs/index.md: each module's path and the first sentence of its docstring.

    python scripts/tree.py            # write it
    python scripts/tree.py --check    # end with 1 when it is out of date

The tree stands between two comments of the page; everything else in the page is left alone.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "index.md"
ROOMS = ("cli", "node", "ml", "p2p")
START, END = "<!-- tree: written by make docs -->", "<!-- tree ends -->"
WIDTH = 28


def sentence(path: Path) -> str:
    """The first sentence of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", paragraph)[0].rstrip(".")


def lines(folder: Path, depth: int) -> Iterator[str]:
    """The lines of one folder: what it is, its modules, then its rooms."""
    yield _line(folder.name + "/", depth, sentence(folder / "__init__.py"))
    for module in sorted(folder.glob("*.py")):
        if module.name != "__init__.py":
            yield _line(module.name, depth + 1, sentence(module))
    for room in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield from lines(room, depth + 1)


def page_with_tree(page: str, root: Path) -> str:
    """The page with the tree of `root` between its two comments. Raises ValueError when they are not there."""
    before, found, rest = page.partition(START)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"the page needs a line {START!r} and below it a line {END!r}")
    tree = "\n".join(line for room in ROOMS for line in lines(root / room, 0))
    return f"{before}{START}\n\n```text\n{tree}\n```\n\n{END}{after}"


def _line(name: str, depth: int, what: str) -> str:
    return f"{'  ' * depth + name:{WIDTH}} {what}".rstrip()


def main(arguments: list[str]) -> int:
    """Write or check the tree; the exit code."""
    page = PAGE.read_text(encoding="utf-8")
    wanted = page_with_tree(page, ROOT)
    if page == wanted:
        return 0
    if "--check" in arguments:
        sys.stderr.write("docs/index.md: the tree is out of date: run make docs, and commit the page.\n")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
