"""The API on a real socket: the control file comes and goes with it, and it ends at once with the node."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
from pathlib import Path

import httpx2
import pytest

from node.api.server import ControlApi
from node.errors import HomeUnusable
from tests.fakes import FakeMesh


async def appears(file: Path) -> dict:
    async with asyncio.timeout(10):
        while not left(file.parent):  # noqa: ASYNC110 - another program's file has no event
            await asyncio.sleep(0.01)
    return json.loads(read(file))


def left(folder: Path) -> list[Path]:
    return list(folder.glob("control*"))


def read(file: Path) -> bytes:
    return file.read_bytes()


async def test_the_control_file_says_where_to_ask_and_goes_with_the_node(tmp_path: Path) -> None:
    file, stop = tmp_path / "control.json", asyncio.Event()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with asyncio.TaskGroup() as group:
        group.create_task(ControlApi(FakeMesh(tmp_path), file).run(stop))
        control = await appears(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert control["pid"] == os.getpid()
        assert control["url"].startswith("http://127.0.0.1:")
        headers = {"authorization": f"Bearer {control['token']}"}
        async with httpx2.AsyncClient(base_url=control["url"], headers=headers, trust_env=False) as http:
            assert (await http.get("/v1/stats")).status_code == 200
            assert (await http.get("/v1/stats", headers={"host": "evil.example"})).status_code == 403
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
        stop.set()
    assert left(tmp_path) == []


async def test_an_open_stream_of_events_does_not_hold_the_node_up(tmp_path: Path) -> None:
    file, stop = tmp_path / "control.json", asyncio.Event()
    mesh = FakeMesh(tmp_path)
    async with asyncio.TaskGroup() as group:
        group.create_task(ControlApi(mesh, file).run(stop))
        control = await appears(file)
        headers = {"authorization": f"Bearer {control['token']}"}
        async with (
            httpx2.AsyncClient(base_url=control["url"], headers=headers, trust_env=False) as http,
            http.stream("GET", "/v1/events") as response,
        ):
            lines = response.aiter_lines()
            assert await anext(lines) == ": the node speaks"
            mesh.events.publish("round", number=1)
            stop.set()
            async with asyncio.timeout(5):
                rest = [line async for line in lines]
    assert 'data: {"number":1}' in rest


async def test_a_cancelled_node_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "control.json"
    async with asyncio.TaskGroup() as group:
        running = group.create_task(ControlApi(FakeMesh(tmp_path), file).run(asyncio.Event()))
        port = int((await appears(file))["url"].rpartition(":")[2])
        running.cancel()
    assert not file.exists()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


async def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HomeUnusable, match=f"cannot listen on port {port}") as caught:
            await ControlApi(FakeMesh(tmp_path), tmp_path / "control.json", port).run(asyncio.Event())
    assert "--port" in caught.value.remedy


async def test_a_home_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeUnusable, match="cannot be written"):
        await ControlApi(FakeMesh(tmp_path), tmp_path / "file" / "control.json").run(asyncio.Event())
