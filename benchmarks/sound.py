"""What sound costs: reading a long file, voice activity, F0, prosody, log-mel, Griffin-Lim, time-scale modification.

`python benchmarks/sound.py [--json FILE] [--hours 3]`. CPU milliseconds of one thread per second of sound, the least of
five runs over the recordings in ../shared/data/speech (examples/audio where those are absent). The long file is noise,
made on the spot and read in a process of its own; its memory is the peak resident set (VmHWM: ru_maxrss would be the
parent's), and the growth of that over reading ten seconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
from strict_json import strict

from ml.audio.endpoint import EndpointOptions, utterances
from ml.audio.logmel import griffin_lim, log_mel
from ml.audio.pitch import f0_contour
from ml.audio.prosody import measure
from ml.audio.read import read
from ml.audio.stretch import stretch
from ml.audio.vad import EnergyActivity, SileroActivity, SileroNetwork, VoiceActivity
from ml.audio.write import AudioWriter
from ml.types import Audio, Samples

ROOT = Path(__file__).resolve().parent.parent
SPEECH = ROOT.parent / "shared" / "data" / "speech"
READER = """
import pathlib, re, sys, time
from ml.audio.read import blocks
def run(path):
    start = time.process_time()
    seconds = sum(len(block) for block in blocks(path)) / 16_000
    status = pathlib.Path("/proc/self/status").read_text()
    return seconds, time.process_time() - start, int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024
_, _, before = run(sys.argv[1])
seconds, cpu, peak = run(sys.argv[2])
print(seconds, cpu, before, peak)
"""


def recordings() -> list[Samples]:
    found = sorted(SPEECH.glob("*.flac")) or sorted((ROOT / "examples" / "audio").glob("*.flac"))
    return [read(path).samples for path in found]


def long_file(path: Path, seconds: float) -> None:
    noise = (np.random.default_rng(0).standard_normal((10, 44_100)) * 0.05).astype(np.float32)
    with AudioWriter(path, 44_100) as writer:
        for second in range(round(seconds)):
            writer.write(noise[second % 10])


def reading(suffix: str, hours: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder, f"short{suffix}"), Path(folder, f"long{suffix}")
        long_file(short, 10)
        long_file(long, hours * 3600)
        done = subprocess.run(
            [sys.executable, "-c", READER, str(short), str(long)], capture_output=True, text=True, cwd=ROOT, check=True
        )
        seconds, cpu, before, peak = map(float, done.stdout.split())
        return {
            "hours": seconds / 3600,
            "megabytes": long.stat().st_size / 2**20,
            "cpu_seconds": cpu,
            "peak_rss_mb": peak,
            "growth_mb": peak - before,
        }


def cost(work: Callable[[Samples], object], sounds: list[Samples]) -> float:
    """Least CPU milliseconds per second of sound over five runs."""
    total = sum(map(len, sounds)) / 16_000
    runs = []
    for _ in range(5):
        start = time.thread_time()
        for sound in sounds:
            work(sound)
        runs.append(time.thread_time() - start)
    return 1000 * min(runs) / total


def hear(activity: VoiceActivity, sound: Samples, step: int) -> None:
    activity.reset()
    for first in range(0, len(sound), step):
        activity.feed(sound[first : first + step])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--hours", type=float, default=3.0)
    options = parser.parse_args()
    sounds = recordings()
    start = time.process_time()
    network = SileroNetwork.load()
    first_load = time.process_time() - start
    loads = []
    for _ in range(5):
        start = time.process_time()
        SileroNetwork.load()
        loads.append(time.process_time() - start)
    silero, energy = SileroActivity(network), EnergyActivity()
    costs = {
        "voice activity, Silero, whole file": cost(silero.feed, sounds),
        "voice activity, Silero, 32 ms pieces": cost(lambda x: hear(silero, x, 512), sounds),
        "voice activity, Silero, 10 ms pieces": cost(lambda x: hear(silero, x, 160), sounds),
        "voice activity, energy": cost(energy.feed, sounds),
        "F0": cost(f0_contour, sounds),
        "prosody (with F0)": cost(lambda x: measure(Audio(x)), sounds),
        "log-mel": cost(log_mel, sounds),
        "Griffin-Lim, 32 iterations": cost(lambda x: griffin_lim(log_mel(x)), sounds[:6]),
        "stretch to 0.8 of the speed": cost(lambda x: stretch(x, 0.8), sounds),
    }
    cuts = {}
    for hangover in (0.096, 0.16, 0.256, 0.512):
        found = []
        for sound in sounds:
            activity = SileroActivity(network)
            silence = np.zeros(16_000, np.float32)
            probabilities = np.concatenate([activity.feed(np.concatenate([sound, silence])), activity.flush()])
            found.append(len(utterances(probabilities, EndpointOptions(hangover=hangover))))
        cuts[f"{1000 * hangover:.0f} ms"] = sum(found) / len(found)
    files = {suffix: reading(suffix, options.hours) for suffix in (".wav", ".opus", ".m4a")}

    print(f"{len(sounds)} recordings, {sum(map(len, sounds)) / 16_000:.0f} s\n")
    print("| CPU of one thread | ms per second of sound |\n|---|---|")
    for name, value in costs.items():
        print(f"| {name} | {value:.2f} |")
    print(f"\nSilero loads in {1000 * first_load:.0f} ms with onnxruntime, {1000 * min(loads):.1f} ms after.")
    print("Utterances per recording by hangover: " + ", ".join(f"{name}: {value:.2f}" for name, value in cuts.items()))
    print("\n| long file | hours | MB | CPU s | peak RSS MB | more than 10 s of it |\n|---|---|---|---|---|---|")
    for suffix, row in files.items():
        figures = " | ".join(
            f"{row[key]:.1f}" for key in ("hours", "megabytes", "cpu_seconds", "peak_rss_mb", "growth_mb")
        )
        print(f"| {suffix} | {figures} |")
    if options.json:
        facts = {
            "ms_per_second": costs,
            "silero_load_s": min(loads),
            "utterances_by_hangover": cuts,
            "long_files": files,
        }
        options.json.write_text(strict(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
