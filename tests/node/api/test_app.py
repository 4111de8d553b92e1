"""The control API as a program asks it: answers, errors in words, and a schema that is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import msgspec
import pytest

from ml.errors import BadUpdate
from node.api.app import build_app
from node.api.keys import Keys
from node.errors import BadRequest, HomeUnusable
from node.stats import Stats
from p2p.errors import PairingFailed, TimedOut
from tests.fakes import PEER_IDS, FakeMesh

PORT = 4711
URL = f"http://127.0.0.1:{PORT}"
ADDRESS = f"/ip4/192.168.1.20/tcp/4710/p2p/{PEER_IDS[1]}"


@pytest.fixture
def mesh(tmp_path: Path) -> FakeMesh:
    return FakeMesh(tmp_path)


@pytest.fixture
def app(mesh: FakeMesh) -> object:
    return build_app(mesh, Keys(lambda: 0.0, "secret"), PORT)


@pytest.fixture
async def http(app: object) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    headers = {"authorization": "Bearer secret"}
    async with httpx2.AsyncClient(transport=transport, base_url=URL, headers=headers) as client:
        yield client


async def test_stats_are_what_the_node_tells(http: httpx2.AsyncClient, mesh: FakeMesh) -> None:
    answer = await http.get("/v1/stats")
    assert answer.status_code == 200
    assert msgspec.json.decode(answer.content, type=Stats) == mesh.stats()


async def test_a_peer_from_the_book_to_the_bin(http: httpx2.AsyncClient) -> None:
    added = (await http.post("/v1/peers", json={"address": ADDRESS})).json()
    assert (added["peer"], added["trust"], added["connected"]) == (PEER_IDS[1], "trusted", True)
    assert added["addresses"] == [ADDRESS]
    changed = await http.patch(f"/v1/peers/{PEER_IDS[1]}", json={"trust": "blocked", "weight": 0.5})
    assert (changed.json()["trust"], changed.json()["weight"]) == ("blocked", 0.5)
    assert [one["trust"] for one in (await http.get("/v1/peers")).json()] == ["blocked"]
    assert (await http.delete(f"/v1/peers/{PEER_IDS[1]}")).status_code == 200
    assert (await http.get("/v1/peers")).json() == []
    gone = await http.delete(f"/v1/peers/{PEER_IDS[1]}")
    assert gone.status_code == 404
    assert "is known here" in gone.json()["error"]["sentence"]


async def test_pairing_is_opened_and_joined(http: httpx2.AsyncClient, mesh: FakeMesh) -> None:
    assert (await http.get("/v1/pairing")).json() == {"number": 0, "state": "none", "peer": None}
    assert (await http.post("/v1/pairing")).json()["code"] == "1234 5678"
    assert (await http.get("/v1/pairing")).json() == {"number": 1, "state": "waiting", "peer": None}
    joined = await http.post("/v1/pairing/join", json={"code": "12345678", "addresses": [ADDRESS]})
    assert joined.json() == {"peer": PEER_IDS[1]}
    assert mesh.asked == [("pair", "12345678", (ADDRESS,))]


async def test_a_round_at_once(http: httpx2.AsyncClient, mesh: FakeMesh) -> None:
    told = (await http.post("/v1/rounds", json={"epochs": 3})).json()
    assert told["number"] == mesh.picture.rounds[0].number
    assert mesh.asked == [("train", 3, None)]


async def test_stopping(http: httpx2.AsyncClient, mesh: FakeMesh) -> None:
    assert (await http.post("/v1/stop")).json() == {}
    assert mesh.stopped


async def test_metrics_need_no_token(app: object) -> None:
    transport = httpx2.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, base_url=URL) as stranger:
        answer = await stranger.get("/metrics")
        assert answer.text.splitlines()[-1] == "rounds_total 14.0"
        assert (await stranger.get("/v1/stats")).status_code == 401


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequest("No speech.", "Speak."), 409),
        (HomeUnusable("The disk is full.", "Make room."), 503),
        (TimedOut("It took too long.", "Wait."), 504),
        (PairingFailed("Wrong code.", "Again."), 409),
        (BadUpdate("Too long.", "Shorten it."), 409),
    ],
)
async def test_errors_of_ours_keep_their_words(
    http: httpx2.AsyncClient, mesh: FakeMesh, error: Exception, status: int
) -> None:
    mesh.fails = error
    answer = await http.get("/v1/stats")
    assert answer.status_code == status
    assert answer.json() == {"error": {"sentence": str(error), "remedy": error.remedy}}  # type: ignore[attr-defined]


async def test_a_defect_shows_no_trace(http: httpx2.AsyncClient, mesh: FakeMesh) -> None:
    mesh.fails = LookupError("a secret of the node")
    answer = await http.get("/v1/stats")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "defect of ours" in answer.json()["error"]["remedy"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/v1/peers", {"address": "nonsense"}, 400, "is not an address"),
        ("POST", "/v1/peers", {"address": "/ip4/1.2.3.4/tcp/1"}, 400, "does not say which peer"),
        ("POST", "/v1/peers", {"address": ADDRESS, "trust": "a bit"}, 422, "trust"),
        ("POST", "/v1/peers", {"address": ADDRESS, "colour": "red"}, 422, "colour"),
        ("POST", "/v1/peers", [], 422, "dictionary"),
        ("POST", "/v1/rounds", {"epochs": 0}, 422, "epochs"),
        ("POST", "/v1/rounds", {"epochs": True}, 422, "epochs"),
        ("PATCH", "/v1/peers/short", {"trust": "trusted"}, 422, "peer"),
        ("GET", "/v1/nothing", None, 404, "not known here"),
        ("PUT", "/v1/stats", None, 405, "not known here"),
    ],
)
async def test_nonsense_is_refused_in_words(
    http: httpx2.AsyncClient, method: str, path: str, body: object, status: int, said: str
) -> None:
    answer = await http.request(method, path, json=body)
    assert answer.status_code == status
    assert said in answer.json()["error"]["sentence"]
    assert answer.json()["error"]["remedy"]


async def test_the_page_has_everything_with_it(http: httpx2.AsyncClient) -> None:
    page = await http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/page.js", "/page.css", "/page.svg"):
        assert path in page.text
        assert (await http.get(path)).status_code == 200
    whole = page.text + (await http.get("/page.js")).text + (await http.get("/page.css")).text
    assert "https://" not in whole
    assert "innerHTML" not in whole
    assert whole.count("http://") == whole.count("http://www.w3.org/2000/svg") == 1


async def test_a_ticket_opens_one_session_that_only_reads(app: object, http: httpx2.AsyncClient) -> None:
    ticket = (await http.post("/v1/page/ticket")).json()["key"]
    transport = httpx2.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, base_url=URL) as browser:
        key = (await browser.post("/v1/page/session", json={"ticket": ticket})).json()["key"]
        assert (await browser.post("/v1/page/session", json={"ticket": ticket})).status_code == 401
        mine = {"authorization": f"Bearer {key}"}
        assert (await browser.get("/v1/stats", headers=mine)).status_code == 200
        refused = await browser.post("/v1/stop", headers=mine)
        assert refused.status_code == 403
        assert "only reads" in refused.json()["error"]["sentence"]


async def test_events_are_heard_in_order_until_the_node_ends(app, mesh: FakeMesh) -> None:
    sent: list[bytes] = []
    begun = asyncio.Event()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/v1/events",
        "raw_path": b"/v1/events",
        "query_string": b"",
        "headers": [(b"host", f"127.0.0.1:{PORT}".encode()), (b"authorization", b"Bearer secret")],
    }

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message.get("body", b""))
        if b"the node speaks" in sent[-1]:
            begun.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(app(scope, receive, send))
        await begun.wait()
        mesh.events.publish("epoch", epoch=1, rmse_db=2.5)
        mesh.events.publish("round", number=7)
        mesh.events.close()
    text = b"".join(sent).decode()
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    assert events == [{"epoch": 1, "rmse_db": 2.5}, {"number": 7}]
    assert "id: 1\nevent: epoch\n" in text


async def test_ears_are_bounded(http: httpx2.AsyncClient, mesh: FakeMesh) -> None:
    from node.events import EARS

    for _ in range(EARS):
        mesh.events.listen()
    assert (await http.get("/v1/events")).status_code == 409
