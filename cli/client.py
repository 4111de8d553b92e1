"""Talks to the running node of a home, over its control API on loopback.

Where the node is and the token for it are in `control.json`. Knows nothing of what the answers mean: they are plain
JSON values. The HTTP library is loaded when a node is really there.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from cli.errors import NoAnswer, NodeSaidNo
from node.errors import NotRunning

if TYPE_CHECKING:
    import httpx2

Hear = Callable[[str, dict[str, Any]], None]
"""Told the kind and the facts of something that happened in the node."""

START = "Start it with: node start"
WAIT = 10.0
"""Seconds in which the node answers what needs no work."""
LONG = 86_400.0
"""Seconds that a training round may take."""
OURS = re.compile(r"http://127\.0\.0\.1:\d{1,5}")


class Client:
    """The running node of one home. A context manager: leaving it closes the connection."""

    def __init__(self, http: httpx2.Client, file: Path) -> None:
        """`http` knows address and token; `file` is the control file that they come from."""
        self._http, self._file = http, file

    @classmethod
    def of(cls, control: Path) -> Self:
        """The node that `control` (a `control.json`) points at. Raises NotRunning."""
        url, token, pid = _read(control)
        import psutil

        if not psutil.pid_exists(pid):
            raise NotRunning("The node of this home has ended without a word: its process is gone.", START)
        import httpx2

        headers = {"authorization": f"Bearer {token}"}
        return cls(httpx2.Client(base_url=url, headers=headers, timeout=WAIT, trust_env=False), control)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def stats(self) -> dict[str, Any]:
        """All that the dashboard shows."""
        return dict(self._ask("GET", "/v1/stats"))

    def peers(self) -> list[dict[str, Any]]:
        """The peer book, each with `connected`."""
        return list(self._ask("GET", "/v1/peers"))

    def add_peer(self, address: str, trust: str) -> dict[str, Any]:
        """Write a peer into the book."""
        return dict(self._ask("POST", "/v1/peers", {"address": address, "trust": trust}))

    def set_trust(self, peer: str, trust: str, weight: float | None = None) -> dict[str, Any]:
        """Trust, block or hold a peer, by its whole id."""
        return dict(self._ask("PATCH", f"/v1/peers/{peer}", {"trust": trust, "weight": weight}))

    def remove_peer(self, peer: str) -> None:
        """Forget a peer, by its whole id."""
        self._ask("DELETE", f"/v1/peers/{peer}")

    def open_pairing(self) -> dict[str, Any]:
        """`code`, `link` and `number` of a pairing that waits for the other side."""
        return dict(self._ask("POST", "/v1/pairing"))

    def pairing(self) -> dict[str, Any]:
        """`number`, `state` and `peer` of the pairing that was opened last."""
        return dict(self._ask("GET", "/v1/pairing"))

    def pair(self, code: str, addresses: Sequence[str]) -> str:
        """Pair with a node whose code or link is known; its id."""
        told = self._ask("POST", "/v1/pairing/join", {"code": code, "addresses": list(addresses)}, wait=60.0)
        return str(told["peer"])

    def train(self, epochs: int | None = None, batch: int | None = None) -> dict[str, Any]:
        """A round at once; waits until it is over."""
        return dict(self._ask("POST", "/v1/rounds", {"epochs": epochs, "batch": batch}, wait=LONG))

    def stop(self) -> None:
        """End the node."""
        self._ask("POST", "/v1/stop")

    def page(self) -> str:
        """An address that opens the local page once."""
        key = self._ask("POST", "/v1/page/ticket")["key"]
        return f"{self._http.base_url}".rstrip("/") + f"/#{key}"

    @contextmanager
    def listening(self, hear: Hear) -> Iterator[None]:
        """Tell `hear`, from a thread of its own, of all that happens in the node while the block runs.

        Whoever is in the block has missed nothing since it began, and nothing is told after it.
        """
        import httpx2

        with (
            self._told(),
            self._http.stream("GET", "/v1/events", timeout=httpx2.Timeout(WAIT, read=30.0)) as response,
        ):
            if response.status_code != 200:
                response.read()
                self._refuse(response)
            ear = threading.Thread(target=_pass_on, args=(response, hear), daemon=True)
            ear.start()
            try:
                yield
            finally:
                _hang_up(response)
                ear.join()

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, wait: float = WAIT) -> Any:  # noqa: ANN401
        with self._told():
            response = self._http.request(method, path, json=body, timeout=wait)
        if response.status_code != 200:
            self._refuse(response)
        try:
            return response.json()
        except ValueError as error:
            raise NoAnswer("Something answered, and not like a node.", START) from error

    def _refuse(self, response: httpx2.Response) -> None:
        if response.status_code == 401:
            raise NoAnswer(
                f"The node does not know the token in {self._file}.", "It is another node's: end that one, and start."
            )
        try:
            told = response.json()["error"]
            sentence, remedy = str(told["sentence"]), str(told["remedy"])
        except (ValueError, KeyError, TypeError) as error:
            raise NoAnswer(f"Something answered {response.status_code}, and not like a node.", START) from error
        raise NodeSaidNo(sentence, remedy)

    @contextmanager
    def _told(self) -> Iterator[None]:
        import httpx2

        try:
            yield
        except httpx2.ConnectError as error:
            raise NotRunning("The node of this home does not listen any more.", START) from error
        except httpx2.TimeoutException as error:
            raise NoAnswer("The node runs, but does not answer in time.", "Try again, or look at its log.") from error
        except httpx2.TransportError as error:
            raise NoAnswer("The node ended while it was asked.", START) from error


def is_running(control: Path) -> bool:
    """Whether a node of this home is there to be asked."""
    try:
        with Client.of(control):
            return True
    except NotRunning:
        return False


def _pass_on(response: httpx2.Response, hear: Hear) -> None:
    """Read the stream to its end, which is also its owner's hanging up and the node's ending."""
    import httpx2

    kind = ""
    try:
        for line in response.iter_lines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                hear(kind, json.loads(line[6:]))
    except httpx2.TransportError:
        return


def _hang_up(response: httpx2.Response) -> None:
    """End a stream that another thread waits on; closing a socket alone wakes nobody."""
    line: socket.socket = response.extensions["network_stream"].get_extra_info("socket")
    with suppress(OSError):  # the node has ended first
        line.shutdown(socket.SHUT_RDWR)


def _read(control: Path) -> tuple[str, str, int]:
    try:
        told = json.loads(control.read_bytes())
        url, token, pid = str(told["url"]), str(told["token"]), int(told["pid"])
    except FileNotFoundError:
        raise NotRunning("No node runs in this home.", START) from None
    except (ValueError, KeyError, TypeError) as error:
        raise NotRunning(f"{control} is damaged.", f"Remove it, then: {START[0].lower() + START[1:]}") from error
    if not OURS.fullmatch(url) or not token.isascii() or not token.isprintable():
        raise NotRunning(f"{control} points at something that is no node.", "Remove it, and start the node again.")
    return url, token, pid
