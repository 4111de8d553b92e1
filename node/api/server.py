"""Serves the control API on loopback beside a running node, and tells the commands where it is.

The port and the token are in `control.json` in the node's home, for the owner's eyes, from when the API answers until
it ends. Runs in the node's own event loop and leaves signals to whoever runs the node.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvicorn

from node.api.app import build_app
from node.api.keys import Keys
from node.api.service import RunningNode
from node.errors import HomeUnusable
from node.files import write_bytes

HOST = "127.0.0.1"
GRACE = 1
"""Seconds that requests under way get when the node ends."""
CONNECTIONS = 64


class Control(msgspec.Struct, frozen=True):
    """Where a running node's API is. `started_at` is in seconds since the epoch."""

    url: str
    token: str
    pid: int
    started_at: float


class ControlApi:
    """The control API of one node."""

    def __init__(self, node: RunningNode, file: Path, port: int = 0) -> None:
        """`file` is where to write `control.json`; port 0 takes a free one."""
        self._node, self._file, self._port = node, file, port

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Raises HomeUnusable when the port is taken or the file cannot be written."""
        with self._socket() as listening:
            port = listening.getsockname()[1]
            keys = Keys(time.monotonic)
            server = _Server(
                uvicorn.Config(
                    build_app(self._node, keys, port),
                    lifespan="off",
                    access_log=False,
                    log_config=None,
                    log_level="warning",
                    server_header=False,
                    proxy_headers=False,
                    limit_concurrency=CONNECTIONS,
                    timeout_keep_alive=30,
                    timeout_graceful_shutdown=GRACE,
                    ws="none",
                )
            )
            control = Control(f"http://{HOST}:{port}", keys.token, os.getpid(), time.time())
            with self._told(control):
                async with asyncio.TaskGroup() as group:
                    serving = group.create_task(server.serve(sockets=[listening]))
                    try:
                        await stop.wait()
                    finally:
                        self._node.events.close()
                        server.should_exit = True
                        await asyncio.shield(serving)

    def _socket(self) -> socket.socket:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, self._port))
            listening.listen(CONNECTIONS)
        except OSError as error:
            listening.close()
            raise HomeUnusable(
                f"The control API cannot listen on port {self._port}: {error.strerror}.",
                "Take another one with --port, or 0 for a free one.",
            ) from error
        return listening

    @contextmanager
    def _told(self, control: Control) -> Iterator[None]:
        """The file is there, and it is ours alone to read."""
        try:
            write_bytes(self._file, msgspec.json.encode(control), 0o600)
        except OSError as error:
            raise HomeUnusable(
                f"{self._file} cannot be written: {error.strerror}.", "Make the home writable, or choose another one."
            ) from error
        try:
            yield
        finally:
            self._file.unlink(missing_ok=True)


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the node."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
