"""`node id` as its user sees it, and which address is shown first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run
from cli.identity import best, reach, read_passphrase
from p2p.identity import Identity
from tests.fakes import PEER_IDS, running_node


def test_a_home_without_a_key_gets_one_and_keeps_it(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (babelmesh_home / "babelmesh.toml").write_text('[node]\nlisten = ["/ip4/127.0.0.1/tcp/5000"]\n')
    assert run(["id", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    peer = Identity.load(babelmesh_home / "identity.pem").peer_id
    address = f"/ip4/127.0.0.1/tcp/5000/p2p/{peer}"
    assert told == {"peer": peer, "addresses": [address], "best": address, "running": False}
    assert run(["id"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == peer
    assert "does not run" in shown
    assert "--listen /ip4/0.0.0.0/tcp/4710" in shown


def test_a_running_node_says_where_it_listens(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_node(babelmesh_home):
        assert run(["id", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["peer"], told["running"]) == (PEER_IDS[0], True)
    assert told["best"].startswith("/ip4/192.168.1.7/"), "loopback comes last"
    assert not (babelmesh_home / "identity.pem").exists()


def test_a_locked_key_needs_its_passphrase(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Identity.create(babelmesh_home / "identity.pem", "open sesame")
    assert run(["id"]) == 2
    assert "--passphrase-file FILE" in capsys.readouterr().err
    (babelmesh_home / "phrase").write_text("open sesame\r\nmore\n")
    assert read_passphrase(babelmesh_home / "phrase") == "open sesame"
    assert run(["id", "--passphrase-file", str(babelmesh_home / "phrase")]) == 0
    assert made.peer_id in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "said"), [(None, "There is no file"), (b"", "is empty"), (b"\nlate\n", "is empty"), (b"\xff", "UTF-8")]
)
def test_a_passphrase_file_without_a_passphrase_is_named(
    content: bytes | None, said: str, babelmesh_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "phrase"
    if content is not None:
        file.write_bytes(content)
    for command in (["id"], ["train"], ["id", "--protect"]):
        assert run([*command, "--passphrase-file", str(file)]) == 2
        told = capsys.readouterr().err
        assert said in told
        assert "--passphrase-file" in told
        assert str(file) in told.replace("\n", "")
    assert not (babelmesh_home / "identity.pem").exists()


def test_a_key_is_protected_when_asked_and_else_said_not_to_be(
    babelmesh_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, key = tmp_path / "phrase", babelmesh_home / "identity.pem"
    file.write_text("open sesame\n")
    peer = Identity.create(key).peer_id
    assert run(["id", "--passphrase-file", str(file)]) == 0
    told = capsys.readouterr()
    assert "not protected" in told.err
    assert "node id --protect --passphrase-file" in told.err
    assert run(["id", "--protect"]) == 2
    assert "--passphrase-file" in capsys.readouterr().err
    for said in ("protected from now on", "protected already"):
        assert run(["id", "--protect", "--passphrase-file", str(file)]) == 0
        assert said in capsys.readouterr().out
    assert Identity.load(key, "open sesame").peer_id == peer
    assert run(["id", "--passphrase-file", str(file)]) == 0
    told = capsys.readouterr()
    assert peer in told.out
    assert told.err == ""
    file.write_text("another\n")
    assert run(["id", "--protect", "--passphrase-file", str(file)]) == 2
    assert "does not open" in capsys.readouterr().err
    key.unlink()
    assert run(["id", "--protect", "--passphrase-file", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["peer"] == Identity.load(key, "another").peer_id


def test_addresses_by_how_far_they_reach() -> None:
    hosts = ("ip4/0.0.0.0", "ip6/::1", "ip4/10.0.0.1", "ip6/fd00::1", "ip4/8.8.8.8")
    by_reach = [f"/{host}/tcp/1" for host in hosts]
    assert [reach(address) for address in by_reach] == [0, 0, 1, 1, 2]
    assert reach("/dns4/node.example/tcp/1") == 2
    assert best(by_reach) == "/ip4/8.8.8.8/tcp/1"
    assert best(by_reach[2:4]) == "/ip4/10.0.0.1/tcp/1"
    assert best([]) is None
