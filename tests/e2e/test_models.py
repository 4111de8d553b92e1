"""Real nodes and the second shipped model: they learn it together, and one goes to the other model and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.config import load
from node.store import Store
from node.store.rows import Role
from tests.e2e.nodes import NodeProcess, Voice, introduce

pytestmark = pytest.mark.slow

PACE = ("--interval", "1")


def line(node: NodeProcess, model: str) -> dict[Role, str]:
    with Store.open(node.config.store, read_only=True) as store:
        return store.of_model(model).roles()


def test_two_nodes_learn_blocks_together_and_one_goes_to_frames_and_back(
    tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]
) -> None:
    one, two = (NodeProcess(tmp_path / voice.name, voice) for voice in voices[2:4])
    running += [one, two]
    for node in (one, two):
        (node.home / "babelmesh.toml").write_text('[train]\nmodel = "b4h80"\n')
        node.config = load(node.home, {})
    introduce([one, two])
    one.start(*PACE)
    two.start(*PACE, "--peer", one.address)
    for node in (one, two):
        stats = node.wait_for(lambda stats: stats.quality.rounds >= 3 and stats.verdicts.get("merged", 0) >= 1)
        assert (stats.model, stats.resting) == ("b4h80", {})
    one.stop()
    blocks, sizes = line(one, "b4h80"), [row.size for row in one.stats().deliveries]
    assert max(sizes) > 10_000, "four numbers where the frame model has two"

    one.start(*PACE, "--model", "res64", "--peer", two.address)
    one.wait_for(lambda stats: stats.resting.get("res64", 0) > stats.quality.rounds)

    def told(stats: object) -> bool:
        (peer,) = json.loads(one.command("stats", "--json").stdout)["peers"]
        return 'set [train] model = "b4h80"' in peer["state"]

    one.wait_for(told)
    (peer,) = one.stats().peers
    assert (peer.strikes, peer.last_verdict in (None, "refused")) == (0, False)
    one.stop()
    assert line(one, "b4h80") == blocks
    frames = line(one, "res64")
    assert frames[Role.WORKING] not in blocks.values()

    before = one.stats().quality.rounds
    one.start(*PACE, "--peer", two.address)
    one.wait_for(lambda stats: stats.quality.rounds > before and stats.deliveries[0].outcome == "done")
    one.stop()
    again = next(row for row in reversed(one.stats().rounds) if row.number > before)
    assert again.layout == "b4h80"
    assert line(one, "res64") == frames
    assert line(one, "b4h80")[Role.WORKING] != blocks[Role.WORKING]
    two.stop()
