"""Real nodes tell each other of their voices over real links, and what that saves shows where their owners look."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml.voice.codec.codebook import genesis_codebook
from node.codebooks import CodebookShelf
from tests.e2e.nodes import NodeProcess, Voice, introduce

pytestmark = pytest.mark.slow


def test_two_nodes_state_their_voices_and_one_is_forgotten(
    tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess], repository: Path
) -> None:
    one, two = (NodeProcess(tmp_path / voice.name, voice) for voice in voices[2:4])
    running += [one, two]
    introduce([one, two])
    one.start("--interval", "600")
    two.start("--interval", "600", "--peer", one.address)
    for node in (one, two):
        stats = node.wait_for(lambda stats: "state" in stats.codebook and "no peer" not in stats.codebook)
        (peer,) = stats.peers
        assert peer.strikes == 0
    assert "codebook" in one.command("stats").stdout
    one.stop()

    talk, coded = repository / "examples" / "audio" / "lj.flac", tmp_path / "talk.bmc"
    told = json.loads(one.command("voice", "encode", talk, coded, "--voice", "me", "--json").stdout)
    assert told["bits_saved"] > 0
    assert told["peers"] in (0, 1)
    assert told["saved_by_peers"] >= 0
    kept = CodebookShelf(one.config.codebooks, genesis_codebook())
    assert set(kept.statements()) == {two.peer_id}
    one.command("peers", "remove", two.peer_id)
    assert kept.statements() == {}
    alone = json.loads(one.command("voice", "encode", talk, coded, "--voice", "me", "--json").stdout)
    assert alone["saved_by_peers"] == 0
