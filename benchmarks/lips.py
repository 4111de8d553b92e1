"""Lips: whether they stand as they were asked to, and what each picture costs, beside Wav2Lip's network.

python benchmarks/lips.py [--json FILE] [--quick] [--sheets FOLDER]

A still (the astronaut of scikit-image; NASA, public domain) and the clips in ../shared/data/video, where there are any,
are made to say what espeak-ng says. Openings are in eye-widths, the distance of the outer corners of the eyes. r is
Pearson's, between the openings that were asked for and those that a judge read off the result; `source r` is the
control, with those of the pictures as they were. Closures: the least opening that is read within each p, b and m.
Silence: pictures more than 0.3 s after and 0.25 s before speech. Jitter: the mean second difference of the opening,
beside the source's own (of a still: the wanted one's). Wav2Lip's network has its published size and random weights:
that tells its time and nothing of its looks.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
from figures_table import figures_table
from lips_clock import timed
from lips_takes import CLIPS, RATE, Rows, Said, at_720, clips_found, figures, found, judged, sheet, spoken, stilled
from models_home import models_home
from rich.console import Console
from strict_json import strict

from ml.audio.read import read
from ml.audio.write import AudioWriter
from ml.engines.espeak import SPEC
from ml.engines.protocols import EngineHome
from ml.lips.renderers import RendererName
from ml.threads import limit_threads
from ml.types import Samples
from ml.video.mux import Extras
from ml.video.probe import probe
from ml.video.remux import remux
from ml.video.sound import Sound

ROOT = Path(__file__).resolve().parent.parent
_QUICK = 3.5
"""Seconds of a clip."""

SHOWN = {
    "r": "r",
    "lag": "lag",
    "source_r": "source r",
    "closure_gap": "closures",
    "closure_gap_most": "worst",
    "jitter_per_source": "jitter / source",
    "jitter_per_wanted": "/ wanted",
    "silent_sd": "silence, sd",
    "silent_gap": "mean",
    "outside_changed": "outside changed",
    "unseen": "unseen",
}


class Bench:
    """What all parts share: networks, a voice, a folder that goes away."""

    def __init__(self, home: EngineHome, scratch: Path, quick: bool, sheets: Path | None) -> None:
        self.home, self.scratch, self.quick, self.sheets = home, scratch, quick, sheets
        self.clips = clips_found()[: 1 if quick else None]
        self._said: dict[tuple[str, float], Said] = {}

    def still(self, height: int) -> Path:
        path = self.scratch / f"still-{height}.mp4"
        if not path.exists():
            stilled(path, height, _QUICK if self.quick else 6.0)
        return path

    def real(self) -> list[Path]:
        """The clips at 720 pixels on their shorter side."""
        pictures = round(_QUICK * RATE) if self.quick else None
        return [at_720(clip, self.scratch, pictures) for clip in self.clips]

    def said(self, language: str, seconds: float) -> Said:
        key = (language, round(seconds, 1))
        if key not in self._said:
            with closing(SPEC.factory(self.home)) as tts:
                self._said[key] = spoken(tts, language, seconds)
        return self._said[key]

    def takes(self) -> Iterator[tuple[Path, str, RendererName]]:
        languages = ("en",) if self.quick else ("en", "es")
        for height in (480,) if self.quick else (480, 720):
            for language in languages:
                yield self.still(height), language, "warp"
        for clip in self.real():
            names: tuple[RendererName, ...] = ("bank",) if self.quick else ("bank", "warp")
            for name in names:
                for language in languages:
                    yield clip, language, name

    def quality(self) -> Iterator[tuple[str, dict[str, float | int]]]:
        """Each take as it is done, by both judges, before and after encoding."""
        for clip, language, name in self.takes():
            said = self.said(language, probe(clip).seconds or 6.0)
            take = judged(clip, said, name, self.home, self.scratch)
            title = f"{clip.stem}, {language}, {name}"
            for at in ("drawn", "encoded"):
                for judge in ("tracker", "second"):
                    yield f"{title}, {at}, {judge}", figures(take, said, at, judge)
            if self.sheets:
                sheet(take, self.sheets / f"{clip.stem}-{language}-{name}.png")

    def filmed(self) -> list[tuple[Path, RendererName]]:
        """What is made against the clock: stills of three sizes, and clips at 720p and at their own size."""
        clips: list[tuple[Path, RendererName]] = [(clip, "bank") for clip in self.real()]
        if self.quick:
            return [(self.still(720), "warp"), *clips]
        stills: list[tuple[Path, RendererName]] = [(self.still(height), "warp") for height in (480, 720, 1080)]
        return [*stills, *clips, *((clip, "bank") for clip in self.clips)]

    def costs(self) -> dict[str, Rows]:
        """By clip and renderer, the milliseconds of each stage."""
        result: dict[str, Rows] = {}
        for clip, name in self.filmed():
            info = probe(clip)
            said = self.said("en", info.seconds or 6.0)
            title = f"{clip.stem}, {info.width}x{info.height}, {name}"
            result[title] = timed(clip, said, name, self.home, self.scratch)
        return result

    def wav2lip(self) -> dict[str, float | int]:
        """Milliseconds per picture of a network of Wav2Lip's size, on one thread of the CPU, eight faces at once."""
        import torch

        from ml.device import Placement
        from ml.lips.wav2lip import Wav2Lip
        from ml.lips.wav2lip_network import Generator
        from ml.video.read import VideoReader

        torch.manual_seed(0)
        limit_threads()
        clip = self.still(720)
        face = found(clip, self.home)[0][0]
        with VideoReader(clip) as reader:
            picture = next(reader).picture
        assert face is not None  # noqa: S101 - it is the astronaut
        sounds = np.random.default_rng(0).uniform(-4, 4, (8, 80, 16)).astype(np.float32)
        small = np.random.default_rng(1).integers(0, 256, (8, 96, 96, 3), dtype=np.uint8)
        with closing(Wav2Lip(Generator(), Placement())) as network:
            network.draw(small, sounds)
            runs = 1 if self.quick else 6
            alone = [_cost(lambda: network.draw(small, sounds)) for _ in range(runs)]
            whole = [_cost(lambda: network.render_batch([picture] * 8, [face] * 8, sounds)) for _ in range(runs)]
        return {
            "network_wall_p50_ms": float(np.median([wall for wall, _ in alone])) / 8,
            "network_cpu_least_ms": min(cpu for _, cpu in alone) / 8,
            "with_blend_wall_p50_ms": float(np.median([wall for wall, _ in whole])) / 8,
            "with_blend_cpu_least_ms": min(cpu for _, cpu in whole) / 8,
        }

    def command(self) -> Rows:
        """`node lipsync` from start to end, as multiples of the clip's length."""
        rows: Rows = {}
        for clip, name in self.filmed()[1:] if self.quick and self.clips else self.filmed():
            seconds = probe(clip).seconds or 6.0
            said = self.said("es", seconds)
            sound, out = self.scratch / "sound.wav", self.scratch / "out.mp4"
            with AudioWriter(sound, said.speech.audio.rate) as writer:
                writer.write(said.speech.audio.samples)
            words = [str(Path(sys.executable).with_name("node")), "lipsync", str(clip), str(sound), "-o", str(out)]
            words += ["--text", said.speech.text, "--language", "es", "--lips", name, "--no-hardware", "--json"]
            wall, cpu, told = self._run(words)
            facts = json.loads(told)
            out.unlink()
            rows[f"{clip.stem}, {name}, lips by {facts['curves']}"] = {
                "clip_s": seconds,
                "wall_s": wall,
                "wall_per_second": wall / seconds,
                "cpu_per_second": cpu / seconds,
                "moved": facts["moved"],
                "kept": facts["kept"],
            }
        return rows

    def talks(self) -> Iterator[Path]:
        """Videos of real English speech at 720p: the still with that of examples/, once and four times, and clips."""
        heard = read(ROOT / "examples" / "audio" / "demo.flac")
        for times in (1,) if self.quick else (1, 4):
            silent = self.scratch / f"still-talks-{times}.mp4"
            stilled(silent, 720, times * heard.seconds)
            yield self._with_sound(silent, np.tile(heard.samples, times), heard.rate)
        for clip, small in [] if self.quick else zip(self.clips, self.real(), strict=True):
            own = read(clip)
            yield self._with_sound(small, own.samples, own.rate)

    def _with_sound(self, video: Path, samples: Samples, rate: int) -> Path:
        path = video.with_stem(f"{video.stem}-heard")
        remux(video, path, Extras(sound=Sound(rate, language="eng")), [samples])
        return path

    def translation(self) -> Rows:
        """`node translate VIDEO --to es` from start to end, as multiples of the clip's length."""
        rows: Rows = {}
        for clip in self.talks():
            out, seconds = self.scratch / "out.es.mp4", probe(clip).seconds or 6.0
            line = ["translate", str(clip), "--to", "es", "-o", str(out), "--no-hardware", "--json"]
            wall, cpu, told = self._run([str(Path(sys.executable).with_name("node")), *line])
            report = json.loads(told)["reports"][0]
            out.unlink()
            rows[clip.stem] = {
                "clip_s": seconds,
                "wall_s": wall,
                "wall_per_second": wall / seconds,
                "cpu_per_second": cpu / seconds,
                "utterances": len(report["utterances"]),
                "pictures": report["film"]["pictures"],
                "moved": report["film"]["moved"],
            }
        return rows

    def _run(self, words: list[str]) -> tuple[float, float, str]:
        """Seconds on the wall, of CPU, and what a command printed."""
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        ours = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}  # users set none
        environment = {name: text for name, text in os.environ.items() if name not in ours}
        done = subprocess.run(
            [*words, "--home", str(self.scratch / "home")],
            capture_output=True,
            text=True,
            timeout=600,
            check=True,
            env=environment,
        )
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def _cost(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds on the wall and of the CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="one language, one size, 3.5 s of a clip")
    parser.add_argument("--sheets", type=Path, help="a folder for contact sheets of median and worst pictures")
    options = parser.parse_args()
    limit_threads()
    if options.sheets:
        options.sheets.mkdir(parents=True, exist_ok=True)
    home = models_home()
    console = Console(width=200)
    result: dict[str, Any] = {"load": os.getloadavg()}
    with tempfile.TemporaryDirectory(prefix="babelmesh-lips-") as folder:
        bench = Bench(home, Path(folder), options.quick, options.sheets)
        result["clips"] = [path.name for path in bench.clips]
        told = ", ".join(result["clips"]) or f"none in {CLIPS}, so of the still alone"
        console.print(f"Load average {result['load'][0]:.1f} at the start. Clips: {told}.")

        def keep(part: str, value: object) -> None:
            result[part] = value
            if options.json:
                options.json.write_text(strict(result, 2) + "\n")

        costs = bench.costs()
        keep("ms_per_picture", costs)
        per = {"p50_ms": "p50 ms", "p95_ms": "p95 ms", "cpu_ms": "CPU ms", "mean_ms": "wall / pictures"}
        for title, rows in costs.items():
            console.print(figures_table(f"Per picture, {title}", rows, per))
        wav2lip = bench.wav2lip()
        keep("wav2lip", wav2lip)
        names = {name: name.replace("_", " ") for name in wav2lip}
        console.print(figures_table("Wav2Lip's size, per picture, one thread", {"": wav2lip}, names))
        command = bench.command()
        keep("command", command)
        names = {name: name.replace("_", " ") for name in next(iter(command.values()))}
        console.print(figures_table("node lipsync, start and end included", command, names))
        translation = bench.translation()
        keep("translation", translation)
        names = {name: name.replace("_", " ") for name in next(iter(translation.values()))}
        console.print(figures_table("node translate VIDEO --to es, start and end included", translation, names))
        quality: Rows = {}
        for title, row in bench.quality():
            quality[title] = row
            keep("quality", quality)
        console.print(figures_table("Openings, in eye-widths", quality, SHOWN))
        console.print(f"Load average {os.getloadavg()[0]:.1f} at the end.")


if __name__ == "__main__":
    main()
