"""`node start`: runs this node in the foreground until it is told to end.

Parses, builds, shows what the node does; what it does is the household's business.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

from cyclopts import Parameter

from cli.common import Common
from cli.identity import ONLY_HERE, best, note_unprotected, reach, read_passphrase
from cli.render import console, show_line
from node.errors import BadConfig

if TYPE_CHECKING:
    from node.config import Config
    from node.running import Running

LOG = "node.log"
"""In the home: what the node did, one JSON document per line."""
PATIENCE = 1.0
"""Seconds that threads get to come to their end when everything is closed: one may be loading a library still."""
LIBRARIES = (
    "ml.voice.training",
    "node.api.server",
    "node.app",
    "node.exchange",
    "node.learner",
    "node.learning",
    "node.mesh",
    "node.quarantine",
    "node.running",
    "node.store.repair",
    "node.telemetry",
    "p2p.discovery",
    "p2p.gate",
    "p2p.host.transport",
    "p2p.transfer",
)
"""What a node stands on, with the libraries behind it."""
EVERY = 1.0
"""Seconds between two looks at what the node does."""


@Parameter(name="*")
@dataclass(frozen=True)
class Wishes:
    """What can be asked of a node that is started; the rest is as `node config show` says."""

    peer: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    "Address of a peer to keep in touch with and to trust (repeatable): /ip4/192.168.1.20/tcp/4710/p2p/12D3KooW..."

    listen: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    "Address to listen on (repeatable); /ip4/0.0.0.0/tcp/4710 is every network of this machine."

    name: str | None = None
    "What peers see beside the id."

    open: bool | None = None
    "Exchange with whoever comes, instead of holding unknown peers at the door."

    discover: bool | None = None
    "Find and announce nodes on the local network."

    rounds: int | None = None
    "Stop learning after so many rounds; 0 never stops."

    interval: float | None = None
    "Seconds between the starts of two rounds."

    method: str | None = None
    "How to learn with peers: shared-prior, or mix (own and received weights, 70/30)."

    model: str | None = None
    "Which shipped model learns: res64, frame by frame, or b4h80, blocks of 64 ms; each keeps what it has learnt."

    alpha: float | str | None = None
    "Weight of the own model in a mixture, 0 to 1, or auto: learnt slowly from your speech. Means --method mix."

    peers_per_round: int | None = None
    "Peers to exchange with in each round."

    epochs: int | None = None
    "Epochs of local training in each round."

    port: int | None = None
    "Port of the control API on loopback; 0 takes a free one."

    passphrase_file: Path | None = None
    "File with the passphrase of the node's key."


def start(*, wishes: Wishes | None = None, common: Common | None = None) -> int:
    """Run this node until Ctrl-C: learn from your voice, and exchange what was learnt with peers that you trust."""
    wishes, common = wishes or Wishes(), common or Common()
    from ml.threads import limit_threads

    limit_threads()
    from node.config import load
    from node.lock import refuse_if_held

    config = effective(load(common.home, os.environ), wishes)
    refuse_if_held(config.lock)
    passphrase = read_passphrase(wishes.passphrase_file)
    note_unprotected(config.identity, passphrase)
    _load_libraries()
    ended = threading.Timer(PATIENCE, os._exit, (0,))
    ended.daemon = True
    try:
        asyncio.run(_run(config, passphrase, wishes.peer, common, ended))
    except BaseExceptionGroup as group:
        raise first(group) from group
    finally:
        ended.cancel()
    return 0


def effective(config: Config, wishes: Wishes) -> Config:
    """The settings of the home with what was said on the command line. Raises BadConfig."""
    peers = tuple(dict.fromkeys((*config.node.peers, *wishes.peer)))
    if wishes.alpha is not None and wishes.method not in (None, "mix"):
        raise BadConfig(
            f"--alpha says how much to mix, and --method {wishes.method} mixes nothing.",
            "Leave out one of the two, or say --method mix.",
        )
    return config.with_(
        node={
            "peers": peers,
            "listen": wishes.listen or None,
            "name": wishes.name,
            "open": wishes.open,
            "discover": wishes.discover,
            "api": wishes.port,
        },
        train={
            "rounds": wishes.rounds,
            "interval": wishes.interval,
            "model": wishes.model,
            "method": wishes.method or ("mix" if wishes.alpha is not None else None),
            "alpha": wishes.alpha,
            "peers_per_round": wishes.peers_per_round,
            "epochs": wishes.epochs,
        },
    )


def _load_libraries() -> None:
    """All that takes seconds to load, before anything is opened: until then a signal ends the process at once."""
    for name in LIBRARIES:
        import_module(name)


def first(group: BaseException) -> BaseException:
    """The error that says most: the first one in a group, however deep, that is a sentence, else the first one."""
    leaves: list[BaseException] = []

    def gather(error: BaseException) -> None:
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                gather(inner)
        else:
            leaves.append(error)

    gather(group)
    return next((leaf for leaf in leaves if hasattr(leaf, "sentence")), leaves[0])


async def _run(
    config: Config, passphrase: str | None, by_hand: tuple[str, ...], common: Common, ended: threading.Timer
) -> None:
    """Until told to end. Starts `ended` when all is on disk and closed: from then on nothing is worth waiting for."""
    from node.api.server import ControlApi
    from node.app import build, open_mesh
    from node.running import Running
    from node.telemetry import Telemetry, notes, set_up_logs
    from node.warming import Warmth

    stop = asyncio.Event()
    with (
        _told_to_end(stop),
        notes(sys.stderr),  # until the lock is ours, and with it the log
        open_mesh(config, passphrase, by_hand) as mesh,
        _beside_the_line(common) as stream,
    ):
        set_up_logs(config.home / LOG, "debug" if common.verbose else "info", stream, as_json=common.json)
        running = Running(mesh, config, Telemetry(), stop.set)
        mesh.add_service(ControlApi(running, config.control, config.node.api))
        if config.engines.warm:
            mesh.add_service(Warmth(build(config).registry, config))
        mesh.add_service(Screen(running, config, common))
        await mesh.run(stop)
    ended.start()
    with suppress(OSError):  # nobody is there to read it, or there is no room for it
        if not common.json:
            show_line("Ended. What was learnt is on disk.")
        sys.stdout.flush()


@contextmanager
def _beside_the_line(common: Common) -> Iterator[TextIO]:
    """Where log lines go besides the file: nowhere when a live line has the terminal, and nobody asked for more."""
    if sys.stdout.isatty() and not common.json and not common.verbose:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            yield nowhere
    else:
        yield sys.stderr


@contextmanager
def _told_to_end(stop: asyncio.Event) -> Iterator[None]:
    """Ctrl-C, `kill` and a closed terminal set `stop`; a second Ctrl-C ends at once."""
    loop = asyncio.get_running_loop()
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

    def told(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        loop.add_signal_handler(number, told, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


class Screen:
    """Shows what the node does: a live line on a terminal, else a line whenever something changes; runs beside it."""

    def __init__(self, running: Running, config: Config, common: Common) -> None:
        """Shows nothing yet."""
        self._running, self._config, self._common = running, config, common

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. A full disk under the output, or a reader that has gone, ends no more than the show."""
        try:
            await self._show(stop)
        except OSError as error:
            import structlog

            structlog.get_logger("screen").warning("nothing is shown any more", why=error.strerror)
            await stop.wait()

    async def _show(self, stop: asyncio.Event) -> None:
        if self._common.json:
            await self._tell_events()
            return
        self._greet()
        if sys.stdout.isatty():
            await self._show_line(stop)
        else:
            await self._tell_changes(stop)

    def _greet(self) -> None:
        told = self._running.stats()
        addresses = list(told.addresses)
        show_line(f"Node {told.peer_id}" + (f" ({told.name})" if told.name else ""))
        for address in addresses:
            show_line(f"  {address}")
        shown = best(addresses)
        if shown is None:
            return
        if reach(shown) == 0:
            show_line(ONLY_HERE)
        show_line(f"A friend joins with: node start --peer {shown}")
        show_line("You say yes with:    node peers trust ID      or, both at once: node peers pair")
        show_line("Watch it with:       node stats --watch       in a browser: node stats --web")
        show_line(f"It writes down what it does in {self._config.home / LOG}. End it with Ctrl-C.")
        sys.stdout.flush()

    async def _tell_events(self) -> None:
        import json

        from msgspec import to_builtins

        told = self._running.stats()
        begun = {"event": "started", "peer": told.peer_id, "addresses": list(told.addresses), "home": told.home}
        sys.stdout.write(json.dumps(begun) + "\n")
        sys.stdout.flush()
        ear = self._running.events.listen()
        try:
            async for event in ear:
                facts = to_builtins(event.facts)
                sys.stdout.write(json.dumps({"event": event.kind, **facts}, ensure_ascii=False) + "\n")
                sys.stdout.flush()
        finally:
            self._running.events.leave(ear)

    async def _tell_changes(self, stop: asyncio.Event) -> None:
        before: tuple[object, ...] = ()
        while not stop.is_set():
            told = self._running.stats()
            now = (told.phase, told.quality.rounds, [peer.peer for peer in told.peers if peer.connected], told.note)
            if now != before:
                show_line(self._status().replace("\n", " · "))
                sys.stdout.flush()
                before = now
            await asyncio.sleep(EVERY)

    async def _show_line(self, stop: asyncio.Event) -> None:
        from rich.console import Group
        from rich.live import Live
        from rich.text import Text

        with Live(console=console(), auto_refresh=False, transient=True) as live:
            while not stop.is_set():
                status, _, note = self._status().partition("\n")
                line = Text(status, "bold", overflow="ellipsis", no_wrap=True)
                live.update(Group(line, Text(note, "yellow")) if note else line, refresh=True)
                await asyncio.sleep(EVERY)

    def _status(self) -> str:
        """What the node does, and on a second line what is in its way."""
        from msgspec import to_builtins

        from cli.dashboard import status_line

        told = to_builtins(self._running.stats())
        return status_line(told) + (f"\n{told['note']}" if told["note"] else "")
