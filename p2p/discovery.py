"""Other nodes on the local network, by multicast DNS; off unless the owner asks for it.

After libp2p's specification (github.com/libp2p/specs, discovery/mdns.md): service `_p2p._udp.local`, a random peer
name, and one TXT string `dnsaddr=MULTIADDR` for each address, with the peer id at its end. Whoever is on the network
can say anything here, so that what is found is a hint of where somebody may be, bounded in number and never a reason to
trust: the link proves who is there. Knows nothing of links or of the peer book.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2p.addresses import parse
from p2p.errors import BadAddress, CannotListen

if TYPE_CHECKING:
    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncServiceInfo

SERVICE = "_p2p._udp.local."
LONGEST_RECORD = 4096
"""Bytes of a TXT record that is looked at."""

Found = Callable[[str, tuple[str, ...]], None]
"""Told of a peer id and the addresses that were announced for it."""


@dataclass(frozen=True)
class DiscoveryOptions:
    """`interfaces` are the IP addresses of the network cards to speak on; none means all of them."""

    interfaces: tuple[str, ...] = ()
    peers: int = 64
    """Peers that are remembered; for each, `found` is called again only when its addresses change."""
    addresses: int = 8
    """Addresses per peer that are believed."""
    look_wait: float = 3.0
    """Seconds to wait for the record of a service that was announced."""
    looks: int = 8
    """Records that are waited for at a time; announcements beyond it are ignored."""


def dnsaddr_records(addresses: Sequence[str]) -> bytes:
    """The TXT record of these multiaddrs: each `dnsaddr=ADDRESS` after its length as one byte."""
    strings = [b"dnsaddr=" + address.encode() for address in addresses]
    return b"".join(bytes((len(text),)) + text for text in strings if len(text) <= 255)


def read_records(record: bytes, limit: int) -> dict[str, tuple[str, ...]]:
    """Peer ids and their addresses in a TXT record, at most `limit` in all; whatever else it holds is passed over."""
    found: dict[str, list[str]] = {}
    place = 0
    count = 0
    record = record[:LONGEST_RECORD]
    while place < len(record) and count < limit:
        size = record[place]
        text = record[place + 1 : place + 1 + size]
        place += 1 + size
        if not text.startswith(b"dnsaddr="):
            continue
        try:
            address = parse(text[len(b"dnsaddr=") :].decode("ascii"))
        except (UnicodeDecodeError, BadAddress):
            continue
        if address.peer is not None and not address.everywhere and str(address) not in found.get(address.peer, []):
            found.setdefault(address.peer, []).append(str(address))
            count += 1
    return {peer: tuple(places) for peer, places in found.items()}


class Discovery:
    """Announces this node's addresses and tells of others', as long as `run` runs."""

    def __init__(
        self,
        me: str,
        addresses: Callable[[], Sequence[str]],
        found: Found,
        options: DiscoveryOptions | None = None,
    ) -> None:
        """`me` is this node's peer id; `addresses` gives its multiaddrs, once it listens. `found` must be quick.

        Addresses of this machine alone are announced only when all that is spoken on is this machine's loopback.
        """
        self._me = me
        self._addresses = addresses
        self._found = found
        self._options = options or DiscoveryOptions()
        self._name = f"{secrets.token_hex(20)}.{SERVICE}"
        self._seen: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._announced: asyncio.Queue[str] = asyncio.Queue(self._options.looks)

    async def run(self, stop: asyncio.Event) -> None:
        """Announce and listen until `stop` is set. Raises CannotListen when the network cards cannot be used."""
        from zeroconf import InterfaceChoice
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

        try:
            for interface in self._options.interfaces:
                _must_be_here(interface)
            zeroconf = AsyncZeroconf(interfaces=list(self._options.interfaces) or InterfaceChoice.All)
        except OSError as error:
            raise CannotListen(
                f"Peers on the local network cannot be looked for: {error.strerror or error}.",
                "Switch discover off in babelmesh.toml, or name another interface.",
            ) from error
        try:
            async with asyncio.TaskGroup() as group:
                looking = [group.create_task(self._look(zeroconf.zeroconf)) for _ in range(self._options.looks)]
                AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[self._heard])
                await zeroconf.async_register_service(self._announcement())
                await stop.wait()
                for task in looking:
                    task.cancel()
        finally:
            await zeroconf.async_unregister_all_services()
            await zeroconf.async_close()

    def take(self, record: bytes) -> None:
        """Tell of the peers in a TXT record that are new, or have moved."""
        for peer, addresses in read_records(record, self._options.addresses).items():
            if peer == self._me or self._seen.get(peer) == addresses:
                continue
            self._seen[peer] = addresses
            self._seen.move_to_end(peer)
            if len(self._seen) > self._options.peers:
                self._seen.popitem(last=False)
            self._found(peer, addresses)

    def _announcement(self) -> AsyncServiceInfo:
        from zeroconf.asyncio import AsyncServiceInfo

        here_alone = bool(self._options.interfaces) and all(map(_is_loopback, self._options.interfaces))
        places = [parse(address) for address in self._addresses()]
        places = [place for place in places if here_alone or not _is_loopback(place.host)]
        hosts = dict.fromkeys(place.host for place in places if place.kind in {"ip4", "ip6"})
        return AsyncServiceInfo(
            SERVICE,
            self._name,
            port=places[0].port if places else 0,
            properties=dnsaddr_records([str(place) for place in places]),
            server=self._name.removesuffix(SERVICE) + "local.",
            addresses=[ipaddress.ip_address(host).packed for host in hosts],
        )

    def _heard(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        """A service came, changed or went: its record is looked at, unless too many wait for that already."""
        if state_change.name != "Removed" and name != self._name:
            with suppress(asyncio.QueueFull):
                self._announced.put_nowait(name)

    async def _look(self, zeroconf: Zeroconf) -> None:
        """Ask for the records of services that were announced, one after the other."""
        from zeroconf import BadTypeInNameException, NotRunningException
        from zeroconf.asyncio import AsyncServiceInfo

        while True:
            name = await self._announced.get()
            with suppress(BadTypeInNameException, NotRunningException, OSError):
                info = AsyncServiceInfo(SERVICE, name)
                await info.async_request(zeroconf, self._options.look_wait * 1000)
                self.take(info.text or b"")


def _must_be_here(interface: str) -> None:
    """Raises OSError unless this machine has that address; zeroconf would say so too, and leave a socket open."""
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((interface, 0))


def _is_loopback(host: str) -> bool:
    """Whether an IP address is this machine's own; a name is not."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
