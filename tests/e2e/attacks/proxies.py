"""TCP proxies that stand between two nodes: one that writes down all it sees, one that passes on crumbs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from p2p.addresses import parse


@asynccontextmanager
async def between(address: str, seen: bytearray, crumb: int = 65_536, pause: float = 0.0) -> AsyncIterator[str]:
    """The address of a proxy to `address`. All bytes of both ways go into `seen`, and on in pieces of `crumb`."""
    place = parse(address)
    writers: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                seen.extend(data)
                for start in range(0, len(data), crumb):
                    writer.write(data[start : start + crumb])
                    await writer.drain()
                    await asyncio.sleep(pause)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(place.host, place.port)
        far_writer.get_extra_info("socket").setsockopt(6, 1, 1)  # TCP_NODELAY: a crumb stays a crumb
        writers.extend((writer, far_writer))
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, far_writer))
            group.create_task(pump(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"/ip4/127.0.0.1/tcp/{port}/p2p/{place.peer}"
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.sleep(0.02)
