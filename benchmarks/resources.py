"""What the main job costs: start-up, cold start, speed, memory by length of the file, and whether every dub fits its
slot.

`python benchmarks/resources.py [--json FILE] [--minutes 2 10]`. The long files are made of the recordings in
../shared/data/speech (examples/audio where those are absent), one after another with pauses between. Memory is the
sum of the proportional set sizes (PSS) of the process and its children, sampled every 50 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from strict_json import strict

from ml.audio.read import read
from ml.audio.write import AudioWriter

ROOT = Path(__file__).resolve().parent.parent
SPEECH = ROOT.parent / "shared" / "data" / "speech"
NODE = [sys.executable, "-c", "from cli.app import main; main()"]
SIX_PAUSES = (0.7, 1.0, 0.5, 1.6, 0.8, 2.5)


def recordings() -> list[Path]:
    found = sorted(SPEECH.glob("*.flac"))
    return found or sorted((ROOT / "examples" / "audio").glob("*.flac"))


def make_long(path: Path, minutes: float) -> None:
    """A file of that length: recordings in turn, pauses of half a second to two and a half between them."""
    rng, sources, total = np.random.default_rng(0), [read(file).samples for file in recordings()], 0
    with AudioWriter(path) as writer:
        while total < minutes * 60 * 16000:
            for number, samples in enumerate(sources):
                pause = round(SIX_PAUSES[number % len(SIX_PAUSES)] * 16000)
                for block in (samples, rng.normal(0, 2e-4, pause).astype(np.float32)):
                    writer.write(block)
                    total += len(block)
                if total >= minutes * 60 * 16000:
                    break


def environment(home: str) -> dict[str, str]:
    return {**os.environ, "BABELMESH_HOME": home, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def pss(process: psutil.Process) -> float:
    """Megabytes of a process and its children."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.Error:
            continue
    return total / 1e6


def watched(arguments: list[str], home: str) -> tuple[str, float, float, float]:
    """Standard output, wall seconds, peak PSS of all in MB, peak of the main process alone."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        job = subprocess.Popen([*NODE, *arguments], stdout=out, stderr=subprocess.PIPE, env=environment(home))
        process, peak, own = psutil.Process(job.pid), 0.0, 0.0
        while job.poll() is None:
            with contextlib.suppress(psutil.Error):
                peak, own = max(peak, pss(process)), max(own, process.memory_full_info().pss / 1e6)
            time.sleep(0.05)
        seconds = time.perf_counter() - began
        if job.returncode:
            raise SystemExit(job.stderr.read().decode())
        out.seek(0)
        return out.read(), seconds, peak, own


def median_seconds(arguments: list[str], runs: int = 7) -> float:
    def once() -> float:
        began = time.perf_counter()
        subprocess.run(arguments, check=True, capture_output=True)
        return time.perf_counter() - began

    once()
    return statistics.median(once() for _ in range(runs))


def slots(utterances: list[dict]) -> dict:
    """How the dubs fit: inside the slot and the pause after it, and never over the next."""
    fitted = [line for line in utterances if line["fit"]]
    inside = sum(line["fit"]["final"] <= line["fit"]["room"] + 1e-3 for line in fitted)
    ends = [line["start"] + line["fit"]["final"] for line in fitted]
    starts = [line["start"] for line in utterances]
    overlaps = sum(
        any(line["start"] < other < end - 1e-3 for other in starts) for line, end in zip(fitted, ends, strict=True)
    )
    actions: dict[str, int] = {}
    for line in fitted:
        actions[line["fit"]["action"]] = actions.get(line["fit"]["action"], 0) + 1
    return {"dubs": len(fitted), "inside_share": inside / max(1, len(fitted)), "overlaps": overlaps, "actions": actions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--minutes", type=float, nargs="*", default=[2.0, 10.0])
    arguments = parser.parse_args()
    python = sys.executable
    bare = median_seconds([python, "-c", "pass"])
    result: dict = {
        "python_start_s": round(bare, 3),
        "import_cli_app_s": round(median_seconds([python, "-c", "import cli.app"]) - bare, 3),
        "help_s": round(median_seconds([*NODE, "--help"]), 3),
        "files": [],
    }
    with tempfile.TemporaryDirectory() as home:
        demo = ROOT / "examples" / "audio" / "demo.flac"
        for name, words in (
            ("cold_text", ["translate", "--text", "Where is the station?", "--to", "es"]),
            ("cold_demo_own_voice", ["translate", str(demo), "--to", "es", "-o", f"{home}/demo.wav"]),
            ("cold_demo_plain", ["translate", str(demo), "--to", "es", "-o", f"{home}/demo.wav", "--no-own-voice"]),
        ):
            times = [watched(words, home)[1] for _ in range(3)]
            result[f"{name}_s"] = round(statistics.median(times), 2)
        for minutes in arguments.minutes:
            source = Path(home, f"{minutes:g}.flac")
            make_long(source, minutes)
            out, seconds, peak, own = watched(
                ["translate", str(source), "--to", "es", "-o", f"{home}/out.flac", "--json"], home
            )
            (report,) = json.loads(out)["reports"]
            result["files"].append(
                {
                    "minutes": minutes,
                    "wall_s": round(seconds, 1),
                    "times_real_time": round(report["input_seconds"] / seconds, 2),
                    "peak_pss_mb": round(peak),
                    "peak_main_process_mb": round(own),
                    "utterances": len(report["utterances"]),
                    "compute_s": report["compute"],
                    "slots": slots(report["utterances"]),
                }
            )
    for key, value in result.items():
        if key != "files":
            print(f"{key:24s} {value}")
    for line in result["files"]:
        print(line)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(strict(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
