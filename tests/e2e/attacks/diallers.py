"""Stock libp2p diallers that speak one security protocol and no other."""

from __future__ import annotations

from typing import Any

import trio
from libp2p import generate_new_ed25519_identity, new_host
from libp2p.crypto.x25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.id import ID
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.security.secio import transport as secio
from libp2p.security.tls.transport import PROTOCOL_ID as TLS
from libp2p.security.tls.transport import TLSTransport
from multiaddr import Multiaddr

from p2p.addresses import parse
from tests.e2e.attacks.kit import ask_stock

DIALLERS = {
    "plaintext": lambda keys: {TProtocol(PLAINTEXT_PROTOCOL_ID): InsecureTransport(keys)},
    "tls": lambda keys: {TLS: TLSTransport(keys)},
    "secio": lambda keys: {TProtocol(secio.ID): secio.Transport(keys)},
    "noise": lambda keys: {NOISE: Noise(keys, noise_privkey=create_new_key_pair().private_key)},
}
"""What each of them offers."""


async def dial(address: str, security: str) -> bytes | None:
    """The answer to "hello", or None when no link comes about."""
    keys: Any = generate_new_ed25519_identity()
    host = new_host(key_pair=keys, sec_opt=DIALLERS[security](keys))
    place = parse(address)
    target = Multiaddr(f"/{place.kind}/{place.host}/tcp/{place.port}")
    async with host.run([]):
        try:
            with trio.fail_after(10):
                await host.get_network()._dial_addr_single_attempt(target, ID.from_base58(str(place.peer)))
        except BaseLibp2pError:
            return None
        with trio.fail_after(10):
            answer = await ask_stock(host, address, b"hello")
        await host.close()
    return answer
