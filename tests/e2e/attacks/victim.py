"""A real process with a real transport that echoes: what the attacks are aimed at.

    python -m tests.e2e.attacks.victim '{"listen": ["/ip4/127.0.0.1/tcp/0"]}'

Says its addresses on one line, as JSON, and lives until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys

from p2p.host.transport import HostOptions, Libp2pTransport
from p2p.identity import Identity


async def echo(peer: str, body: bytes) -> bytes:
    return body


async def main(said: dict[str, object]) -> None:
    said["listen"] = tuple(said.get("listen", ["/ip4/127.0.0.1/tcp/0"]))  # type: ignore[arg-type]
    transport = Libp2pTransport(Identity.new(), HostOptions(**said))  # type: ignore[arg-type]
    await transport.start(echo, lambda peer: True)
    sys.stdout.write(json.dumps(transport.addresses()) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await transport.close()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}))
