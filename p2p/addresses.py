"""Where a peer is: multiaddrs, read strictly.

Babelmesh speaks TCP, so that an address is `/ip4/1.2.3.4/tcp/4710`, `/ip6/::1/tcp/4710` or `/dns4/host/tcp/4710`, with
`/p2p/ID` at its end when it names a peer. Knows nothing of sockets, and resolves no names.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from p2p.errors import BadAddress
from p2p.identity import is_peer_id

LONGEST = 512
NAME = re.compile(r"(?=.{1,253}\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9-]{1,63}\.?")
EXAMPLE = "An address looks like /ip4/192.0.2.7/tcp/4710/p2p/12D3KooW...; the other node shows its own."


@dataclass(frozen=True)
class Address:
    """One place where a peer listens. `kind` is ip4, ip6, dns, dns4 or dns6; `peer` is None when none is named."""

    kind: str
    host: str
    port: int
    peer: str | None = None

    def __str__(self) -> str:
        place = f"/{self.kind}/{self.host}/tcp/{self.port}"
        return f"{place}/p2p/{self.peer}" if self.peer else place

    @property
    def everywhere(self) -> bool:
        """Whether this is all of a machine's interfaces: 0.0.0.0 or ::."""
        return self.kind in {"ip4", "ip6"} and ipaddress.ip_address(self.host).is_unspecified


def parse(text: str) -> Address:
    """Read a multiaddr. Raises BadAddress, with what an address looks like."""
    parts = text.split("/") if isinstance(text, str) and len(text) <= LONGEST else []
    if len(parts) not in {5, 7} or parts[0] or parts[3] != "tcp" or (len(parts) == 7 and parts[5] != "p2p"):
        raise BadAddress(f"{str(text)[:120]!r} is not an address of a TCP peer.", EXAMPLE)
    kind, host, port = parts[1], parts[2], parts[4]
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise BadAddress(f"{text[:120]!r}: {port[:20]!r} is not a port.", "Ports go from 0 to 65535.")
    peer = parts[6] if len(parts) == 7 else None
    if peer is not None and not is_peer_id(peer):
        raise BadAddress(f"{text[:120]!r}: {peer[:60]!r} is not a peer id.", "Ids begin with 12D3KooW: copy it again.")
    if kind in {"dns", "dns4", "dns6"}:
        if not NAME.fullmatch(host):
            raise BadAddress(f"{text[:120]!r}: {host[:60]!r} is not a host name.", EXAMPLE)
    elif kind in {"ip4", "ip6"}:
        try:
            host = str((ipaddress.IPv4Address if kind == "ip4" else ipaddress.IPv6Address)(host))
        except ValueError:
            raise BadAddress(f"{text[:120]!r}: {host[:60]!r} is not an address of {kind}.", EXAMPLE) from None
    else:
        raise BadAddress(f"{text[:120]!r}: {kind[:20]!r} is not known here.", EXAMPLE)
    return Address(kind, host, int(port), peer)


def network_of(host: str) -> str:
    """What counts as one place when connections are counted: an IPv4 address, or the /64 of an IPv6 one.

    Who has one IPv6 address has the 2^64 of its network.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)
