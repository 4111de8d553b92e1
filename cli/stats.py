"""`node stats`: what this node does and has done; asks the running node, or reads the home when none runs.

Parses, asks, prints; what it looks like is the dashboard's business.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cli.client import Client
from cli.common import Common
from cli.errors import BadUsage, NoAnswer
from cli.peers import find
from cli.render import console, show_line, write_json
from node.errors import NotRunning

if TYPE_CHECKING:
    from rich.console import RenderableType

    from node.config import Config

Switch = Parameter(negative="", show_default=False)
EVERY = 1.0
"""Seconds between two looks."""
QUIT = {"q", "Q", "\x03", "\x1b"}


def stats(
    *,
    watch: Annotated[bool, Switch] = False,
    peer: str | None = None,
    web: Annotated[bool, Switch] = False,
    common: Common | None = None,
) -> int:
    """Show what this node does: the model before and after each round, peers, bytes, verdicts, translations.

    Parameters
    ----------
    watch
        Fill the terminal and keep it up to date; q ends it.
    peer
        Tell all about one peer: its name, its id, or the beginning of either.
    web
        Print an address that opens the same as a page in a browser of this machine, once.
    """
    common = common or Common()
    from node.config import load

    config = load(common.home, os.environ)
    if web and (watch or peer):
        raise BadUsage(
            "--web opens a page of all that is shown, which is live anyhow.", "Leave --watch and --peer out."
        )
    if web:
        return _web(config, common)
    if watch and not common.json and not sys.stdout.isatty():
        raise BadUsage("--watch needs a terminal.", "Leave it out, or add --json for one document per second.")
    source = Source(config)
    try:
        if watch:
            _watch(source, peer, common)
        elif common.json:
            write_json(_told(source, peer))
        else:
            out = console()
            out.print(_picture(source.look(), peer, out.width))
    finally:
        source.close()
    return 0


class Source:
    """Where stats come from: the running node as long as there is one, else the home's memory."""

    def __init__(self, config: Config) -> None:
        """Asks nobody yet."""
        self._config = config
        self._client: Client | None = None

    def look(self) -> dict[str, Any]:
        """The picture now."""
        try:
            if self._client is None:
                self._client = Client.of(self._config.control)
            return self._client.stats()
        except (NotRunning, NoAnswer):
            self.close()
        import msgspec

        from node.stats import read_stats

        return dict(msgspec.to_builtins(read_stats(self._config)))

    def close(self) -> None:
        """Let go of the node."""
        if self._client is not None:
            self._client.__exit__(None, None, None)
            self._client = None


def _told(source: Source, peer: str | None) -> dict[str, Any]:
    """The picture now, or of one peer what it says of it. Raises NotFound and BadUsage."""
    told = source.look()
    return find(told["peers"], peer) if peer else told


def _picture(told: dict[str, Any], peer: str | None, width: int, height: int | None = None) -> RenderableType:
    from cli.dashboard import dashboard, peer_view

    return peer_view(told, find(told["peers"], peer), width) if peer else dashboard(told, width, height)


def _web(config: Config, common: Common) -> int:
    with Client.of(config.control) as client:
        url = client.page()
    if common.json:
        write_json({"url": url})
        return 0
    show_line(url)
    show_line("Good for one opening within two minutes.", error=True)
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        import webbrowser

        webbrowser.open(url)
    return 0


def _watch(source: Source, peer: str | None, common: Common) -> None:
    if common.json:
        import json

        while True:
            sys.stdout.write(json.dumps(_told(source, peer), ensure_ascii=False) + "\n")
            sys.stdout.flush()
            time.sleep(EVERY)
    from rich.live import Live

    out = console()
    try:
        screen = Live(console=out, screen=True, auto_refresh=False)
        with _interrupts() as interrupted, _keys() as pressed, screen as live:
            while True:
                told, size = source.look(), None
                end = time.monotonic() + EVERY
                while time.monotonic() < end:
                    if out.size != size:
                        size = out.size
                        live.update(_picture(told, peer, size.width, size.height), refresh=True)
                    if pressed(0.1) in QUIT or interrupted():
                        return
    except KeyboardInterrupt:
        return


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, asked at leisure: an exception out of the middle of a library may get lost there."""
    told: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: told.append(number))
    try:
        yield lambda: bool(told)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _keys() -> Iterator[Any]:
    """A function that waits so many seconds for a key and gives it, or nothing; keys are not shown meanwhile."""
    if not sys.stdin.isatty():

        def sleep(seconds: float) -> str:
            time.sleep(seconds)
            return ""

        yield sleep
        return
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)

    def pressed(seconds: float) -> str:
        ready, _, _ = select.select([number], [], [], seconds)
        return os.read(number, 1).decode("latin-1") if ready else ""

    try:
        tty.setcbreak(number)
        yield pressed
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
