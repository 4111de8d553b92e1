"""`node stats` as its user sees it: of a running node, of a home at rest, in a terminal that changes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli.app import run
from node.store import Store
from p2p.peers import PeerRecord, Trust
from tests.fakes import PEER_IDS, running_node


def test_a_running_node_is_asked(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_node(babelmesh_home):
        assert run(["stats"]) == 0
        assert "kitchen" in capsys.readouterr().out
        assert run(["stats", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["running"] is True
        assert run(["stats", "--peer", "studio"]) == 0
        assert PEER_IDS[2] in capsys.readouterr().out
        assert run(["stats", "--peer", "studio", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["peer"] == PEER_IDS[2]
        assert run(["stats", "--peer", "nobody"]) == 2
        assert "No peer is called" in capsys.readouterr().err


def test_a_home_at_rest_is_read(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store.open(babelmesh_home / "node.db") as store:
        store.save_peer(PeerRecord(peer=PEER_IDS[1], name="ana", trust=Trust.TRUSTED))
    assert run(["stats"]) == 0
    shown = capsys.readouterr().out
    assert "no node runs in it" in shown
    assert "ana" in shown
    assert run(["stats", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["running"] is False


def test_a_home_that_is_not_there_stays_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stats", "--home", str(tmp_path / "new")]) == 0
    assert "node start" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()


def test_a_pages_address_is_printed_once(babelmesh_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_node(babelmesh_home):
        assert run(["stats", "--web"]) == 0
        first = capsys.readouterr().out.strip()
        assert run(["stats", "--web", "--json"]) == 0
        assert first != json.loads(capsys.readouterr().out)["url"]
        assert first.startswith("http://127.0.0.1:")
    assert run(["stats", "--web"]) == 2
    assert "No node runs" in capsys.readouterr().err


def test_watching_needs_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stats", "--watch"]) == 2
    assert "--json" in capsys.readouterr().err


def test_watching_one_peer_as_json_is_of_that_peer(
    babelmesh_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def once_more(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("cli.stats.time", SimpleNamespace(sleep=once_more))
    with running_node(babelmesh_home):
        run(["stats", "--watch", "--json", "--peer", "studio"])
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()[:2]]
        assert [one["peer"] for one in told] == [PEER_IDS[2]] * 2
        assert run(["stats", "--watch", "--json", "--peer", "nobody"]) == 2
        assert "No peer is called" in capsys.readouterr().out


@pytest.mark.parametrize("beside", [["--watch"], ["--peer", "studio"]])
def test_a_page_is_asked_for_alone(beside: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stats", "--web", *beside]) == 2
    assert "Leave --watch and --peer out." in capsys.readouterr().err


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._number, inner = pty.openpty()
        self.resize(24, 80)
        environment = {**os.environ, "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES"):
            environment.pop(name, None)
        command = [sys.executable, "-c", "from cli.app import main; main()", *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C reaches it
        )
        os.close(inner)
        self.shown = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._number, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self._number, keys)

    def read_until(self, wanted: bytes, seconds: float = 30.0) -> bytes:
        """What is shown from now on, until it has `wanted` in it."""
        new, end = b"", time.monotonic() + seconds
        while wanted not in new:
            assert time.monotonic() < end, new[-2000:]
            if select.select([self._number], [], [], 0.1)[0]:
                try:
                    new += os.read(self._number, 65_536)
                except OSError:
                    break
        self.shown += new
        assert wanted in new, new[-2000:]
        return new

    def end(self) -> int:
        """The exit code; whatever is still shown is read."""
        end = time.monotonic() + 20
        try:
            while time.monotonic() < end:
                if select.select([self._number], [], [], 0.1)[0]:
                    self.shown += os.read(self._number, 65_536)
        except OSError:
            return self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self._number)
        raise AssertionError("it does not end")


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_the_live_view_fills_the_terminal_follows_its_size_and_ends_by_a_key(babelmesh_home: Path, key: bytes) -> None:
    with running_node(babelmesh_home):
        terminal = Terminal("stats", "--watch")
        first = terminal.read_until(b"machine")
        assert b"\x1b[?1049h" in first, "the alternate screen"
        assert b"budget" not in first
        terminal.resize(60, 140)
        terminal.read_until(b"budget")
        terminal.press(key)
        assert terminal.end() == 0
    assert b"\x1b[?1049l" in terminal.shown, "the screen is given back"
    assert b"Traceback" not in terminal.shown


@pytest.mark.slow
def test_a_started_node_has_one_live_line_and_a_clean_screen(babelmesh_home: Path) -> None:
    terminal = Terminal("start", "--listen", "/ip4/127.0.0.1/tcp/0")
    terminal.read_until(b"End it with Ctrl-C.", 60)
    if b"peers connected" not in terminal.shown:
        terminal.read_until(b"peers connected")
    terminal.press(b"\x03")
    assert terminal.end() == 0
    assert b"\x1b[?25l" in terminal.shown, "the cursor is hidden"
    assert b"\x1b[?25h" in terminal.shown, "and given back"
    assert b"Ended. What was learnt is on disk." in terminal.shown
    assert b"listening" not in terminal.shown, "log lines do not tear the screen"
    assert b"listening" in (babelmesh_home / "node.log").read_bytes()
