"""Sockets to listen on, and the addresses at which they are found.

libp2p 0.8.1 listens with SO_REUSEPORT, so that a second node on the same port starts without a word and takes half of
the first one's connections; and a port that another program holds is not reported at all. Here the port is this
node's alone or CannotListen. Knows nothing of links.
"""

from __future__ import annotations

import errno
import ipaddress
import socket

import psutil
import trio

from p2p.addresses import Address
from p2p.errors import CannotListen

BACKLOG = 128
ABSENT = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def listen(addresses: tuple[Address, ...]) -> list[trio.SocketListener]:
    """A listener for each address. Raises CannotListen; then none is left open.

    A machine without IPv6 leaves out an IPv6 address of its own (`::1`, `::`) as long as there is another to listen on.
    """
    opened: list[trio.SocketListener] = []
    missing: list[CannotListen] = []
    try:
        for address in addresses:
            try:
                opened.append(_listener(address))
            except CannotListen as error:
                cause = error.__cause__
                if address.host in {"::1", "::"} and isinstance(cause, OSError) and cause.errno in ABSENT:
                    missing.append(error)
                    continue
                raise
    except BaseException:
        for listener in opened:
            listener.socket.close()
        raise
    if missing and not opened:
        raise missing[0]
    return opened


def _listener(address: Address) -> trio.SocketListener:
    if address.kind not in {"ip4", "ip6"}:
        raise CannotListen(
            f"{address} cannot be listened on: it is a name.", "Listen on an IP address, such as /ip4/0.0.0.0/tcp/4710."
        )
    if address.peer:
        raise CannotListen(f"{address} cannot be listened on: it ends in a peer id.", "Leave the id out.")
    family = socket.AF_INET if address.kind == "ip4" else socket.AF_INET6
    try:
        place = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _cannot(address, error) from error
    try:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            place.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        place.bind((address.host, address.port))
        place.listen(BACKLOG)
        place.setblocking(False)
    except OSError as error:
        place.close()
        raise _cannot(address, error) from error
    return trio.SocketListener(trio.socket.from_stdlib_socket(place))


def _cannot(address: Address, error: OSError) -> CannotListen:
    remedies = {
        errno.EADDRINUSE: f"See who has it: ss -ltnp 'sport = :{address.port}'. Stop that program, or take another"
        " port with --listen; 0 takes a free one.",
        errno.EACCES: "Ports below 1024 belong to root: take a higher one.",
        errno.EADDRNOTAVAIL: "That address is not one of this machine: see them with ip address.",
        errno.EAFNOSUPPORT: "This machine does not speak that protocol: take an address of the other.",
    }
    reason = "it is in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error)).lower()
    number = error.errno or 0
    return CannotListen(f"{address} cannot be listened on: {reason}.", remedies.get(number, "Take another address."))


def places(listener: trio.SocketListener) -> list[Address]:
    """Where a listener is found, with its real port: the addresses of all interfaces for one that is everywhere."""
    host, port = listener.socket.getsockname()[:2]
    kind = "ip6" if listener.socket.family == socket.AF_INET6 else "ip4"
    bound = Address(kind, str(ipaddress.ip_address(host.partition("%")[0])), port)
    if not bound.everywhere:
        return [bound]
    family = listener.socket.family
    found = [
        Address(kind, entry.address, port)
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family == family and not ipaddress.ip_address(entry.address.partition("%")[0]).is_link_local
    ]
    return sorted(found, key=lambda place: (ipaddress.ip_address(place.host).is_loopback, place.host)) or [bound]
