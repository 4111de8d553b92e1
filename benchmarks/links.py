"""What a link costs: connecting, a request and its answer, messages a second, and memory per connection.

`python benchmarks/links.py [--json FILE] [--seconds 0.5]`. Two processes on loopback. Beside each figure of Babelmesh
stands libp2p as published, asked in the same minute, block by block in turn: on a stream that stays open ("stream"),
and on a new stream for each request ("new stream"), which is what Babelmesh does. Percentiles are over all blocks.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path

import psutil
import trio
from libp2p import generate_new_ed25519_identity, new_host
from libp2p.crypto.x25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.noise.transport import PROTOCOL_ID, Transport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr
from strict_json import strict

from p2p.host.ledger import Ledger
from p2p.host.switch import Switch
from p2p.host.transport import HostOptions, Libp2pTransport
from p2p.identity import Identity

ROOT = Path(__file__).resolve().parent.parent
SIZES = (64, 20_000, 65_536)
CROWDS = (50, 100, 200)
ECHO = TProtocol("/echo/1.0.0")
ROUNDS = 5

Ask = Callable[[bytes], Awaitable[bytes]]


async def echo(peer: str, body: bytes) -> bytes:
    return body


def stock_host():
    keys = generate_new_ed25519_identity()
    noise = Transport(keys, noise_privkey=create_new_key_pair().private_key)
    return new_host(key_pair=keys, sec_opt={PROTOCOL_ID: noise}, muxer_opt={TProtocol(YAMUX): Yamux})


async def send(stream, body: bytes) -> None:
    await stream.write(struct.pack(">I", len(body)) + body)


async def receive(stream) -> bytes:
    async def exactly(n: int) -> bytes:
        got = bytearray()
        while len(got) < n:
            got += await stream.read(n - len(got))
        return bytes(got)

    return await exactly(struct.unpack(">I", await exactly(4))[0])


async def serve_ours() -> None:
    transport = Libp2pTransport(
        Identity.new(), HostOptions(("/ip4/127.0.0.1/tcp/0",), connections=500, per_address=500)
    )
    await transport.start(echo, lambda peer: True)
    print(transport.addresses()[0], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await transport.close()


async def serve_stock() -> None:
    async def handle(stream) -> None:
        try:
            while True:
                await send(stream, await receive(stream))
        except BaseLibp2pError:
            await stream.close()

    host = stock_host()
    host.set_stream_handler(ECHO, handle)
    async with host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        print(host.get_addrs()[0], flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        await host.close()
        os._exit(0)  # a stock host leaves tasks behind that a normal exit would wait for


@contextmanager
def server(kind: str):
    """A serving process: its handle and its address."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


async def times(ask: Ask, size: int, seconds: float, clock=time.perf_counter) -> list[float]:
    """Milliseconds of one request after the other, for so many seconds."""
    body, taken, end = os.urandom(size), [], clock() + seconds
    while clock() < end:
        begin = clock()
        if await ask(body) != body:
            raise SystemExit("an answer was wrong")
        taken.append((clock() - begin) * 1e3)
    return taken


async def ask_ours(address: str, seconds: float) -> dict[str, list[float]]:
    """One block of Babelmesh: connecting, then each size."""
    transport = Libp2pTransport(Identity.new(), HostOptions())
    await transport.start(echo, lambda peer: True)
    result: dict[str, list[float]] = {"connect": []}
    for _ in range(10):
        begin = time.perf_counter()
        peer = await transport.connect([address], 10)
        result["connect"].append((time.perf_counter() - begin) * 1e3)
        await transport.disconnect(peer)
    await transport.connect([address], 10)
    for size in SIZES:
        result[f"{size}"] = await times(lambda body: transport.request(peer, body, 10), size, seconds)
    for size in SIZES[:2]:
        body, end, done = os.urandom(size), time.perf_counter() + seconds, 0

        async def worker(body: bytes = body, end: float = end) -> int:
            count = 0
            while time.perf_counter() < end:
                await transport.request(peer, body, 10)
                count += 1
            return count

        begin = time.perf_counter()
        done = sum(await asyncio.gather(*(worker() for _ in range(8))))
        result[f"per second {size}"] = [done / (time.perf_counter() - begin)]
    await transport.close()
    return result


async def ask_stock(address: str, seconds: float) -> dict[str, list[float]]:
    """One block of stock libp2p."""
    host, info = stock_host(), info_from_p2p_addr(Multiaddr(address))
    result: dict[str, list[float]] = {"connect": []}
    async with host.run([]):
        for _ in range(3):
            begin = time.perf_counter()
            await host.connect(info)
            result["connect"].append((time.perf_counter() - begin) * 1e3)
            await host.disconnect(info.peer_id)
            await trio.sleep(0.1)
        await host.connect(info)
        stream = await host.new_stream(info.peer_id, [ECHO])

        async def on_one(body: bytes) -> bytes:
            await send(stream, body)
            return await receive(stream)

        async def on_new(body: bytes) -> bytes:
            fresh = await host.new_stream(info.peer_id, [ECHO])
            await send(fresh, body)
            answer = await receive(fresh)
            await fresh.close()
            return answer

        for size in SIZES:
            result[f"stream {size}"] = await times(on_one, size, seconds)
            result[f"new {size}"] = await times(on_new, size, seconds)
        await host.close()
    return result


async def crowd(address: str, pid: int) -> list[tuple[int, float]]:
    """KB of the server's memory per connection, with so many peers connected that have each asked 64 KB."""
    ours = psutil.Process(pid)
    found: list[tuple[int, float]] = []

    async def admits(peer: str) -> bool:
        return True

    async with trio.open_nursery() as nursery:
        before, peers = ours.memory_info().rss, 0
        for count in CROWDS:
            while peers < count:
                switch = Switch(Identity.new(), HostOptions(), echo, admits, Ledger())
                await switch.start(nursery)
                peer = await switch.connect([address], 20)
                await switch.request(peer, os.urandom(65_536))
                peers += 1
            await trio.sleep(0.3)
            found.append((count, (ours.memory_info().rss - before) / count / 1024))
        nursery.cancel_scope.cancel()
    return found


def figures(taken: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(taken, n=20)
    return {"p50": round(statistics.median(taken), 2), "p95": round(cuts[18], 2), "least": round(min(taken), 2)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement in each of five rounds")
    parser.add_argument("--serve", choices=["ours", "stock"])
    arguments = parser.parse_args()
    if arguments.serve == "ours":
        return asyncio.run(serve_ours())
    if arguments.serve == "stock":
        return trio.run(serve_stock)
    pooled: dict[str, list[float]] = {}
    with server("ours") as (process, ours), server("stock") as (_, stock):
        for _ in range(ROUNDS):
            for key, taken in asyncio.run(ask_ours(ours, arguments.seconds)).items():
                pooled.setdefault(f"ours {key}", []).extend(taken)
            for key, taken in trio.run(ask_stock, stock, arguments.seconds).items():
                pooled.setdefault(f"stock {key}", []).extend(taken)
        memory = trio.run(crowd, ours, process.pid)
    result: dict[str, object] = {
        key: round(statistics.median(taken)) if "per second" in key else figures(taken) for key, taken in pooled.items()
    }
    result["KB per connection"] = {str(count): round(size) for count, size in memory}
    print(f"{'ms, p50 / p95':22s}{'Babelmesh':>18s}{'libp2p stream':>18s}{'libp2p new stream':>20s}")
    rows = [("connect", "ours connect", "stock connect", None)]
    rows += [(f"request of {size} B", f"ours {size}", f"stock stream {size}", f"stock new {size}") for size in SIZES]
    for name, *keys in rows:
        cells = [f"{result[key]['p50']} / {result[key]['p95']}" if key else "" for key in keys]  # type: ignore[index]
        print(f"{name:22s}{cells[0]:>18s}{cells[1]:>18s}{cells[2]:>20s}")
    for size in SIZES[:2]:
        print(f"{result[f'ours per second {size}']} requests of {size} B a second, 8 at a time")
    print("memory of the server, KB per connection: " + ", ".join(f"{size:.0f} with {n}" for n, size in memory))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(strict(result, indent=2) + "\n")
    return None


if __name__ == "__main__":
    main()
