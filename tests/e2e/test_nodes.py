"""Several real nodes with different voices, in real processes over real links: they learn from each other."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np

from node.store.rows import Role
from tests.e2e.nodes import NodeProcess, Voice, gain, introduce

ROUNDS = 8
PACE = ("--interval", "1")


def done(node: NodeProcess, merges: int = 1, seconds: float = 90.0) -> None:
    """Until a node has done its rounds and merged what peers sent."""
    node.wait_for(lambda stats: stats.quality.rounds >= ROUNDS and stats.verdicts.get("merged", 0) >= merges, seconds)


def test_two_nodes_learn_from_each_other_and_neither_pays_for_it(
    tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]
) -> None:
    one, two = (NodeProcess(tmp_path / voice.name, voice) for voice in voices[2:4])
    running += [one, two]
    introduce([one, two])
    one.start(*PACE)
    two.start(*PACE, "--peer", one.address)
    for node in (one, two):
        done(node)
    for node in (one, two):
        quality = node.stats().quality
        assert quality.rmse_best <= quality.rmse_alone, "by its own held-out speech nobody is worse than alone"
    assert one.stop(signal.SIGINT) < 3
    assert two.stop(signal.SIGTERM) < 3
    together = [gain(node.error(None), node.error(Role.BEST)) for node in (one, two)]
    alone = [gain(node.error(None), node.error(Role.ALONE)) for node in (one, two)]
    if one.voice.plenty:
        assert min(together) > 0, "on speech that the node never saw it is better than where it began"
        assert min(np.subtract(together, alone)) > -0.5, "one peer brings little either way (docs/decisions/0008)"


def test_five_nodes_that_all_trust_each_other(
    tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]
) -> None:
    nodes = [NodeProcess(tmp_path / voice.name, voice) for voice in voices[:5]]
    running += nodes
    introduce(nodes)
    for number, node in enumerate(nodes):
        node.start(*PACE, *(word for other in nodes[:number] for word in ("--peer", other.address)))
    for node in nodes:
        done(node, merges=3, seconds=180)
    together, alone = [], []
    for node in nodes:
        quality = node.stats().quality
        assert quality.rmse_best <= quality.rmse_alone
        assert node.stop() < 3
        together.append(gain(node.error(None), node.error(Role.BEST)))
        alone.append(gain(node.error(None), node.error(Role.ALONE)))
    if nodes[0].voice.plenty:
        assert np.mean(together) > np.mean(alone) - 0.3, "what peers add is small (docs/decisions/0008)"
        assert min(together) > min(alone) - 0.5
