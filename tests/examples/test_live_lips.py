"""The example of live lips runs as its first lines say, and tells what became of the pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ml.engines.espeak import SPEC
from ml.engines.protocols import EngineHome
from ml.errors import Unavailable
from ml.lips.tracker import tracker_at
from tests.conftest import ROOT
from tests.ml.video.clips import Recipe, make


@pytest.mark.parametrize("shown", [pytest.param("table", marks=pytest.mark.slow), "json"])
def test_a_face_says_a_sentence(shown: str, models_dir: Path, tmp_path: Path) -> None:
    home = EngineHome(models_dir)
    try:
        tracker_at(home).close()
    except Unavailable as missing:
        pytest.skip(missing.remedy)
    if SPEC.missing(home):
        pytest.skip("needs espeak-ng")
    clip = make(tmp_path / "a.mp4", Recipe(count=15, width=320, height=240))
    example = [sys.executable, str(ROOT / "examples/live_lips.py"), str(clip), str(tmp_path / "b.mp4")]
    words = ["--text", "Hola. Mamá.", "--to", "es", "--computed", "--slow", "0.1", "--lips", "warp"]
    done = subprocess.run(
        [*example, *words, *(["--json"] if shown == "json" else [])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b.mp4").stat().st_size > 1000
    if shown == "json":
        report = json.loads(done.stdout)
        assert report["pictures"] == 15
        assert report["moved"] > 5
        assert report["seconds"][0]["skew"]["count"] == 15
    else:
        assert "moved" in done.stdout
        assert "p95" in done.stdout


def test_it_says_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/live_lips.py"), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "video" in done.stdout
    assert "result" in done.stdout
