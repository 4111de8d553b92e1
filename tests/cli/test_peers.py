"""`node peers` as its user sees it, with and without a running node."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from cli.app import run
from cli.errors import BadUsage
from cli.peers import find
from node.errors import NotFound
from p2p.identity import Identity
from p2p.pairing import link
from p2p.peers import Trust
from tests.fakes import PEER_IDS, running_node

ANA = f"/ip4/192.168.1.20/tcp/4710/p2p/{PEER_IDS[1]}"
BOB = f"/dns4/bob.example/tcp/4710/p2p/{PEER_IDS[2]}"


def peer(number: int, name: str = "") -> dict:
    return {"peer": PEER_IDS[number], "name": name}


def test_a_peer_is_found_by_name_or_by_the_beginning_of_its_id() -> None:
    known = [peer(0, "ana"), peer(1, "anabel"), peer(2)]
    assert find(known, "ana")["peer"] == PEER_IDS[0], "a whole name goes before the beginning of another"
    assert find(known, "anab")["peer"] == PEER_IDS[1]
    assert find(known, PEER_IDS[2])["peer"] == PEER_IDS[2]
    assert find(known, PEER_IDS[2][:14] + "…")["peer"] == PEER_IDS[2], "as the table shows it"
    with pytest.raises(BadUsage, match="can mean 3 peers"):
        find(known, "12D3KooW")
    with pytest.raises(NotFound, match="'bob'"):
        find(known, "bob")
    with pytest.raises(NotFound):
        find(known, "")


def test_no_peer_is_found_by_a_name_that_looks_like_anothers_id() -> None:
    known = [peer(0, PEER_IDS[1]), peer(1, "ana"), peer(2, "12D3KooWx")]
    assert find(known, PEER_IDS[1])["peer"] == PEER_IDS[1]
    with pytest.raises(NotFound):
        find(known, "12D3KooWx")
    with pytest.raises(BadUsage, match="can mean 2 peers"):
        find([peer(0, "ana"), peer(1, "ana")], "ana")


def test_why_a_peer_is_not_connected_is_told_as_long_as_the_node_runs(
    babelmesh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    why = 'tried again in 300 s: learns another model (b4h80); to learn with it, set [train] model = "b4h80"'
    with running_node(babelmesh_home) as mesh:
        assert run(["peers", "add", ANA, BOB]) == 0
        lines = [msgspec.structs.replace(line, peer=PEER_IDS[2], state=why) for line in mesh.picture.peers[:1]]
        mesh.picture = msgspec.structs.replace(mesh.picture, peers=tuple(lines))
        capsys.readouterr()
        assert run(["peers", "list"]) == 0
        shown = capsys.readouterr().out
        words = "".join(letter for letter in shown if letter.isalnum())
        assert max(map(len, shown.splitlines())) <= 80
        assert "connected" in words
        assert "another" in words
        assert run(["peers", "list", "--json"]) == 0
        told = {one["peer"]: one["state"] for one in json.loads(capsys.readouterr().out)["peers"]}
        assert told == {PEER_IDS[1]: None, PEER_IDS[2]: why}


@pytest.mark.parametrize("alive", [True, False])
def test_peers_from_add_to_remove(alive: bool, babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from contextlib import nullcontext

    with running_node(babelmesh_home) if alive else nullcontext():
        assert run(["peers", "list"]) == 0
        assert "node peers add" in capsys.readouterr().out
        assert run(["peers", "add", ANA, BOB]) == 0
        assert capsys.readouterr().out.count("is trusted from now on") == 2
        assert run(["peers", "block", PEER_IDS[2][:14]]) == 0
        assert "is blocked" in capsys.readouterr().out
        assert run(["peers", "trust", PEER_IDS[1], "--weight", "0.25"]) == 0
        assert "weight 0.25" in capsys.readouterr().out
        assert run(["peers", "list", "--json"]) == 0
        told = {one["peer"]: one for one in json.loads(capsys.readouterr().out)["peers"]}
        assert (told[PEER_IDS[1]]["trust"], told[PEER_IDS[1]]["weight"]) == ("trusted", 0.25)
        assert told[PEER_IDS[2]]["trust"] == "blocked"
        assert told[PEER_IDS[1]]["connected"] == alive
        assert run(["peers", "list"]) == 0
        shown = capsys.readouterr().out
        assert ("connected" in shown) == alive
        assert "trusted, 0.25" in " ".join(shown.split()), "trust and link, both"
        assert max(map(len, shown.splitlines())) <= 80
        assert run(["peers", "remove", PEER_IDS[1], "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"removed": PEER_IDS[1]}
        assert run(["peers", "remove", PEER_IDS[1]]) == 2
        assert "No peer is called" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add"], "Which peer?"),
        (["add", "nonsense"], "is not an address"),
        (["add", "/ip4/1.2.3.4/tcp/4710"], "does not say which peer"),
        (["trust", "nobody"], "No peer is called"),
        (["pair"], "No node runs"),
        (["pair", "--code", "12345678"], "by a link, or by --code with --peer"),
        (["pair", "babelmesh:pair?code=1", "--code", "1"], "by a link, or by --code with --peer"),
        (["trust", PEER_IDS[1], "--weight", "2"], "weight"),
    ],
)
def test_what_cannot_be_done_is_told(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["peers", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_link_that_only_this_machine_can_use_says_so(
    babelmesh_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = "/ip4/127.0.0.1/tcp/4710", "/ip4/192.168.1.7/tcp/4710"
    with running_node(babelmesh_home):
        for addresses, warned in (([here, "/ip6/::1/tcp/4710"], True), ([here, there], False)):
            opened = {"code": "1234 5678", "link": link("12345678", [f"{one}/p2p/{PEER_IDS[0]}" for one in addresses])}
            monkeypatch.setattr("cli.client.Client.open_pairing", lambda client, opened=opened: opened)
            assert run(["peers", "pair", "--no-wait"]) == 0
            assert ("--listen /ip4/0.0.0.0/tcp/4710" in capsys.readouterr().out) == warned


@pytest.mark.parametrize("alive", [True, False])
def test_a_node_is_not_its_own_peer(alive: bool, babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from contextlib import nullcontext

    own = PEER_IDS[0] if alive else Identity.create(babelmesh_home / "identity.pem").peer_id
    with running_node(babelmesh_home) if alive else nullcontext():
        assert run(["peers", "add", f"/ip4/192.168.1.20/tcp/4710/p2p/{own}"]) == 2
        assert "this node's own" in capsys.readouterr().err
        assert run(["peers", "list", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"peers": []}


@pytest.mark.parametrize("alive", [True, False])
def test_of_several_addresses_all_are_read_before_one_is_trusted(
    alive: bool, babelmesh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from contextlib import nullcontext

    own = PEER_IDS[0] if alive else Identity.create(babelmesh_home / "identity.pem").peer_id
    with running_node(babelmesh_home) if alive else nullcontext():
        for bad in ("nonsense", "/ip4/1.2.3.4/tcp/4710"):
            assert run(["peers", "add", ANA, bad]) == 2
            assert run(["peers", "list", "--json"]) == 0
            assert json.loads(capsys.readouterr().out) == {"peers": []}
        assert run(["peers", "add", ANA, f"/ip4/192.168.1.20/tcp/4710/p2p/{own}", BOB]) == 2
        told = capsys.readouterr().err
        assert "this node's own" in told
        assert f"{PEER_IDS[1][:14]}… is trusted from now on." in told, "what was done is said"
        assert PEER_IDS[2][:14] not in told


def test_who_is_forgotten_and_stands_in_the_settings_comes_back_and_that_is_said(
    babelmesh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = babelmesh_home / "babelmesh.toml"
    file.write_text(f'[node]\npeers = ["{ANA}"]\n')
    assert run(["peers", "add", ANA, BOB]) == 0
    capsys.readouterr()
    assert run(["peers", "remove", PEER_IDS[2], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"removed": PEER_IDS[2]}
    assert run(["peers", "remove", PEER_IDS[1]]) == 0
    assert f"{file} names it still" in capsys.readouterr().out
    assert run(["peers", "add", ANA]) == 0
    capsys.readouterr()
    assert run(["peers", "remove", PEER_IDS[1], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"removed": PEER_IDS[1], "named_in": str(file)}


def test_looking_at_peers_writes_nothing(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["peers", "list"]) == 0
    assert list(babelmesh_home.iterdir()) == []
    assert run(["peers", "add", ANA]) == 0
    (babelmesh_home / "lock").unlink()
    before = {file.name: file.stat().st_mtime_ns for file in babelmesh_home.iterdir() if file.suffix == ".db"}
    capsys.readouterr()
    assert run(["peers", "list"]) == 0
    assert PEER_IDS[1][:14] in capsys.readouterr().out
    assert not (babelmesh_home / "lock").exists(), "a home that can only be read has no lock to take"
    assert before == {file.name: file.stat().st_mtime_ns for file in babelmesh_home.iterdir() if file.suffix == ".db"}


def test_joining_a_pairing(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_node(babelmesh_home) as mesh:
        assert run(["peers", "pair", "babelmesh:pair?code=12345678"]) == 0
        assert "both trust each other" in capsys.readouterr().out
        assert run(["peers", "pair", "--code", "12345678", "--peer", ANA, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"paired": PEER_IDS[1]}
        assert mesh.asked == [("pair", "babelmesh:pair?code=12345678", ()), ("pair", "12345678", (ANA,))]


def test_a_pairing_that_is_opened_waits_for_the_other_side(
    babelmesh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_node(babelmesh_home) as mesh:
        mesh.add_peer(BOB, Trust.TRUSTED)
        mesh.add_peer(ANA, Trust.TRUSTED)  # who is trusted already may pair again

        def come() -> None:
            time.sleep(0.3)
            mesh.add_peer(ANA, Trust.TRUSTED)
            mesh.standing = SimpleNamespace(number=1, stage="paired", peer=PEER_IDS[1])

        other = threading.Thread(target=come)
        other.start()
        assert run(["peers", "pair"]) == 0
        other.join()
        shown = capsys.readouterr().out
        assert "Code: 1234 5678" in shown
        assert "In another terminal" in shown
        assert "node peers pair 'babelmesh:pair?code=12345678'" in shown
        assert "Only this machine" not in shown
        assert f"Paired with {PEER_IDS[1][:14]}" in shown
        assert run(["peers", "pair", "--no-wait", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["code"] == "1234 5678"


@pytest.mark.parametrize(
    ("number", "stage", "said"),
    [
        (1, "spent", "Somebody tried a wrong code"),
        (1, "expired", "Nobody came to pair"),
        (2, "waiting", "Another code was shown"),
        (1, "none", "not shown any more"),
    ],
)
def test_a_code_by_which_nobody_can_pair_any_more_is_not_waited_for(
    number: int, stage: str, said: str, babelmesh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_node(babelmesh_home) as mesh:
        turn = threading.Timer(
            0.3, lambda: setattr(mesh, "standing", SimpleNamespace(number=number, stage=stage, peer=None))
        )
        turn.start()
        assert run(["peers", "pair"]) == 2
        turn.join()
    shown = capsys.readouterr().err
    assert said in shown
    assert "node peers pair" in shown
