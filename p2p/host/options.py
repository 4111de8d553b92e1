"""How a host listens, and what it takes from others at most. Bounds are per host unless they say otherwise.

Knows nothing of libp2p, so that a configuration can be made and tested without it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HostOptions:
    """Times in seconds, sizes in bytes.

    The memory that peers can make the host hold is at most `connections * receive`, and `requests` bodies of 64 KB.
    """

    listen: tuple[str, ...] = ()
    """Multiaddrs to listen on; none listens nowhere and can still dial. Port 0 takes a free one."""
    connections: int = 100
    """Connections in all, those in their handshake too."""
    per_address: int = 16
    """Connections from one IPv4 address, or one IPv6 network (/64), that came from outside."""
    requests: int = 32
    """Requests of all peers that are being answered at the same time; more wait their turn."""
    requests_per_link: int = 8
    """Requests that this node has under way on a link; more wait. A peer may have twice as many, and no more."""
    receive: int = 2 * 1024 * 1024
    """Bytes that one link may hold before somebody has read them."""
    handshake_wait: float = 10.0
    read_wait: float = 30.0
    """How long a peer may take to send a whole request: 64 KB at 20 kbit/s."""
    answer_wait: float = 120.0
    """How long this node's own answer may take."""
    write_timeout: float = 20.0
    """How long 64 KB may take to leave before the link is given up."""
    ping_every: float = 15.0
    ping_timeout: float = 15.0
