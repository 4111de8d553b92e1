"""Hundreds of rounds between two real nodes: what they hold of the machine does not grow with the rounds."""

from __future__ import annotations

import itertools
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from node.mesh import PARENTS
from tests.e2e.nodes import NodeProcess, Voice, introduce

log = logging.getLogger(__name__)

PACE = ("--interval", "0.3", "--epochs", "1")
WARM = 80
"""Rounds until allocator, page cache of the memory and thread pool have most of what they keep."""
SOAK = 250
"""Rounds that are looked at after it."""
LEAK = 7_000.0
"""Bytes per round. One update, the smallest thing that a round could leave behind, is larger. What grows below it is
the page cache of the memory, with its rows and up to 2 MB, and trio's heap of deadlines that are over, up to 1000."""
GROWTH = 8_000_000
"""Bytes that a process may grow after its warm-up, whatever the rounds."""
MODELS = 3 * PARENTS + 16
"""Files of weights: three for each of the last rounds, and what roles, peers and the round under way stand on."""

THREADS = 2 + min(32, (os.cpu_count() or 1) + 4)
"""The main thread, the one of the links, and the workers that asyncio's pool has at most; it begins with few."""


@dataclass(frozen=True)
class Held:
    """What one node holds of its machine at one time."""

    rounds: int
    memory: int
    """Resident bytes."""
    files: int
    """Open file descriptors."""
    threads: int
    models: int
    """Files in the folder of weights."""
    quarantine: int
    """Files of updates that came and nobody has judged yet."""
    journal: int
    """Bytes of the memory's journal, that is, what is not in node.db yet."""


def look(node: NodeProcess) -> Held:
    assert node.process is not None
    process = psutil.Process(node.process.pid)
    config = node.config
    journal = config.store.with_name(config.store.name + "-wal")
    return Held(
        rounds=node.stats().quality.rounds,
        memory=process.memory_info().rss,
        files=process.num_fds(),
        threads=process.num_threads(),
        models=sum(1 for _ in config.weights.iterdir()),
        quarantine=sum(1 for _ in config.quarantine.iterdir()),
        journal=journal.stat().st_size,
    )


def slope(held: list[Held]) -> float:
    """Bytes of memory per round: the median of the slopes between all pairs (Theil and Sen).

    Only pairs with as many threads count: a pool's next worker brings a heap of its own, once, and not with rounds.
    """
    pairs = itertools.combinations(held, 2)
    alike = [(one, two) for one, two in pairs if two.rounds > one.rounds and two.threads == one.threads]
    return float(np.median([(two.memory - one.memory) / (two.rounds - one.rounds) for one, two in alike]))


@pytest.mark.slow
def test_hundreds_of_rounds_leave_nothing_behind(
    tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]
) -> None:
    nodes = [NodeProcess(tmp_path / voice.name, voice) for voice in voices[2:4]]
    running += nodes
    introduce(nodes)
    one, two = nodes
    one.start(*PACE)
    two.start(*PACE, "--peer", one.address)
    for node in nodes:
        node.wait_for(lambda stats: stats.verdicts.get("merged", 0) >= 1)
        node.wait_for(lambda stats: stats.quality.rounds >= WARM, 240)
    held: dict[str, list[Held]] = {node.home.name: [look(node)] for node in nodes}
    until = time.monotonic() + 420
    while any(seen[-1].rounds - seen[0].rounds < SOAK for seen in held.values()):
        assert time.monotonic() < until, [node.tail() for node in nodes]
        time.sleep(1.0)
        for node in nodes:
            held[node.home.name].append(look(node))
    for node in nodes:
        stats, seen = node.stats(), held[node.home.name]
        first, last = seen[0], seen[-1]
        log.info("%s: %d rounds, %s, %s", node.home.name, last.rounds, stats.verdicts, stats.outcomes)
        log.info("from %s to %s, %.0f bytes per round", first, last, slope(seen))
        assert stats.verdicts["merged"] >= SOAK // 2, "they exchange all the time"
        assert slope(seen) < LEAK, [(one.rounds, one.memory, one.threads) for one in seen]
        assert max(one.memory for one in seen) - first.memory < GROWTH
        assert np.median([one.files for one in seen[-20:]]) == np.median([one.files for one in seen[:20]])
        assert max(one.files for one in seen) <= first.files + 8, "files that are just being read or written"
        assert max(one.threads for one in seen) <= THREADS
        assert max(one.models for one in seen) <= MODELS
        assert max(one.quarantine for one in seen) <= 4
        assert max(one.journal for one in seen) < 8_000_000
        assert node.stop() < 3
