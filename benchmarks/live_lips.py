"""Lips in live video: what becomes of each picture, in real time on this machine and computed for slower ones.

python benchmarks/live_lips.py [--json FILE] [--quick]

A still (the astronaut of scikit-image; NASA, public domain) at 480p and 720p, and the clips in ../shared/data/video at
720 pixels on their shorter side, play the camera; a voice recites in Spanish meanwhile. `real`: threads, decoding and
encoding share the cores as in a call, and skew is told against a sound card's asking for 10 ms at a time. `computed`:
work takes the processor time that it takes here, so many times; decoding and encoding are left out. Milliseconds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

from lips_takes import RATE, TEXTS, at_720, clips_found, stilled
from models_home import models_home
from rich.console import Console
from rich.table import Table
from strict_json import strict

from ml.engines.espeak import SPEC
from ml.engines.protocols import Tts
from ml.lips.live_report import LiveReport
from ml.lips.presets import PRESETS
from ml.lips.renderers import RendererName, renderer_at
from ml.lips.tracker import tracker_at
from ml.threads import limit_threads
from node.film.live_file import Cast, LivePace, film_live
from node.film.live_speech import recited

SLOW = (1, 3, 6)
Run = tuple[Path, RendererName, LivePace]


def clips(scratch: Path, seconds: float, quick: bool) -> Iterator[tuple[Path, tuple[RendererName, ...]]]:
    """What plays the camera, and the renderers that draw on it."""
    for height in (480,) if quick else (480, 720):
        path = scratch / f"still-{height}.mp4"
        stilled(path, height, seconds)
        yield path, ("warp",)
    for clip in clips_found()[: 1 if quick else None]:
        yield at_720(clip, scratch, round(seconds * RATE)), ("bank",) if quick else ("bank", "warp")


def runs(scratch: Path, quick: bool) -> Iterator[Run]:
    for path, names in clips(scratch, 3.0 if quick else 8.0, quick):
        for name in names:
            yield path, name, LivePace(real=True)
            for slow in SLOW[:1] if quick else SLOW:
                yield path, name, LivePace(real=False, slow=slow)


def row(report: LiveReport) -> dict[str, Any]:
    """One run, for a table."""
    said = report.pictures - report.silent - report.faceless
    found: dict[str, Any] = {
        "said": said,
        "moved %": round(100 * report.moved / max(1, said), 1),
        "late": report.late,
        "unknown": report.unknown,
        "audio only": report.audio_only,
        "spells": report.spells,
    }
    for name in ("look", "draw", "waited", "skew"):
        spread = getattr(report, name)
        found |= {f"{name} p50": spread.p50, f"{name} p95": spread.p95}
    return found | {"waited most": report.waited.most}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="one still, one clip, three seconds")
    options = parser.parse_args()
    limit_threads()
    home = models_home()
    console = Console(width=200)
    console.print(f"Load average {os.getloadavg()[0]:.1f} at the start.")
    result: dict[str, Any] = {"load": os.getloadavg(), "runs": {}}
    with (
        tempfile.TemporaryDirectory(prefix="babelmesh-live-") as folder,
        closing(SPEC.factory(home)) as voice,
        closing(tracker_at(home)) as tracker,
    ):
        assert isinstance(voice, Tts)  # noqa: S101 - espeak-ng is a voice
        for path, name, pace in runs(Path(folder), options.quick):
            tracker.forget()
            cast = Cast(tracker, partial(renderer_at, name, PRESETS["fast"]))
            report = film_live(
                path, Path(folder, "out.mp4"), cast, partial(recited, TEXTS["es"] * 4, "es", voice), pace=pace
            )
            how = "real" if pace.real else f"computed, {pace.slow:g}x"
            result["runs"][f"{path.stem}, {name}, {how}"] = row(report)
            if options.json:
                options.json.write_text(strict(result, 2) + "\n")
    shown = Table(title="Live pictures while something is said", title_justify="left")
    shown.add_column("")
    for column in next(iter(result["runs"].values())):
        shown.add_column(column, justify="right")
    for title, values in result["runs"].items():
        shown.add_row(title, *map(str, values.values()))
    console.print(shown)
    console.print(f"Load average {os.getloadavg()[0]:.1f} at the end.")


if __name__ == "__main__":
    main()
