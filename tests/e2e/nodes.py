"""Real nodes for tests: each is `node start` in a process and a home of its own, on loopback, with a real voice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.audio.logmel import LogMel
from ml.voice.genesis import genesis
from ml.voice.measures import score
from node.config import Config, load
from node.frames import FrameShelf
from node.stats import Stats, read_stats
from node.store import Store
from node.store.rows import Role
from node.weights import WeightShelf
from p2p.identity import Identity

NODE = [sys.executable, "-c", "from cli.app import main; main()"]
LOOPBACK = "/ip4/127.0.0.1/tcp/0"


@dataclass(frozen=True)
class Voice:
    """One person's speech as log-mel utterances: what the node learns from, and what it never sees."""

    name: str
    train: tuple[LogMel, ...]
    test: tuple[LogMel, ...]
    plenty: bool = False
    """Whether there is enough of it to tell gains of a percent on the test speech from chance."""


class NodeProcess:
    """A home, and the node that runs in it when it runs."""

    def __init__(self, home: Path, voice: Voice | None, prefix: Sequence[str] = (), **environment: str) -> None:
        """`prefix` are the words before each of its commands, such as those that run it on a network of its own."""
        self.home = home
        self.prefix = prefix
        self.voice = voice
        self.config: Config = load(home, {})
        self.log = home.with_suffix(".log")
        self.environment = {**os.environ, **environment}
        self.process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True, mode=0o700)
        self.identity = Identity.load_or_create(self.config.identity)
        if voice is not None:
            FrameShelf(self.config.voices).add("me", voice.train)

    @property
    def peer_id(self) -> str:
        return self.identity.peer_id

    @property
    def address(self) -> str:
        """Where the running node can be dialled."""
        addresses = self.wait_for(lambda stats: stats.running and bool(stats.addresses)).addresses
        return next(one for one in addresses if one.startswith("/ip4/127."))

    def start(self, *options: object) -> NodeProcess:
        """Start it; `options` go to `node start`."""
        arguments = [*self.prefix, *NODE, "start", "--home", str(self.home), "--json", *map(str, options)]
        if "--listen" not in options:
            arguments += ["--listen", LOOPBACK]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(arguments, env=self.environment, stdout=log, stderr=log)
        return self

    def command(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run another command on the same home; it must end well."""
        done = subprocess.run(
            [*self.prefix, *NODE, *map(str, arguments), "--home", str(self.home)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done

    def stats(self) -> Stats:
        return read_stats(self.config)

    def wait_for(self, condition: Callable[[Stats], bool], seconds: float = 60.0) -> Stats:
        """Until the node's own memory says so."""
        until = time.monotonic() + seconds
        while True:
            stats = self.stats()
            if condition(stats):
                return stats
            assert self.process is None or self.process.poll() is None, f"the node ended:\n{self.tail()}"
            assert time.monotonic() < until, f"not within {seconds} s:\n{self.tail()}"
            time.sleep(0.1)

    def stop(self, how: int = signal.SIGTERM) -> float:
        """Ask it to end; the seconds that it took. It must end well."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(how)
        code = self.process.wait(30)
        took = time.monotonic() - began
        assert code == 0, f"exit code {code}:\n{self.tail()}"
        self.process = None
        return took

    def kill(self) -> None:
        """End it as a power cut would; safe to call on one that does not run."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else "no log"

    def error(self, role: Role | None) -> float:
        """Mean squared error on speech that the node never saw, with the weights of a role (None: genesis)."""
        assert self.voice is not None
        start = genesis()
        weights = start.weights
        if role is not None:
            with Store.open(self.config.store, read_only=True) as store:
                digest = store.roles()[role]
            if digest != start.digest:
                weights = WeightShelf(self.config.weights, start.autoencoder.layout).get(digest)
        return score(start.autoencoder, weights, self.voice.test).mse


def introduce(nodes: Sequence[NodeProcess]) -> None:
    """Let all of them trust each other, before any of them runs."""
    for node in nodes:
        with Store.open(node.config.store) as store:
            from p2p.peers import PeerRecord, Trust

            for other in nodes:
                if other is not node:
                    store.save_peer(PeerRecord(peer=other.peer_id, trust=Trust.TRUSTED))


def gain(before: float, after: float) -> float:
    """Percent of the error that is gone."""
    return 100.0 * (1.0 - after / before)
