"""The client of a running node, against the real API: what it gives, and what it says when there is nobody."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cli.client import Client, is_running
from cli.errors import NoAnswer, NodeSaidNo
from node.errors import NotRunning
from tests.fakes import PEER_IDS, FakeMesh, running_node

ADDRESS = f"/ip4/192.168.1.20/tcp/4710/p2p/{PEER_IDS[1]}"


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[FakeMesh]:
    with running_node(tmp_path) as node:
        yield node


def written(file: Path, **other: object) -> Path:
    told = {"url": "http://127.0.0.1:9", "token": "t", "pid": os.getpid(), "started_at": 0.0} | other
    file.write_text(json.dumps(told))
    return file


def test_everything_can_be_asked(tmp_path: Path, mesh: FakeMesh) -> None:
    assert is_running(tmp_path / "control.json")
    with Client.of(tmp_path / "control.json") as client:
        assert client.stats()["name"] == "kitchen"
        assert client.add_peer(ADDRESS, "trusted")["peer"] == PEER_IDS[1]
        assert client.set_trust(PEER_IDS[1], "blocked")["trust"] == "blocked"
        assert [one["trust"] for one in client.peers()] == ["blocked"]
        client.remove_peer(PEER_IDS[1])
        assert client.peers() == []
        assert client.open_pairing()["code"] == "1234 5678"
        assert client.pairing() == {"number": 1, "state": "waiting", "peer": None}
        assert client.pair("12345678", [ADDRESS]) == PEER_IDS[1]
        assert client.train(epochs=2)["number"] == 3
        assert "/#" in client.page()
        client.stop()
        assert mesh.stopped


def test_what_happens_is_heard_and_the_line_is_down_afterwards(tmp_path: Path, mesh: FakeMesh) -> None:
    heard: list[tuple[str, dict]] = []
    threads = threading.active_count()
    for _ in range(20):
        with Client.of(tmp_path / "control.json") as client:
            with client.listening(lambda *event: heard.append(event)):
                client.train(epochs=4)
                deadline = time.monotonic() + 10
                while not heard and time.monotonic() < deadline:
                    time.sleep(0.001)
            assert threading.active_count() == threads
        assert [(kind, facts["epochs"]) for kind, facts in heard] == [("epoch", 4)]
        heard.clear()


def test_a_node_that_ends_while_it_is_heard_ends_the_listening(tmp_path: Path) -> None:
    with running_node(tmp_path):
        client = Client.of(tmp_path / "control.json")
        listening = client.listening(lambda *event: None)
        listening.__enter__()
    listening.__exit__(None, None, None)
    with client, pytest.raises(NotRunning), client.listening(lambda *event: None):
        pytest.fail("nobody is there")


def test_the_nodes_no_keeps_its_words(tmp_path: Path, mesh: FakeMesh) -> None:
    with Client.of(tmp_path / "control.json") as client, pytest.raises(NodeSaidNo) as caught:
        client.add_peer("nonsense", "trusted")
    assert "is not an address" in caught.value.sentence
    assert caught.value.remedy


def test_no_node_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="No node runs in this home") as caught:
        Client.of(tmp_path / "control.json")
    assert "node start" in caught.value.remedy
    assert not is_running(tmp_path / "control.json")


def test_a_file_of_a_node_that_died_is_told(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(NotRunning, match="ended without a word"):
        Client.of(written(tmp_path / "control.json", pid=ended.pid))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"url": "x"}', '{"url": 1, "token": 2, "pid": "many"}'])
def test_a_damaged_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "control.json").write_text(text)
    with pytest.raises(NotRunning, match="damaged"):
        Client.of(tmp_path / "control.json")


@pytest.mark.parametrize(
    "url", ["http://evil.example:80", "https://127.0.0.1:9", "http://127.0.0.1:9@evil.example", "http://127.0.0.1:9/x"]
)
def test_the_token_goes_nowhere_but_to_this_machine(tmp_path: Path, url: str) -> None:
    with pytest.raises(NotRunning, match="no node"):
        Client.of(written(tmp_path / "control.json", url=url))


def test_nobody_at_the_port_is_told(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with (
        Client.of(written(tmp_path / "control.json", url=url)) as client,
        pytest.raises(NotRunning, match="not listen"),
    ):
        client.stats()


def test_a_wrong_token_is_told(tmp_path: Path, mesh: FakeMesh) -> None:
    url = json.loads((tmp_path / "control.json").read_text())["url"]
    other = written(tmp_path / "other.json", url=url, token="wrong")  # noqa: S106
    with Client.of(other) as client, pytest.raises(NoAnswer, match="does not know the token"):
        client.stats()


def test_a_stranger_at_the_port_is_told(tmp_path: Path) -> None:
    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v1/stats" else 500)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            file = written(tmp_path / "control.json", url=f"http://127.0.0.1:{server.server_port}")
            with Client.of(file) as client:
                with pytest.raises(NoAnswer, match="not like a node"):
                    client.stats()
                with pytest.raises(NoAnswer, match="500, and not like a node"):
                    client.peers()
        finally:
            server.shutdown()
            serving.join()


def test_a_node_that_is_silent_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.client.Client._ask.__defaults__", (None, 0.05))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        file = written(tmp_path / "control.json", url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with Client.of(file) as client, pytest.raises(NoAnswer, match="does not answer in time"):
            client.stats()
