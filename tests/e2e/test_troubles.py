"""What a network and other people do to a node: the honest ones learn on, and nobody ends worse than alone."""

from __future__ import annotations

import gzip
import math
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from node.store.rows import Role
from p2p.wire import PROTOCOL
from tests.e2e.nodes import NodeProcess, Voice, gain, introduce
from tests.e2e.proxy import proxy

PACE = ("--interval", "1", "--epochs", "2")


def pair(folder: Path, voices: tuple[Voice, ...], running: list[NodeProcess]) -> tuple[NodeProcess, NodeProcess]:
    one, two = (NodeProcess(folder / voice.name, voice) for voice in voices[2:4])
    running += [one, two]
    introduce([one, two])
    return one, two


def merged(node: NodeProcess, count: int = 1) -> None:
    node.wait_for(lambda stats: stats.verdicts.get("merged", 0) >= count, 90)


def is_no_worse_than_alone(node: NodeProcess) -> None:
    quality = node.stats().quality
    assert quality.rmse_best <= quality.rmse_alone


def test_a_recording_of_the_link_shows_neither_the_protocol_nor_a_body(
    tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]
) -> None:
    one, two = pair(tmp_path, voices, running)
    one.start(*PACE, "--name", "THE-NAME-OF-THE-FIRST")
    with proxy(one.address) as (wire, address):
        two.start(*PACE, "--peer", address)
        merged(one)
        merged(two)
        seen = bytes(wire.seen)
    sent = sum(row.size for row in one.stats().deliveries if row.outcome == "done")
    assert len(seen) > sent > 15_000, "the updates went through the proxy"
    assert b"/noise" in seen, "what is in the clear would be seen"
    for secret in (
        PROTOCOL.encode(),
        b"babelmesh",
        b"yamux",
        b"THE-NAME-OF-THE-FIRST",
        b"offer",
        b"\x1f\x8b\x08",
        b"res64",
    ):
        assert secret not in seen
    counts = Counter(seen[2_000:])
    entropy = -sum(n / (len(seen) - 2_000) * math.log2(n / (len(seen) - 2_000)) for n in counts.values())
    assert entropy > 7.9, "bits per byte"
    assert len(gzip.compress(seen)) > 0.97 * len(seen)


def test_a_link_of_64_kbit_carries_an_exchange(
    tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]
) -> None:
    one, two = pair(tmp_path, voices, running)
    one.start(*PACE)
    with proxy(one.address, rate=8_000) as (_, address):
        two.start(*PACE, "--peer", address)
        merged(one)
        merged(two)
    is_no_worse_than_alone(one)
    is_no_worse_than_alone(two)
    assert all(row.seconds > 0.5 for row in two.stats().deliveries if row.outcome == "done")


def test_a_node_killed_in_the_middle_of_a_transfer_comes_back_and_goes_on(
    tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]
) -> None:
    one, two = pair(tmp_path, voices, running)
    one.start(*PACE)
    with proxy(one.address, rate=4_000) as (wire, address):
        two.start(*PACE, "--peer", address)
        two.wait_for(lambda stats: stats.quality.rounds >= 1)
        before = len(wire.seen)
        one.wait_for(lambda stats: len(wire.seen) > before + 6_000)
        rounds = two.stats().quality.rounds
        assert not two.stats().outcomes.get("done"), "it was killed before the peer had all of it"
        two.kill()
        two.start(*PACE, "--peer", address)
        assert two.stats().quality.rounds >= rounds, "what was committed is there"
        merged(one)
    rounds = one.stats().quality.rounds
    one.wait_for(lambda stats: stats.quality.rounds > rounds)
    is_no_worse_than_alone(one)
    is_no_worse_than_alone(two)
    assert one.stop() < 3


def test_a_frozen_node_holds_nobody_up_and_thaws(
    tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]
) -> None:
    nodes = [NodeProcess(tmp_path / voice.name, voice) for voice in voices[2:5]]
    running += nodes
    introduce(nodes)
    one, two, frozen = nodes
    one.start(*PACE)
    two.start(*PACE, "--peer", one.address)
    frozen.start(*PACE, "--peer", one.address, "--peer", two.address)
    merged(frozen)
    frozen.process.send_signal(signal.SIGSTOP)
    try:
        rounds, arrived = one.stats().quality.rounds, two.stats().verdicts.get("merged", 0)
        one.wait_for(lambda stats: stats.quality.rounds >= rounds + 4, 60)
        two.wait_for(lambda stats: stats.verdicts.get("merged", 0) >= arrived + 1, 60)
        assert one.stop() < 3, "not even its own end waits for a peer"
        one.start(*PACE, "--peer", two.address)
    finally:
        frozen.process.send_signal(signal.SIGCONT)
    rounds = frozen.stats().quality.rounds
    frozen.wait_for(lambda stats: stats.quality.rounds >= rounds + 2, 60)
    for node in nodes:
        is_no_worse_than_alone(node)


def test_a_cut_link_is_made_again(tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]) -> None:
    one, two = pair(tmp_path, voices, running)
    one.start(*PACE)
    with proxy(one.address) as (wire, address):
        two.start(*PACE, "--peer", address)
        for _ in range(3):
            before = two.stats().verdicts.get("merged", 0)
            merged(two, before + 1)
            wire.cut()
        merged(two, before + 2)
        merged(one, 3)
        assert one.stats().verdicts["merged"] >= 3, "and in the other direction too"


def test_a_node_alone_offline_learns_and_costs_nothing(
    tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]
) -> None:
    one, two = pair(tmp_path, voices, running)
    one.start(*PACE, "--peer", f"/ip4/127.0.0.1/tcp/9/p2p/{two.peer_id}")
    one.wait_for(lambda stats: stats.quality.rounds >= 4)
    time.sleep(0.5)
    stats = one.stats()
    assert stats.traffic.bytes_out == 0
    assert not stats.outcomes
    assert gain(one.error(None), one.error(Role.BEST)) > 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_two_nodes_on_one_home_are_refused(
    tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess], how: int
) -> None:
    one = NodeProcess(tmp_path / "home", voices[2])
    running.append(one)
    one.start(*PACE)
    one.wait_for(lambda stats: stats.running and bool(stats.addresses))
    second = NodeProcess.__new__(NodeProcess)
    second.__dict__.update(one.__dict__, process=None, log=tmp_path / "second.log")
    running.append(second)
    second.start(*PACE)
    assert second.process.wait(30) == 2
    assert "running" in second.tail()
    second.process = None
    assert one.stop(how) < 3
