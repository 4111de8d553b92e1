"""The routes of the control API: each asks the running node and answers with JSON.

Errors of ours become `{"error": {"sentence", "remedy"}}` with a fitting status; nobody is shown a trace. Who may ask
at all is decided in `guard.py`. Knows nothing of sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response, StreamingResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from ml.errors import MlError
from node.api import bodies
from node.api.bodies import NewPeer, NewRound, PeerChange, PeerId, Ticket, answers
from node.api.guard import App, Guard, error_body
from node.api.keys import Keys
from node.api.service import RunningNode
from node.errors import BadRequest, HomeUnusable, NodeError, NotFound
from node.events import Broadcast, Ear
from node.peering import refuse_self
from node.stats import Stats
from node.store.rows import RoundRow
from p2p.errors import BadAddress, P2pError, PairingFailed, RefusedByPeer, TimedOut, Unreachable
from p2p.peers import PeerRecord, Trust

HEARTBEAT = 10.0
"""Seconds after which a silent stream of events says that it still lives."""

STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (NotFound, 404),
    (BadRequest, 409),
    (HomeUnusable, 503),
    (BadAddress, 400),
    (PairingFailed, 409),
    (TimedOut, 504),
    (Unreachable, 502),
    (RefusedByPeer, 502),
    (MlError, 409),
    (NodeError, 400),
    (P2pError, 400),
)
"""The status of each error of ours; the first class that fits."""

PAGE = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
    "/page.svg": ("page.svg", "image/svg+xml"),
}


class PeerFacts(PeerRecord, frozen=True, kw_only=True):
    """A peer of the book, and whether it is linked now."""

    connected: bool


def build_app(node: RunningNode, keys: Keys, port: int) -> App:
    """The control API of a running node that is listened for on `port`, behind its guard."""
    app = FastAPI(title="Babelmesh control API", version=version("babelmesh"), docs_url=None, redoc_url=None)
    app.openapi_url = "/v1/openapi.json"
    app.setup()
    _tell_errors(app)
    _add_reading(app, node)
    _add_peers(app, node)
    _add_doing(app, node)
    _add_page(app, keys)
    described = app.openapi
    kinds = (
        Stats,
        RoundRow,
        list[PeerFacts],
        bodies.Paper,
        bodies.PairingCode,
        bodies.PairingState,
        bodies.PeerName,
        bodies.Nothing,
    )
    app.openapi = lambda: bodies.with_schemas(described(), *kinds)  # type: ignore[method-assign]
    return Guard(app, keys, port)


def _json(value: Any, status: int = 200) -> Response:  # noqa: ANN401
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _add_reading(app: FastAPI, node: RunningNode) -> None:
    @app.get("/v1/stats", responses=answers(Stats))
    async def stats() -> Response:
        """All that the dashboard shows."""
        return _json(node.stats())

    @app.get("/v1/events", response_class=StreamingResponse)
    async def events() -> StreamingResponse:
        """What happens from now on, as server-sent events; a slow reader loses the oldest."""
        ear = node.events.listen()
        return StreamingResponse(_stream(node.events, ear), media_type="text/event-stream")

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Prometheus text. Needs no token: it names no peer, no file and no word of anybody."""
        return Response(node.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_peers(app: FastAPI, node: RunningNode) -> None:
    def facts(record: PeerRecord) -> PeerFacts:
        return PeerFacts(**msgspec.structs.asdict(record), connected=record.peer in node.connected())

    @app.get("/v1/peers", responses=answers(list[PeerFacts]))
    async def peers() -> Response:
        """The peer book."""
        return _json([facts(record) for record in node.peers()])

    @app.post("/v1/peers", responses=answers(PeerFacts))
    async def add(body: NewPeer) -> Response:
        """Write a peer into the book and dial it soon."""
        refuse_self(body.address, node.stats().peer_id or "")
        return _json(facts(node.add_peer(body.address, Trust(body.trust))))

    @app.patch("/v1/peers/{peer}", responses=answers(PeerFacts))
    async def change(peer: PeerId, body: PeerChange) -> Response:
        """Trust, block or hold a peer."""
        return _json(facts(node.set_trust(peer, Trust(body.trust), body.weight)))

    @app.delete("/v1/peers/{peer}", responses=answers(bodies.Nothing))
    async def remove(peer: PeerId) -> Response:
        """Forget a peer."""
        node.remove_peer(peer)
        return _json({})

    @app.post("/v1/pairing", responses=answers(bodies.PairingCode))
    async def pairing() -> Response:
        """Let one stranger in who knows the code that this returns."""
        opened = node.open_pairing()
        return _json({"code": opened.code, "link": opened.link, "number": opened.number})

    @app.get("/v1/pairing", responses=answers(bodies.PairingState))
    async def standing() -> Response:
        """What has become of the code that was shown last."""
        now = node.pairing()
        return _json({"number": now.number, "state": str(now.stage), "peer": now.peer})

    @app.post("/v1/pairing/join", responses=answers(bodies.PeerName))
    async def join(body: bodies.Join) -> Response:
        """Pair with a node that shows a code."""
        return _json({"peer": await node.pair(body.code, body.addresses)})


def _add_doing(app: FastAPI, node: RunningNode) -> None:
    @app.post("/v1/rounds", responses=answers(RoundRow))
    async def rounds(body: NewRound) -> Response:
        """A training round at once; answers when it is over."""
        return _json(await node.train_now(body.epochs, body.batch))

    @app.post("/v1/stop", responses=answers(bodies.Nothing))
    async def stop() -> Response:
        """End the node soon, in good order."""
        node.request_stop()
        return _json({})


def _add_page(app: FastAPI, keys: Keys) -> None:
    folder = files("node.api") / "page"
    for path, (name, media_type) in PAGE.items():
        response = Response((folder / name).read_bytes(), media_type=media_type)

        app.add_api_route(path, _giving(response), include_in_schema=False)

    @app.post("/v1/page/ticket", responses=answers(bodies.Paper))
    async def ticket() -> Response:
        """A ticket for one page session; belongs into the fragment of the page's address."""
        return _json({"key": keys.ticket()})

    @app.post("/v1/page/session", responses=answers(bodies.Paper))
    async def session(body: Ticket) -> Response:
        """The key of a new page session, which only reads, for a ticket."""
        key = keys.redeem(body.ticket)
        if key is None:
            return _error(401, "That ticket is used up or too old.", "Open the page again with: node stats --web")
        return _json({"key": key})


def _giving(response: Response) -> Callable[[], Awaitable[Response]]:
    async def give() -> Response:
        return response

    return give


def _tell_errors(app: FastAPI) -> None:
    async def ours(request: Request, error: Exception) -> Response:
        status = next(status for kind, status in STATUSES if isinstance(error, kind))
        return _error(status, getattr(error, "sentence", str(error)), getattr(error, "remedy", ""))

    async def wrong_body(request: Request, error: Exception) -> Response:
        first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
        where = ".".join(str(part) for part in first.get("loc", ())[1:])
        return _error(422, f"{where or 'The body'}: {first.get('msg', 'is wrong')}.", "See /v1/openapi.json.")

    async def http(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        answer = _error(status, f"{request.method} {request.url.path} is not known here.", "See /v1/openapi.json.")
        if status == 405:
            answer.headers["allow"] = ", ".join(sorted(_methods(app, request)))
        return answer

    async def defect(request: Request, error: Exception) -> Response:
        return _error(
            500, f"Babelmesh failed: {type(error).__name__}.", "This is a defect of ours: see the node's log."
        )

    for kind in (NodeError, P2pError, MlError):
        app.add_exception_handler(kind, ours)
    app.add_exception_handler(RequestValidationError, wrong_body)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, defect)


def _methods(app: FastAPI, request: Request) -> set[str]:
    """What can be done with a path; each method has a route of its own."""
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    return {method for route in routes if route.path_regex.match(request.url.path) for method in route.methods or ()}


def _error(status: int, sentence: str, remedy: str) -> Response:
    return Response(error_body(sentence, remedy), status, media_type="application/json")


async def _stream(broadcast: Broadcast, ear: Ear) -> AsyncIterator[bytes]:
    try:
        yield b": the node speaks\n\n"
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT):
                    event = await anext(ear)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            except StopAsyncIteration:
                return
            yield b"id: %d\nevent: %s\ndata: %s\n\n" % (
                event.number,
                event.kind.encode(),
                msgspec.json.encode(event.facts),
            )
    finally:
        broadcast.leave(ear)
