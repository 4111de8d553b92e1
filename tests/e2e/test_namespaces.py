"""Real nodes on machines of their own, on a local network that is good, and on one that is very bad."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.stats import Stats
from tests.e2e.lan import NAMES, Lan, Weather, ip, why_not
from tests.e2e.nodes import NodeProcess, Voice, introduce

log = logging.getLogger(__name__)

pytestmark = pytest.mark.slow

PACE = ("--interval", "2", "--epochs", "2")
REQUEST = 0.5
"""Seconds that no exchange can beat on a bad wire: 160 ms for the answer to each request, and 7 KB at 256 kbit/s."""


@pytest.fixture(params=["bridge", "netem", "relay"])
def lan(request: pytest.FixtureRequest) -> Iterator[Lan]:
    """Three machines on one network."""
    if reason := why_not(request.param):
        pytest.skip(f"no network of the kind {request.param} here: {reason}")
    with Lan(request.param, Weather()) as made:
        yield made
    assert f"babelmesh-{made.namespace('')}" not in ip("netns", "list")


@pytest.fixture
def running(lan: Lan, running: list[NodeProcess]) -> list[NodeProcess]:
    """The same as everywhere, and ended before the network is taken away."""
    return running


def settle(folder: Path, lan: Lan, voices: tuple[Voice, ...], running: list[NodeProcess]) -> list[NodeProcess]:
    """A node in a home on each machine; none runs yet."""
    nodes = [
        NodeProcess(folder / name, voice, prefix=lan.inside(name))
        for name, voice in zip(NAMES, voices[2:5], strict=True)
    ]
    running += nodes
    return nodes


def start(lan: Lan, node: NodeProcess, *options: object) -> None:
    listen = (word for address in lan.listen(node.home.name) for word in ("--listen", address))
    node.start(*PACE, *listen, *options)
    node.wait_for(lambda stats: stats.running and bool(stats.addresses))


def at(lan: Lan, node: NodeProcess, kind: int) -> str:
    """Where a node is found, by IPv4 or IPv6."""
    return f"{lan.listen(node.home.name)[kind == 6]}/p2p/{node.peer_id}"


def partners(node: NodeProcess, kind: int) -> int:
    """Established connections over IPv4 or IPv6, as the kernel of the node's own machine tells (proc(5))."""
    assert node.process is not None
    table = Path(f"/proc/{node.process.pid}/net/tcp{'6' if kind == 6 else ''}").read_text()
    rows = [line.split() for line in table.splitlines()[1:]]
    return sum(state == "01" and "7F" not in there[6:8] for _, _, there, state, *_ in rows)


def merged(node: NodeProcess) -> int:
    return node.stats().verdicts.get("merged", 0)


def merges(node: NodeProcess, more: int = 1, seconds: float = 120) -> None:
    """Until so many more updates of peers are merged."""
    least = merged(node) + more
    node.wait_for(lambda stats: stats.verdicts.get("merged", 0) >= least, seconds)


def failed(stats: Stats, peer: NodeProcess, since: float) -> bool:
    """Whether an update could not be brought to a peer since then."""
    return any(row.peer == peer.peer_id and row.at > since and row.outcome != "done" for row in stats.deliveries)


def heard(stats: Stats, peer: NodeProcess, since: float) -> bool:
    """Whether an update of a peer has come since then."""
    return any(row.peer == peer.peer_id and row.received_at > since for row in stats.updates)


def test_three_machines_find_each_other_and_learn_from_each_other(
    lan: Lan, tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]
) -> None:
    a, b, c = nodes = settle(tmp_path, lan, voices, running)
    introduce(nodes)
    start(lan, a)
    start(lan, b, "--peer", at(lan, a, 4))
    start(lan, c, "--peer", at(lan, a, 6), "--peer", at(lan, b, 6))
    began = time.monotonic()
    for node in nodes:
        node.wait_for(lambda stats: len([peer for peer in stats.peers if peer.last_verdict == "merged"]) == 2, 180)
    log.info("%s: all merged from all after %.1f s; %s", lan.wire, time.monotonic() - began, lan.harm())
    assert (partners(c, 4), partners(c, 6)) == (0, 2)
    assert partners(b, 4) == 1
    for name, stats in zip(NAMES, [node.stats() for node in nodes], strict=True):
        assert {peer.strikes for peer in stats.peers} == {0}, "a bad network is nobody's fault"
        assert stats.quality.rmse_best <= stats.quality.rmse_alone
        took = [row.seconds for row in stats.deliveries if row.outcome == "done"]
        log.info("%s: %s, %s, %.2f to %.2f s each", name, stats.outcomes, stats.verdicts, min(took), max(took))
        assert lan.wire == "bridge" or min(took) > REQUEST, "the wire is as bad as it was to be"
    for node in nodes:
        assert node.stop() < 3


def test_neighbours_are_found_and_not_trusted(
    lan: Lan, tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]
) -> None:
    a, b, c = settle(tmp_path, lan, voices, running)
    start(lan, a, "--discover")
    start(lan, b, "--discover")
    start(lan, c)
    for node, other in ((a, b), (b, a)):
        node.wait_for(lambda stats: bool(stats.peers), 30)
        (line,) = json.loads(node.command("peers", "list", "--json").stdout)["peers"]
        assert (line["peer"], line["trust"]) == (other.peer_id, "waiting")
        assert set(line["addresses"]) <= {at(lan, other, 4), at(lan, other, 6)}
    rounds = a.stats().quality.rounds
    a.wait_for(lambda stats: stats.quality.rounds >= rounds + 2)
    for node in (a, b, c):
        stats = node.stats()
        assert (stats.verdicts, stats.outcomes) == ({}, {}), "nothing is exchanged before the owner's yes"
    assert not c.stats().peers, "who does not look is not found"
    a.command("peers", "trust", b.peer_id)
    b.command("peers", "trust", a.peer_id)
    merges(a)
    merges(b)


def test_a_partition_heals(lan: Lan, tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]) -> None:
    a, b, c = nodes = settle(tmp_path, lan, voices, running)
    introduce(nodes)
    start(lan, a)
    start(lan, b, "--peer", at(lan, a, 4))
    start(lan, c, "--peer", at(lan, a, 4), "--peer", at(lan, b, 6))
    for node in nodes:
        merges(node)
    lan.pull("c")
    pulled = time.time() + 1.0  # the last frames have arrived
    rounds = c.stats().quality.rounds
    for node in (a, b):
        merges(node, 2)
        node.wait_for(lambda stats: failed(stats, c, pulled))
    c.wait_for(lambda stats: failed(stats, a, pulled) and failed(stats, b, pulled))
    c.wait_for(lambda stats: stats.quality.rounds >= rounds + 4)
    assert not any(heard(one.stats(), other, pulled) for one, other in ((a, c), (b, c), (c, a), (c, b)))
    plugged = time.time()
    lan.plug("c")
    for one, other in ((a, c), (b, c), (c, a), (c, b)):
        one.wait_for(lambda stats, other=other: heard(stats, other, plugged), 120)
    log.info("%s: %.1f s apart, together again in %.1f s", lan.wire, plugged - pulled, time.time() - plugged)
    for node in nodes:
        quality = node.stats().quality
        assert quality.rmse_best <= quality.rmse_alone
        assert node.stop() < 3
