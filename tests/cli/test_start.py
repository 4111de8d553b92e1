"""`node start`: a real process over real links, until it is told to end; and the settings that it starts with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import psutil
import pytest

from cli.app import run
from cli.client import Client
from cli.start import Wishes, effective, first
from ml.engines.protocols import TASKS
from node.config import load
from node.errors import BadConfig, HomeUnusable
from node.lock import HomeLock
from tests.fakes import PEER_IDS

ANA = f"/ip4/192.168.1.20/tcp/4710/p2p/{PEER_IDS[1]}"
BOB = f"/ip4/192.168.1.21/tcp/4710/p2p/{PEER_IDS[2]}"


@contextmanager
def started(home: Path, *arguments: str, out: int | TextIO = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """`node start` in a process of its own, until its API answers."""
    command = [sys.executable, "-c", "from cli.app import main; main()", "start", "--listen", "/ip4/127.0.0.1/tcp/0"]
    environment = os.environ | {"BABELMESH_HOME": str(home)}
    process = subprocess.Popen([*command, *arguments], stdout=out, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        end = time.monotonic() + 60
        while not (home / "control.json").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_what_is_said_goes_before_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "babelmesh.toml").write_text(f'[node]\npeers = ["{ANA}"]\nname = "old"\n[train]\nalpha = 0.5\n')
    config = load(tmp_path, {})
    assert effective(config, Wishes()) == config
    changed = effective(config, Wishes(peer=(BOB, ANA), name="new", open=True, epochs=2, interval=30.0))
    assert changed.node.peers == (ANA, BOB)
    assert (changed.node.name, changed.node.open, changed.train.alpha) == ("new", True, 0.5)
    assert (changed.train.epochs, changed.train.interval) == (2, 30.0)


def test_to_say_how_much_to_mix_is_to_mix(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    assert config.train.method == "shared-prior"
    mixing = effective(config, Wishes(alpha=0.6)).train
    assert (mixing.method, mixing.alpha, mixing.epochs_in_force) == ("mix", 0.6, 5)
    assert effective(config, Wishes(method="mix")).train.alpha == 0.7
    assert effective(config, Wishes(model="b4h80")).train.model == "b4h80"
    learning = effective(config, Wishes(alpha="auto")).train
    assert (learning.method, learning.alpha) == ("mix", "auto")
    with pytest.raises(BadConfig, match="mixes nothing"):
        effective(config, Wishes(alpha=0.6, method="shared-prior"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--method", "magic"], "--method: expected shared-prior or mix."),
        (["--model", "res63"], "--model: expected res64 or b4h80."),
        (["--alpha", "slow"], '--alpha: expected a number or "auto".'),
        (["--alpha", "2"], '--alpha: expected a number of at most 1.0 or "auto".'),
        (["--rounds", "-1"], "--rounds: expected a whole number of at least 0."),
        (["--peer", "ana"], "--peer: 'ana' is not an address"),
        (["--peer", "/ip4/1.2.3.4/tcp/4710"], "does not say which peer"),
        (["--listen", "4710"], "--listen: '4710' is not an address"),
        (["--port", "99999"], "--port: expected a whole number of at most 65535."),
        (["--passphrase-file", "nowhere"], "nowhere"),
    ],
)
def test_nonsense_starts_nothing(
    arguments: list[str], said: str, babelmesh_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["start", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert list(babelmesh_home.iterdir()) == []


def test_of_a_group_of_errors_the_one_that_is_a_sentence_is_told() -> None:
    told = HomeUnusable("No room.", "Make some.")
    assert first(ExceptionGroup("a", [ValueError("x"), ExceptionGroup("b", [told])])) is told
    assert str(first(ExceptionGroup("a", [ValueError("x"), KeyError("y")]))) == "x"


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_node_starts_is_asked_and_ends_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path, "--name", "kitchen") as process:
        with Client.of(tmp_path / "control.json") as client:
            told = client.stats()
            assert (told["name"], told["running"], told["home"]) == ("kitchen", True, str(tmp_path))
            assert told["addresses"][0].endswith(f"/p2p/{told['peer_id']}")
            assert client.add_peer(BOB, "trusted")["peer"] == PEER_IDS[2]
        assert run(["start", "--home", str(tmp_path)]) == 2, "two nodes do not share a home"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "Traceback" not in out + err
    assert f"Node {told['peer_id']} (kitchen)" in out
    assert f"node start --peer {told['addresses'][0]}" in out
    assert "Ended. What was learnt is on disk." in out
    assert not (tmp_path / "control.json").exists()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at the process through /proc")
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_node_that_is_still_loading_ends_at_once_and_says_nothing_of_trouble(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", "from cli.app import main; main()", "start", "--listen", "/ip4/127.0.0.1/tcp/0"]
    for after in (0.0, 0.3, 1.0, 2.0, 3.0):
        environment = os.environ | {"BABELMESH_HOME": str(tmp_path / str(after))}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        try:
            while not _catches(process.pid, number):
                assert process.poll() is None, process.communicate()
                time.sleep(0.01)
            time.sleep(after)
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0, (after, out, err)
        for trouble in ("Traceback", "did not end", "Finished steps", "error"):
            assert trouble not in out + err, (after, out, err)


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether the command has begun: from then on it handles this signal itself, and Ctrl-C together with it."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:"))
    term = signal.SIGTERM if number is signal.SIGINT else number  # Python catches SIGINT from its first moment
    return bool(int(caught.split()[1], 16) >> (term - 1) & 1) and bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def test_a_home_in_which_a_node_runs_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with HomeLock(load(tmp_path, {}).lock):
        script = (
            "import sys; from cli.app import run; code = run(['start'])\n"
            "print(code, sorted({'torch', 'libp2p', 'fastapi', 'trio'} & set(sys.modules)))"
        )
        told = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"BABELMESH_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert told.stdout == "2 []\n"
    assert f"A node is running in {tmp_path} already: process {os.getpid()}." in told.stderr


def test_a_blocked_peer_by_hand_starts_nothing_and_in_the_settings_it_stays_blocked(tmp_path: Path) -> None:
    home = ["--home", str(tmp_path)]
    assert run(["peers", "add", ANA, *home]) == 0
    assert run(["peers", "block", PEER_IDS[1], *home]) == 0
    command = [sys.executable, "-c", "from cli.app import main; main()", "start", "--peer", ANA, *home]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert told.returncode == 2
    assert f"The peer {PEER_IDS[1]} is blocked here." in told.stderr
    assert f"Unblock it first: node peers trust {PEER_IDS[1]}" in told.stderr
    (tmp_path / "babelmesh.toml").write_text(f'[node]\npeers = ["{ANA}"]\n')
    with started(tmp_path, "--json") as process:
        with Client.of(tmp_path / "control.json") as client:
            (known,) = client.peers()
            client.stop()
        out, err = process.communicate(timeout=20)
    assert known["trust"] == "blocked"
    assert err.count("names is blocked, and stays so") == 1
    assert all(json.loads(line)["event"] for line in out.splitlines())


@pytest.mark.slow
def test_a_program_reads_it_line_by_line_and_ends_it(tmp_path: Path) -> None:
    with started(tmp_path, "--json") as process:
        assert process.stdout is not None
        begun = json.loads(process.stdout.readline())
        assert begun["event"] == "started"
        assert begun["addresses"]
        with Client.of(tmp_path / "control.json") as client:
            client.stop()
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert all(json.loads(line)["event"] for line in out.splitlines())


def test_a_full_disk_under_the_output_does_not_end_the_node(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full, started(tmp_path, out=full) as process:
        end = time.monotonic() + 20
        while "nothing is shown any more" not in (tmp_path / "node.log").read_text():
            assert time.monotonic() < end
            time.sleep(0.05)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert process.returncode in {0, 120}, "120 is what Python says when it cannot flush its output"
    assert "Traceback" not in err
    assert not (tmp_path / "control.json").exists()


@pytest.mark.slow
def test_a_node_warms_its_engines_beside_its_work_when_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "babelmesh.toml").write_text("[engines]\nwarm = true\n")
    with started(tmp_path) as process:
        tasks: set[str] = set()
        end = time.monotonic() + 120
        while len(tasks) < len(TASKS):
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.05)
            lines = [json.loads(line) for line in (tmp_path / "node.log").read_text().splitlines()]
            tasks = {line["task"] for line in lines if "warmed up" in line["event"]}
        assert tasks == set(TASKS)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        _, left = psutil.wait_procs(children, 10)
        assert not left, "engines in processes of their own end with the node"
