"""Runs every fuzz target of this folder for a bounded time; a crash, a hang or memory beyond the bound fails."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
TARGETS = sorted(FOLDER.glob("fuzz_*.py"))
SECONDS = int(os.environ.get("BABELMESH_FUZZ_SECONDS", "20"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris"),
]


def run(target: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        str(target),
        *options,
        f"-artifact_prefix={folder}/",
        "-rss_limit_mb=1024",
        "-timeout=10",
    ]
    return subprocess.run(
        command,
        cwd=FOLDER.parent.parent,
        env=os.environ | {"PYTHONPATH": str(FOLDER.parent.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
    )


@pytest.mark.parametrize("target", TARGETS, ids=lambda path: path.stem)
def test_nothing_is_found(target: Path, tmp_path: Path) -> None:
    done = run(target, tmp_path, f"-max_total_time={SECONDS}")
    assert done.returncode == 0, done.stderr[-3000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs is not None, done.stderr[-3000:]
    assert int(runs[1]) > 1000
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_breaks_is_seen(tmp_path: Path) -> None:
    target = tmp_path / "fuzz_bad.py"
    target.write_text(
        "import sys, atheris\n"
        "def one(data):\n"
        "    if data[:1] == b'x':\n"
        "        raise AssertionError('found')\n"
        "atheris.Setup(sys.argv, one)\n"
        "atheris.Fuzz()\n"
    )
    done = run(target, tmp_path, "-max_total_time=60")
    assert done.returncode != 0
    assert "AssertionError: found" in done.stderr + done.stdout


def test_there_are_targets() -> None:
    assert {"fuzz_wire"} <= {path.stem for path in TARGETS}
