"""Where an outcome comes from: the command, the code, the machine and the day, so that somebody else can do it again.

Knows nothing of what came out.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from node.simulation.wish import Cut, Wish

ROOT = Path(__file__).parents[2]
"""Of the code, when it runs from a checkout."""
LIBRARIES = ("numpy", "torch")
"""On whose versions the last bit may depend."""
PATIENCE = 10.0
"""Seconds that git may take."""


def origin(wish: Wish, cut: Cut) -> Mapping[str, str]:
    """What a report says of it, by name. The day is that of the end."""
    return {
        "command": command(wish, cut),
        "babelmesh": f"{version('babelmesh')}, {commit(ROOT)}",
        "machine": machine(),
        "libraries": f"Python {platform.python_version()}, " + ", ".join(f"{one} {version(one)}" for one in LIBRARIES),
        "finished": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }


def command(wish: Wish, cut: Cut) -> str:
    """The command line that gives the same numbers; what is as usual is left out, and so is where they were kept."""
    return shlex.join(["node", "simulate", *_options(wish), *_options(cut)])


def _options(chosen: Wish | Cut) -> Iterator[str]:
    for field in fields(chosen):
        value = getattr(chosen, field.name)
        if value == field.default:
            continue
        if isinstance(value, bool):
            yield f"--{field.name}" if value else f"--no-{field.name}"
        else:
            yield from (f"--{field.name}", str(value))


def commit(root: Path) -> str:
    """The commit of a checkout, with `-dirty` when its files are other ones; "no checkout" of an installed package."""
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return "no checkout"
    words = [git, "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError):
        return "a checkout of unknown commit"
    return f"commit {said.stdout.strip()}"


def machine() -> str:
    """Processor, cores and system."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or "unknown processor"
    names = (line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")
