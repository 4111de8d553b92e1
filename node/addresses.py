"""What an address of a node looks like, so that a slip of the pen is told before anything is started.

An address is a multiaddr: TCP over IPv4, IPv6 or a name, and for a peer its id at the end. Knows nothing of links:
whether somebody answers there is the gate's business.
"""

from __future__ import annotations

import ipaddress
import re

LISTEN_LIKE = "/ip4/0.0.0.0/tcp/4710 or /ip6/::/tcp/4710"
PEER_LIKE = "/ip4/192.168.1.20/tcp/4710/p2p/12D3KooW..."
LINK = re.compile(
    r"/(?P<kind>ip4|ip6|dns|dns4|dns6)/(?P<host>[^/\s]{1,253})/tcp/(?P<port>0|[1-9][0-9]{0,4})"
    r"(?:/p2p/(?P<id>[1-9A-HJ-NP-Za-km-z]{40,64}))?"
)


def is_listen(address: str) -> bool:
    """Whether a node can listen there: an IP address of this machine, and a port or 0 for a free one."""
    link = LINK.fullmatch(address)
    return link is not None and not link["id"] and link["kind"] in {"ip4", "ip6"} and _holds(link)


def is_peer(address: str) -> bool:
    """Whether a peer can be looked for there: an IP address or a name, a port, and the peer's id."""
    link = LINK.fullmatch(address)
    return link is not None and bool(link["id"]) and link["port"] != "0" and _holds(link)


def reach(address: str) -> int:
    """How far away somebody can be and still use this address: 0 the same machine, 1 the same network, 2 anywhere."""
    link = LINK.fullmatch(address)
    if link is None:
        return 0
    if not link["kind"].startswith("ip"):
        return 2
    host = ipaddress.ip_address(link["host"])
    if host.is_loopback or host.is_unspecified:
        return 0
    return 2 if host.is_global else 1


def _holds(link: re.Match[str]) -> bool:
    if int(link["port"]) > 65_535:
        return False
    if not link["kind"].startswith("ip"):
        return True
    try:
        return ipaddress.ip_address(link["host"]).version == int(link["kind"][2:])
    except ValueError:
        return False
