"""Draws docs/pictures/node-stats.svg: what `node stats` shows of a real node.

    node stats --json | python scripts/picture.py     # a node that has learnt with peers

The figures in the picture are that node's own; nothing is made up. It carries no font and refers to nothing outside.
"""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

from rich.console import Console

from cli.dashboard import dashboard

WIDTH = 88
FILE = Path(__file__).resolve().parent.parent / "docs" / "pictures" / "node-stats.svg"


def picture(told: dict[str, object]) -> str:
    """The dashboard as an SVG without fonts of another site: any monospaced one will do."""
    console = Console(
        width=WIDTH, file=io.StringIO(), record=True, highlight=False, force_terminal=True, legacy_windows=False
    )
    console.print(dashboard(told, WIDTH))
    svg = console.export_svg(title="node stats", unique_id="node-stats")
    return re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", svg, flags=re.S)


def main() -> None:
    """Draw what `node stats --json` said."""
    try:
        told = json.load(sys.stdin)
    except ValueError as error:
        raise SystemExit("That is no JSON: node stats --json | python scripts/picture.py") from error
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(picture(told), encoding="utf-8")


if __name__ == "__main__":
    main()
