"""Reaching a peer: every address in turn, each with its own share of the time.

libp2p 0.8.1 tries one TCP address of a peer, waits a quarter of a second before it does, has no limit for a listener
that never speaks, and refuses to try again for a minute after a failure. Here every address is tried, a dead one
costs its share alone, and whoever asks again is served again. Knows nothing of what a link is used for.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from typing import TypeVar

import trio

from p2p.addresses import Address, parse
from p2p.errors import BadAddress, P2pError, TimedOut, Unreachable
from p2p.host.wire import Wire

T = TypeVar("T")
FAMILIES = {"ip4": socket.AF_INET, "dns4": socket.AF_INET, "ip6": socket.AF_INET6, "dns6": socket.AF_INET6}


def one_peer(addresses: Sequence[str]) -> tuple[str, list[Address]]:
    """The peer that all addresses name, and the addresses. Raises BadAddress."""
    places = [parse(address) for address in addresses]
    peers = {place.peer for place in places}
    if not places:
        raise BadAddress("There is no address to dial.", "Add one: node peers add ADDRESS")
    if None in peers:
        raise BadAddress(f"{addresses[0][:120]!r} does not say which peer is there.", "Add /p2p/ID at its end.")
    if len(peers) > 1:
        raise BadAddress("The addresses name different peers.", "Dial one peer at a time.")
    return str(places[0].peer), places


async def first_that_works(places: Sequence[Address], wait: float, reach: Callable[[Address], Awaitable[T]]) -> T:
    """What `reach` gives for the first address for which it does not fail, within `wait` seconds over all.

    Raises TimedOut when time was all that was wanting, or Unreachable with what every address said.
    """
    end = trio.current_time() + wait
    failures: list[P2pError] = []
    said: list[str] = []
    for number, place in enumerate(places):
        share = max(0.0, end - trio.current_time()) / (len(places) - number)
        try:
            with trio.fail_after(share):
                return await reach(place)
        except trio.TooSlowError:
            failures.append(TimedOut(f"{place} did not answer within {share:.1f} seconds."))
        except P2pError as error:
            failures.append(error)
        said.append(f"{place}: {failures[-1].sentence}")
    if len(failures) == 1:
        raise failures[0]
    kind = TimedOut if all(isinstance(failure, TimedOut) for failure in failures) else Unreachable
    briefs = dict.fromkeys(failure.brief for failure in failures if failure.brief)
    raise kind(" ".join(said), next((failure.remedy for failure in failures if failure.remedy), ""), ", ".join(briefs))


async def open_wire(place: Address) -> Wire:
    """A TCP connection to `place`; a name is looked up, and each of its addresses tried. Raises Unreachable."""
    family = FAMILIES.get(place.kind, socket.AF_UNSPEC)
    try:
        found = await trio.socket.getaddrinfo(place.host, place.port, family, socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(
            f"{place.host} has no address: {error.strerror or error}.",
            "Check the name and the network.",
            f"{place.host} has no address",
        ) from error
    failure = OSError("no address")
    for kind, _, _, _, target in found:
        with ExitStack() as made:
            try:
                place_socket = made.enter_context(trio.socket.socket(kind, socket.SOCK_STREAM))
                await place_socket.connect(target)
                wire = Wire(trio.SocketStream(place_socket), initiator=True)
            except OSError as error:
                failure = error
                continue
            made.pop_all()  # the wire closes it from now on
            return wire
    # trio's words say what was tried, which stands before them here; the system's say what came of it.
    reason = (os.strerror(failure.errno) if failure.errno else str(failure)).lower()
    raise Unreachable(
        f"{place} does not answer: {reason}.", "Ask the peer's owner whether the node is running.", reason
    )
