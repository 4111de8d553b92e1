"""What no program of the owner would send is turned away before any route sees it."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.api import guard as guarding
from node.api.guard import BODY, HEADERS, Guard
from node.api.keys import Keys

PORT = 4711
HOST = (b"host", b"127.0.0.1:4711")
KEY = (b"authorization", b"Bearer secret")


class Seen:
    """The application behind the guard: remembers what came through."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.asked = 0

    async def __call__(self, scope, receive, send) -> None:
        self.asked += 1
        message = await receive()
        self.bodies.append(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"public")]})
        await send({"type": "http.response.body", "body": b"{}"})


async def ask(headers, method="GET", path="/v1/stats", parts=(b"",), keys=None):
    """Status, headers and body of an answer, and what came through."""
    seen, sent = Seen(), []
    waiting = [{"type": "http.request", "body": part, "more_body": n < len(parts) - 1} for n, part in enumerate(parts)]

    async def receive():
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    guard = Guard(seen, keys or Keys(lambda: 0.0, "secret"), PORT)
    await guard({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"], seen.bodies


async def test_the_owners_program_comes_through() -> None:
    for host in (b"127.0.0.1:4711", b"localhost:4711", b"LOCALHOST:4711"):
        status, headers, _, seen = await ask([(b"host", host), KEY])
        assert (status, seen) == (200, [b""])
    assert headers[b"cache-control"] == b"no-store"
    assert set(dict(HEADERS)) <= set(headers)


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [b"evil.example:4711"],
        [b"127.0.0.1"],
        [b"127.0.0.1:4712"],
        [b"127.0.0.1:4711.evil.example"],
        [b"127.0.0.1:4711", b"evil.example"],
        [b"127.0.0.1:4711", b"127.0.0.1:4711"],
        [b""],
        [b"[::1]:4711"],
    ],
)
@pytest.mark.parametrize("path", ["/v1/stats", "/", "/metrics"])
async def test_a_name_that_is_not_ours_is_refused_though_the_token_is_right(hosts: list[bytes], path: str) -> None:
    status, _, body, seen = await ask([*((b"host", host) for host in hosts), KEY], path=path)
    assert (status, seen) == (403, [])
    assert "not called by that name" in json.loads(body)["error"]["sentence"]


@pytest.mark.parametrize(
    "header",
    [
        (b"origin", b"http://evil.example"),
        (b"origin", b"null"),
        (b"origin", b"http://127.0.0.1:8000"),
        (b"origin", b"https://127.0.0.1:4711"),
        (b"origin", b""),
        (b"sec-fetch-site", b"cross-site"),
        (b"sec-fetch-site", b"same-site"),
    ],
)
async def test_another_sites_page_is_refused(header: tuple[bytes, bytes]) -> None:
    for path in ("/v1/stats", "/v1/page/session", "/"):
        status, _, body, seen = await ask([HOST, KEY, header], path=path)
        assert (status, seen) == (403, [])
        assert "Another site" in json.loads(body)["error"]["sentence"]


async def test_our_own_page_comes_through() -> None:
    own = [HOST, KEY, (b"origin", b"http://127.0.0.1:4711"), (b"sec-fetch-site", b"same-origin")]
    assert (await ask(own))[0] == 200
    assert (await ask([HOST, (b"sec-fetch-site", b"none")], path="/"))[0] == 200


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [b"Bearer wrong"],
        [b"Bearer secre"],
        [b"Bearer secrett"],
        [b"Basic secret"],
        [b"secret"],
        [b"Bearer "],
        [b"Bearer secret", b"Bearer secret"],
        ["Bearer sécret".encode()],
    ],
)
async def test_without_the_token_nothing_is_told(keys: list[bytes]) -> None:
    status, headers, body, seen = await ask([HOST, *((b"authorization", key) for key in keys)])
    assert (status, seen) == (401, [])
    assert headers[b"www-authenticate"] == b"Bearer"
    assert b"secret" not in body


async def test_a_page_session_reads_and_changes_nothing() -> None:
    keys = Keys(lambda: 0.0, "secret")
    session = keys.redeem(keys.ticket())
    assert session
    mine = [HOST, (b"authorization", f"Bearer {session}".encode())]
    assert (await ask(mine, keys=keys))[0] == 200
    for method in ("POST", "PATCH", "DELETE", "PUT"):
        assert (await ask(mine, method=method, keys=keys))[0] == 403


@given(sizes=st.lists(st.integers(0, BODY), max_size=6))
async def test_bodies_come_through_whole_or_not_at_all(sizes: list[int]) -> None:
    parts = [bytes([65 + n]) * size for n, size in enumerate(sizes)] or [b""]
    status, _, _, seen = await ask([HOST, KEY], method="POST", parts=parts)
    whole = b"".join(parts)
    assert (status, seen) == ((200, [whole]) if len(whole) <= BODY else (413, []))


async def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "BODY_SECONDS", 0.01)
    seen: list[object] = []

    async def never():
        await asyncio.Event().wait()

    async def send(message):
        seen.append(message)

    inner = Seen()
    guard = Guard(inner, Keys(lambda: 0.0, "secret"), PORT)
    await guard({"type": "http", "method": "POST", "path": "/v1/stop", "headers": [HOST, KEY]}, never, send)
    assert seen[0]["status"] == 408  # type: ignore[index]
    assert inner.asked == 0


async def test_other_protocols_are_not_spoken() -> None:
    async def nothing(*_):
        raise AssertionError("was answered")

    seen = Seen()
    await Guard(seen, Keys(lambda: 0.0, "secret"), PORT)({"type": "websocket"}, nothing, nothing)
    assert seen.asked == 0
