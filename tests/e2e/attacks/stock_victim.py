"""libp2p as published, echoing: what the same attacks do to it shows that they are attacks.

    python -m tests.e2e.attacks.stock_victim [noise]

Says its address on one line, as JSON, and lives until it is killed, or until an attack ends it. With `noise` it offers
Noise alone; without, whatever a stock host offers.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import trio
from libp2p import new_host
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from multiaddr import Multiaddr

from p2p.errors import P2pError
from p2p.framing import HEAD, check, pack, read_head
from p2p.wire import PROTOCOL
from tests.e2e.attacks.kit import stock_host


async def echo(stream: Any) -> None:
    """One request, echoed."""
    try:

        async def exactly(n: int) -> bytes:
            got = b""
            while len(got) < n:
                got += await stream.read(n - len(got))
            return got

        length, digest = read_head(await exactly(HEAD.size))
        await stream.write(pack(check(await exactly(length), digest)))
        await stream.close()
    except (BaseLibp2pError, P2pError):
        await stream.reset()


async def main(security: str) -> None:
    host = stock_host() if security == "noise" else new_host()
    host.set_stream_handler(TProtocol(PROTOCOL), echo)
    async with host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        sys.stdout.write(json.dumps([str(address) for address in host.get_addrs()]) + "\n")
        sys.stdout.flush()
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if len(sys.argv) > 1 else "")
