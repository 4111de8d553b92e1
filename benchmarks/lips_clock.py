"""What each picture of a film with new lips costs, stage by stage. Knows nothing of how good they are."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from lips_takes import OPTIONS, Rows, Said, areas, wished

from ml.engines.protocols import EngineHome
from ml.lips.presets import PRESETS
from ml.lips.renderers import RendererName, renderer_at
from ml.lips.tracker import tracker_at
from ml.lips.types import Face, put
from ml.video.probe import probe
from ml.video.read import Still, VideoReader
from ml.video.write import VideoWriter


@dataclass(eq=False)
class Clock:
    """Milliseconds of each picture by stage, on the wall and of this thread."""

    wall: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    own: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        wall, own = time.perf_counter(), time.thread_time()
        yield
        self.wall[name].append(1000 * (time.perf_counter() - wall))
        self.own[name] += 1000 * (time.thread_time() - own)


def timed(
    clip: Path, said: Said, name: RendererName, home: EngineHome, scratch: Path
) -> dict[str, dict[str, float | int]]:
    """Three passes as a film makes them, nobody watching: milliseconds per picture and stage.

    What libav computes in threads of its own is decoding in the first two passes, and in the third what is left once
    as much decoding is taken away: encoding.
    """
    clock = Clock()
    shares: list[float] = []
    out = scratch / "timed.mp4"
    faces: list[Face | None] = []
    times = []
    with closing(tracker_at(home)) as tracker, closing(renderer_at(name, PRESETS["balanced"])) as renderer:
        with VideoReader(clip) as reader:
            tracker.follow(next(reader).picture)  # networks take their memory at the first
        tracker.forget()
        began = time.perf_counter()
        with _threads(clock, shares):
            for still in _clocked(clip, clock, "decode 1"):
                with clock.stage("find faces"):
                    faces.append(next(iter(tracker.follow(still.picture)), None))
                times.append(still.time)
        with clock.stage("choose"):
            wanted = wished(said, faces, times)
        with _threads(clock, shares):
            for still in _clocked(clip, clock, "decode 2"):
                with clock.stage("look"):
                    if (face := faces[still.index]) is not None:
                        renderer.offer(still.index, still.picture, face)
        with clock.stage("choose"):
            renderer.plan(faces, wanted)
        with _threads(clock, shares):
            writer = VideoWriter(out, probe(clip), OPTIONS)
            for still in _clocked(clip, clock, "decode 3"):
                patch, face, mouth = None, faces[still.index], wanted[still.index]
                with clock.stage("draw"):
                    if face is not None and mouth is not None:
                        patch = renderer.render(still.index, still.picture, face, mouth)
                with clock.stage("compose"):
                    if patch is not None:
                        put(still.picture, patch)
                with clock.stage("encode"):
                    writer.write(still.time, still.picture, still, areas(patch))
            writer.close()
        whole = time.perf_counter() - began
    out.unlink()
    count = len(times)
    decoding = (shares[0] + shares[1]) / 2
    rows: Rows = {}
    walls = {stage: np.array(values[:count]) for stage, values in clock.wall.items() if stage != "choose"}
    walls["decode, three passes"] = np.sum([walls.pop(f"decode {each}") for each in (1, 2, 3)], axis=0)
    spent = {stage: clock.own[stage] / count for stage in ("find faces", "look", "draw", "compose")}
    spent |= {"decode, three passes": 3 * decoding / count, "encode": max(0.0, shares[2] - decoding) / count}
    for stage in ("decode, three passes", "find faces", "look", "choose", "draw", "compose", "encode"):
        if stage == "choose":
            mean = sum(clock.wall["choose"]) / count
            rows[stage] = {"p50_ms": mean, "p95_ms": mean, "cpu_ms": clock.own["choose"] / count}
            continue
        p50, p95 = np.percentile(walls[stage], [50, 95])
        rows[stage] = {"p50_ms": float(p50), "p95_ms": float(p95), "cpu_ms": spent[stage]}
    p50, p95 = np.percentile(np.sum(list(walls.values()), axis=0) + rows["choose"]["p50_ms"], [50, 95])
    rows["whole"] = {
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "cpu_ms": sum(row["cpu_ms"] for row in rows.values()),
        "mean_ms": 1000 * whole / count,
    }
    return rows


@contextmanager
def _threads(clock: Clock, shares: list[float]) -> Iterator[None]:
    """Append the milliseconds of this process that no stage but decoding and encoding accounts for."""
    counted = ("find faces", "look", "draw", "compose")
    before, process = sum(clock.own[each] for each in counted), time.process_time()
    yield
    shares.append(1000 * (time.process_time() - process) - sum(clock.own[each] for each in counted) + before)


def _clocked(clip: Path, clock: Clock, name: str) -> Iterator[Still]:
    with VideoReader(clip) as reader:
        while True:
            with clock.stage(name):
                still = next(reader, None)
            if still is None:
                return
            yield still
