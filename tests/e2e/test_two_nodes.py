"""The walk-through of docs/two-nodes.md, with the commands that stand there, in their order."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.audio.read import read
from ml.audio.write import AudioWriter
from tests.e2e.nodes import NODE

EVERY_ROUND = ["--interval", "2", "--epochs", "2", "--json"]
"""What the test adds to `node start`: nobody waits ten minutes for a test."""


class Terminal:
    """Somebody who types what the page says."""

    def __init__(self, home: Path, folder: Path, models: Path) -> None:
        self.environment = {**os.environ, "BABELMESH_HOME": str(home), "BABELMESH_MODELS": str(models)}
        self.folder = folder
        self.started: subprocess.Popen[bytes] | None = None
        self.log = folder / f"{home.name}.log"

    def types(self, line: str) -> str:
        words = shlex.split(line, comments=True)
        assert words[0] == "node"
        done = subprocess.run(
            [*NODE, *words[1:]], env=self.environment, cwd=self.folder, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def starts(self, line: str) -> None:
        words = shlex.split(line, comments=True)
        assert words[:2] == ["node", "start"]
        with self.log.open("wb") as log:
            self.started = subprocess.Popen(
                [*NODE, *words[1:], *EVERY_ROUND], env=self.environment, cwd=self.folder, stdout=log, stderr=log
            )

    def stats(self) -> dict[str, Any]:
        return json.loads(self.types("node stats --json"))

    def waits_for(self, what: Callable[[dict[str, Any]], bool], seconds: float = 120) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while not what(stats := self.stats()):
            assert time.monotonic() < until, [
                self.stats()[key] for key in ("verdicts", "outcomes", "peers", "updates", "counters")
            ]
            time.sleep(0.5)
        return stats


def commands(page: str, heading: str) -> list[str]:
    """The lines after `$` in the code under a heading."""
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\$ (.+)$", section, re.MULTILINE)


def record(folder: Path, recording: Path) -> None:
    """A folder with what one person has said, each utterance in a file of its own, cut at the pauses."""
    folder.mkdir()
    samples = read(recording).samples
    loud = np.convolve(np.abs(samples), np.ones(1600) / 1600, "same")
    third = len(samples) // 3
    cuts = [
        0,
        *(place + int(np.argmin(loud[place : place + third // 2])) for place in (third, 2 * third)),
        len(samples),
    ]
    for number, (begin, end) in enumerate(pairwise(cuts)):
        with AudioWriter(folder / f"{number}.flac") as writer:
            writer.write(samples[begin:end])


@pytest.fixture
def terminals(tmp_path: Path, models_dir: Path, repository: Path) -> Iterator[tuple[Terminal, Terminal]]:
    first = Terminal(tmp_path / "home-1", tmp_path, models_dir)
    second = Terminal(tmp_path / "home-2", tmp_path, models_dir)
    record(tmp_path / "my-recordings", repository / "examples" / "audio" / "demo.flac")
    record(tmp_path / "other-recordings", repository / "examples" / "audio" / "lj.flac")
    yield first, second
    for terminal in (first, second):
        if terminal.started is not None:
            terminal.started.kill()
            terminal.started.wait(10)


def test_the_walk_through_ends_with_both_nodes_improving(
    terminals: tuple[Terminal, Terminal], repository: Path
) -> None:
    page = (repository / "docs" / "two-nodes.md").read_text()
    first, second = terminals
    voice, start = commands(page, "Terminal 1")
    first.types(voice)
    first.starts(start.replace("4710", "0"))
    address = first.waits_for(lambda stats: stats["running"] and stats["addresses"])["addresses"][0]

    export, voice, start = commands(page, "Terminal 2")[:3]
    assert export == "export BABELMESH_HOME=~/babelmesh-2"
    second.types(voice)
    shown = re.search(r"/ip4/127\.0\.0\.1/tcp/4710/p2p/12D3Koo\.\.\.", start)[0]
    second.starts(start.replace("tcp/4711", "tcp/0").replace(shown, address))

    first.waits_for(lambda stats: [peer["trust"] for peer in stats["peers"]] == ["waiting"])
    listing, trusting = commands(page, "Terminal 2")[3:]
    peer = second.stats()["peer_id"]
    assert peer[:10] in first.types(listing)
    first.types(trusting.replace("12D3Koo...", peer))

    for terminal in terminals:
        stats = terminal.waits_for(lambda stats: stats["verdicts"].get("merged", 0) >= 1)
        quality = stats["quality"]
        assert quality["rmse_best"] < quality["rmse_genesis"], "better than where it began"
        assert quality["rmse_best"] <= quality["rmse_alone"], "and no worse than alone"
    for terminal in terminals:
        terminal.started.send_signal(signal.SIGINT)
        assert terminal.started.wait(5) == 0
        assert terminal.stats()["running"] is False, "stats are there when the node is not"


def test_the_page_says_no_command_that_does_not_exist(repository: Path) -> None:
    page = (repository / "docs" / "two-nodes.md").read_text()
    known = subprocess.run([*NODE, "--help"], capture_output=True, text=True, check=True).stdout
    verbs = {line.split()[1] for line in re.findall(r"^\$ (node .+)$", page, re.MULTILINE)}
    assert {"voice", "start", "peers", "stats"} <= verbs
    assert all(re.search(rf"\b{verb}\b", known) for verb in verbs), sys.executable
