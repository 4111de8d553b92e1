"""A model hub on this machine: the part of its API that huggingface_hub 2.4 and our downloads call, and its troubles.

`/api/models/REPO[/revision/COMMIT]?blobs=true` describes a repository, `/REPO/resolve/COMMIT/PATH` gives a file, from
any byte on, by way of a redirect as the real one does for large files.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "c" * 40
LFS_FROM = 1000
"""Bytes from which on a file is large, and known by its SHA-256."""


@dataclass
class Trouble:
    """What goes wrong with the next requests for paths that end so, `times` times."""

    path: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    """Close the connection after so many bytes of the body."""
    stall: bool = False
    """Send nothing more, until the hub is closed."""
    times: int = 1
    ranges: bool = True
    body: bytes = b"{}"


@dataclass
class Hub:
    """Repositories as {repo: {path: bytes}}, and what was asked, as (method, path, range)."""

    repos: dict[str, dict[str, bytes]]
    commit: str = COMMIT
    troubles: list[Trouble] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    endpoint: str = ""
    lies: dict[str, str] = field(default_factory=dict)
    """Paths whose SHA-256 is told wrongly."""
    closing: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event | None = None
    """While set up and not set, files wait after their first kilobyte."""
    waiting: threading.Event = field(default_factory=threading.Event)
    store_at: str = ""
    """Another address that files are given from."""
    packed: bytes | None = None
    """What files are sent as, called gzip, whatever was asked for."""

    def got(self, end: str) -> list[str]:
        """The ranges of the requests for files that end so."""
        return [range_ for _, path, range_ in self.asked if path.endswith(end) and path.startswith("/blob/")]

    def trouble(self, path: str) -> Trouble | None:
        """What shall go wrong now; what is wrong with a body waits for the request that gives one."""
        body = path.startswith("/blob/")
        for trouble in self.troubles:
            if path.endswith(trouble.path) and trouble.times and (trouble.status or body):
                trouble.times -= 1
                return trouble
        return None


def describe_repository(hub: Hub, repo: str, files: dict[str, bytes]) -> dict[str, object]:
    """What the hub says of a repository."""
    siblings: list[dict[str, object]] = []
    for path, data in files.items():
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        one: dict[str, object] = {"rfilename": path, "size": len(data), "blobId": blob}
        if len(data) >= LFS_FROM:
            sha256 = hub.lies.get(path) or hashlib.sha256(data).hexdigest()
            one["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 130}
        siblings.append(one)
    return {"id": repo, "modelId": repo, "sha": hub.commit, "siblings": siblings, "tags": [], "downloads": 0}


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def handle(self) -> None:
        """A client may leave at any time."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        self.hub.tokens.append(self.headers.get("Authorization", ""))
        self.hub.agents.append(self.headers.get("User-Agent", ""))
        trouble = self.hub.trouble(path)
        if trouble and trouble.status:
            self._send(trouble.status, trouble.body, trouble.headers)
        elif path.startswith("/api/models/"):
            repo, _, commit = path.removeprefix("/api/models/").partition("/revision/")
            if repo not in self.hub.repos:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            elif commit not in {"", self.hub.commit}:
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            else:
                self._send(200, json.dumps(describe_repository(self.hub, repo, self.hub.repos[repo])).encode(), {})
        elif path.startswith("/api/"):
            self._send(404, b"{}", {})
        elif not path.startswith("/blob/"):
            self._send(302, b"", {"Location": self.hub.store_at + "/blob" + path, "X-Repo-Commit": self.hub.commit})
        else:
            repo, _, rest = path.removeprefix("/blob/").partition("/resolve/")
            self._file(self.hub.repos[repo].get(rest.partition("/")[2]), trouble)

    def _file(self, data: bytes | None, trouble: Trouble | None) -> None:
        if data is None:
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            return
        if self.hub.packed is not None:
            self._send(200, self.hub.packed, {"Content-Encoding": "gzip"})
            return
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and (not trouble or trouble.ranges) else 0
        body = data[start:]
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        self.send_response(206 if start else 200)
        for key, value in {**headers, "Content-Length": str(len(body)), "ETag": '"x"'}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.hub.gate is not None and not self.hub.gate.is_set():
            self.wfile.write(body[:1024])
            self.wfile.flush()
            self.hub.waiting.set()
            self.hub.gate.wait(60)
            body = body[1024:]
        if trouble and (trouble.cut is not None or trouble.stall):
            self.wfile.write(body[: trouble.cut or 0])
            self.wfile.flush()
            if trouble.stall:
                self.hub.closing.wait(60)
            self.close_connection = True
            return
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)


@contextmanager
def serving(repos: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    """A hub with these repositories, on a free port of this machine."""
    hub = Hub(repos)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (_Answers,), {"hub": hub}))
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        if hub.gate:
            hub.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
