"""Stands before every request to the control API and turns away what the owner's own programs would never send.

A web page that the owner looks at can make the browser send requests to this machine: by its own address, or by a name
that its server points at loopback (DNS rebinding). So the Host must be ours, the Origin absent or ours, and everything
that tells or changes something needs a key. Bodies are short, and arrive soon. Knows nothing of what the routes do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from node.api.keys import Keys, Right

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY = 16 * 1024
"""Bytes of the longest request body."""
BODY_SECONDS = 10.0
"""A body that is not all there by then is given up."""
OPEN = frozenset({"/", "/page.js", "/page.css", "/page.svg", "/metrics", "/v1/page/session"})
"""Paths that need no key: the page is empty without one, the session is paid for with a ticket."""
FETCHED_FROM = {b"same-origin", b"none"}
"""Where a browser may say that a request comes from: our page, or the owner's own typing."""

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """An ASGI application around another."""

    def __init__(self, app: App, keys: Keys, port: int) -> None:
        """`port` is the one that is listened on: it is part of our name."""
        self._app, self._keys = app, keys
        names = ("127.0.0.1", "localhost")
        self._hosts = {f"{name}:{port}".encode() for name in names}
        self._origins = {f"http://{name}:{port}".encode() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with one sentence."""
        if scope["type"] != "http":
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in HEADERS}
                kept = [(name, value) for name, value in message["headers"] if name.lower() not in names]
                message = {**message, "headers": [*kept, *HEADERS]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            body = await _body(scope, receive)
            if isinstance(body, bytes):
                await self._app(scope, _replay(body, receive), sealed)
                return
            refusal = body
        await sealed(_start(refusal))
        await sealed({"type": "http.response.body", "body": error_body(refusal[1], refusal[2])})

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        hosts = [value.lower() for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return 403, "This node is not called by that name.", "Use the address in control.json as it is."
        origins = [value.lower() for name, value in headers if name == b"origin"]
        places = {value.lower() for name, value in headers if name == b"sec-fetch-site"}
        if not set(origins) <= self._origins or not places <= FETCHED_FROM:
            return (
                403,
                "Another site's page asked this; it has no business here.",
                "Open the page with: node stats --web",
            )
        if scope["path"] in OPEN:
            return None
        right = self._right(headers)
        if right is Right.NONE:
            return 401, "That needs the token of this node.", "The commands read it from control.json in the home."
        if right is Right.READ and scope["method"] not in {"GET", "HEAD"}:
            return 403, "The page only reads.", "Use the commands to change something: node --help"
        return None

    def _right(self, headers: list[tuple[bytes, bytes]]) -> Right:
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) != 1:
            return Right.NONE
        kind, _, key = given[0].partition(b" ")
        return self._keys.right(key.decode("latin-1")) if kind.lower() == b"bearer" else Right.NONE


def error_body(sentence: str, remedy: str) -> bytes:
    """How every error looks on the wire."""
    return msgspec.json.encode({"error": {"sentence": sentence, "remedy": remedy}})


def _start(refusal: tuple[int, str, str]) -> Message:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if refusal[0] == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return {"type": "http.response.start", "status": refusal[0], "headers": headers}


async def _body(scope: Scope, receive: Receive) -> bytes | tuple[int, str, str]:
    """All of the body, or why not."""
    if scope["method"] in {"GET", "HEAD"}:
        return b""
    body: bytes = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if len(body) > BODY:
                    return 413, f"The body is longer than {BODY} bytes.", "Nothing that this API takes is that long."
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return body
    except TimeoutError:
        return 408, f"The body was not there within {BODY_SECONDS:.0f} s.", "Send it in one piece."


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
