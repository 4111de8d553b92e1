"""Runs the benchmarks one after the other and writes benchmarks/results.md and benchmarks/results/*.json.

    python scripts/bench.py [NAME...]              # all of them, or those named
    python scripts/bench.py --federated [--quick]  # those of learning together; quick ones only show that they run

What stands above the line of measurements in results.md is written by people and stays; each table below it is what the
benchmark printed, with the machine, the commit and the load average it began under.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.md"
FOLDER = ROOT / "benchmarks" / "results"
LINE = "<!-- measured: written by make bench -->"
FEDERATED = (
    "architectures",
    "codec",
    "personalisation",
    "simulator",
    "compression",
    "leakage",
    "hostile",
    "half_way",
    "node_models",
    "privacy",
)
"""What docs/ shows of learning together: `make bench-federated`."""
UNTIMED = frozenset(FEDERATED) - {"simulator"}
"""Benchmarks of quality: two of them may run at a time. Those that take times run alone, and first."""
PICTURES = {
    "codec": ("--picture", "docs/pictures/codec.svg"),
    "hostile": ("--plot", "docs/pictures/robustness.svg"),
    "personalisation": ("--pictures", "docs/pictures"),
    "watermark": ("--picture", "docs/pictures/watermark.png"),
}
"""Options that make a benchmark draw as well."""
NAMES = (
    "asr",
    "mt",
    "voice",
    "latency",
    "resources",
    "sound",
    "watermark",
    "lips",
    "live_lips",
    "voice_model",
    "federated",
    "links",
    "exchange",
    *FEDERATED,
)


class Failed(Exception):
    """A benchmark that did not come to its end."""


def said(*command: str) -> str:
    """What a command prints, or nothing when it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()
    except OSError:
        return ""


def machine() -> str:
    """The processor, its number, the memory and the Python."""
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), {memory:.0f} GB, no GPU used, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def run(name: str, *options: str) -> str:
    """Run one benchmark; what it prints. Raises Failed when it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "118"}
    command = [sys.executable, f"benchmarks/{name}.py", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT, env=environment)
    if done.returncode:
        raise Failed(f"{name} failed with exit code {done.returncode}")
    sys.stdout.write(done.stdout)
    return done.stdout.strip()


def try_out(name: str) -> tuple[str, float]:
    """Run the short form of one benchmark; its name and the seconds it took. Raises Failed."""
    began = time.monotonic()
    run(name, "--quick")
    return name, time.monotonic() - began


def attempt(name: str) -> str | Failed:
    """Its section of the page, or how it failed: the others go on."""
    try:
        return measure(name)
    except Failed as failed:
        return failed


def measure(name: str) -> str:
    """Run one benchmark; its section of the page."""
    load, began = os.getloadavg()[0], time.monotonic()
    options = ("--json", f"benchmarks/results/{name}.json", *PICTURES.get(name, ()))
    said_by_it = run(name, *options)
    minutes = (time.monotonic() - began) / 60
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    commit = said("git", "rev-parse", "--short", "HEAD")
    return (
        f"## {name}\n\n`python benchmarks/{name}.py {' '.join(options)}`, {when}, commit {commit}, load average "
        f"{load:.1f} at the start, {minutes:.1f} minutes.\n\n```text\n{said_by_it}\n```\n"
    )


def sections(text: str) -> dict[str, str]:
    """The measured sections of the page, by name."""
    return {part.split("\n", 1)[0]: "## " + part.rstrip() + "\n" for part in re.split(r"^## ", text, flags=re.M)[1:]}


def main() -> None:
    """Measure and write."""
    words = sys.argv[1:]
    names = [word for word in words if not word.startswith("--")]
    if "--federated" in words:
        names = [*names, *FEDERATED]
    names = names or list(NAMES)
    unknown = set(names) - set(NAMES)
    if unknown:
        raise SystemExit(f"no such benchmark: {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}")
    together = [name for name in names if name in UNTIMED]
    alone = [name for name in names if name not in UNTIMED]
    if "--quick" in words:
        try:
            with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
                took = dict(pool.map(try_out, names))
        except Failed as failed:
            raise SystemExit(str(failed)) from failed
        sys.stdout.write("all ran: " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in took.items()) + "\n")
        return
    FOLDER.mkdir(exist_ok=True)
    page = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else f"# Results\n\n{LINE}\n"
    above, _, below = page.partition(LINE)
    kept = sections(below)
    failures: list[str] = []
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for names, way in ((alone, map), (together, pool.map)):
            for name, section in zip(names, way(attempt, names), strict=True):
                if isinstance(section, Failed):
                    failures.append(str(section))
                    continue
                kept[name] = section
                body = "\n".join(kept[known] for known in NAMES if known in kept)
                RESULTS.write_text(f"{above}{LINE}\n\nMachine: {machine()}.\n\n{body}", encoding="utf-8")
    if failures:
        raise SystemExit("; ".join(failures))


if __name__ == "__main__":
    main()
