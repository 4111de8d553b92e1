"""All links of this node: who may have one, which one is used, and the requests that go over them.

This stands where libp2p 0.8.1 has its swarm and its host, whose faults are thereby absent and not patched: a slot that
every inbound connection takes for ever, an exception in one stream that ends the whole process, peers that are dialled
because somebody mentioned them, no bound on streams or on connections of one address, and identify, push and ping
served to everybody. Here a stream carries one request and one answer, every stream and link ends alone, and every
count has a bound. Lives on the trio side. Knows nothing of what requests mean.
"""

from __future__ import annotations

import errno
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import trio
from libp2p.stream_muxer.yamux.yamux import YamuxStream

from p2p import framing
from p2p.addresses import Address, network_of, parse
from p2p.errors import BadAddress, BadMessage, P2pError, TimedOut, Unreachable
from p2p.host import listening
from p2p.host.dialing import first_that_works, one_peer, open_wire
from p2p.host.handshake import Handshake
from p2p.host.ledger import Ledger
from p2p.host.muxer import MuxLimits, SafeYamux
from p2p.host.options import HostOptions
from p2p.host.wire import MULTISTREAM, Wire, agreed, breaking, line, propose, remote_of, settle
from p2p.identity import Identity, with_peer
from p2p.wire import PROTOCOL

log = logging.getLogger("p2p.host")

SPOKEN = PROTOCOL.encode()
LINGER = 5.0
"""Seconds that an answered stream is left to the peer to close."""
MOST_REFUSALS = 1_000
"""Streams beyond the bound that a link may open before it is taken for an attack."""
NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


@dataclass(eq=False)
class Link:
    """One live link to a peer that has proved its id."""

    peer: str
    muxer: SafeYamux
    inbound: bool
    address: str
    asking: trio.Semaphore
    spoken: bool = False
    """Whether the peer has answered on this link; then a request is sent along with the proposal of its protocol."""
    answering: int = 0
    refused: int = 0
    over: trio.Event = field(default_factory=trio.Event)


@dataclass(frozen=True)
class StreamEnds:
    """One stream, as negotiation reads and writes it."""

    muxer: SafeYamux
    stream: YamuxStream

    async def read(self, n: int) -> bytes:
        """Exactly `n` bytes."""
        return await self.muxer.read(self.stream, n)

    async def write(self, data: bytes) -> None:
        """Send all of `data`."""
        await self.stream.write(data)


class Switch:
    """The links of one identity. `answer(peer, body)` answers requests, `admits(peer)` says who may have a link."""

    def __init__(
        self,
        identity: Identity,
        options: HostOptions,
        answer: Callable[[str, bytes], Awaitable[bytes]],
        admits: Callable[[str], Awaitable[bool]],
        ledger: Ledger,
    ) -> None:
        """Opens nothing yet."""
        limits = MuxLimits(options.receive, options.write_timeout, options.ping_every, options.ping_timeout)
        self._peer_id = identity.peer_id
        self._options = options
        self._answer = answer
        self._admits = admits
        self._ledger = ledger
        self._handshake = Handshake(identity, limits, options.handshake_wait)
        self._listeners: list[trio.SocketListener] = []
        self._links: dict[str, list[Link]] = {}
        self._open = 0
        self._from: Counter[str] = Counter()
        self._dials: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)
        self._slots = trio.CapacityLimiter(options.requests)

    async def start(self, nursery: trio.Nursery) -> None:
        """Listen; connections and links live in `nursery`. Raises BadAddress or CannotListen."""
        self._nursery = nursery
        self._listeners = listening.listen(tuple(parse(text) for text in self._options.listen))
        for listener in self._listeners:
            nursery.start_soon(self._accept, listener)

    def addresses(self) -> tuple[str, ...]:
        """Where this node is found, each address with its id."""
        found = [place for listener in self._listeners for place in listening.places(listener)]
        return tuple(dict.fromkeys(with_peer(str(place), self._peer_id) for place in found))

    async def connect(self, addresses: Sequence[str], wait: float) -> str:
        """Have a link to the peer that the addresses name; its id. Raises BadAddress, TimedOut or Unreachable."""
        peer, places = one_peer(addresses)
        if peer == self._peer_id:
            raise BadAddress("That is the address of this node itself.", "Take the other node's address.")
        end = trio.current_time() + wait
        lock = self._dials[peer]
        with trio.move_on_at(end):
            await lock.acquire()
        try:
            if lock.statistics().owner is not trio.lowlevel.current_task():
                raise TimedOut(f"{peer} is being dialled already, and did not answer within {wait:g} seconds.")
            if self._live(peer) is None:
                await first_that_works(places, end - trio.current_time(), self._dial)
        finally:
            if lock.statistics().owner is trio.lowlevel.current_task():
                lock.release()
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._dials.pop(peer, None)
        return peer

    async def request(self, peer: str, body: bytes) -> bytes:
        """Ask a peer that there is a link to. Raises Unreachable or BadMessage."""
        link = self._live(peer)
        if link is None:
            raise Unreachable(f"There is no link to {peer}.", "It is dialled again when it is due.")
        frame = framing.pack(body)
        async with link.asking:
            stream = await link.muxer.open()
            whole = False
            try:
                ends = StreamEnds(link.muxer, stream)
                with breaking(f"{peer} did not answer"):
                    if known := link.spoken:
                        await link.muxer.finish(stream, line(MULTISTREAM) + line(SPOKEN) + frame)
                    else:
                        await propose(ends, SPOKEN)
                        await link.muxer.finish(stream, frame)
                    self._ledger.count(peer, went=len(frame))
                    if known:
                        await agreed(ends, SPOKEN)
                    answer = await self._read_frame(ends, peer)
                whole = link.spoken = True
            finally:
                await link.muxer.forget(stream, quietly=whole)
        return answer

    async def disconnect(self, peer: str) -> None:
        """End all links to a peer."""
        for link in tuple(self._links.get(peer, ())):
            link.muxer.sever("closed by this node")
            await link.over.wait()

    async def _accept(self, listener: trio.SocketListener) -> None:
        """Take connections for as long as there is room; those beyond it are closed at once."""
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in NO_ROOM:
                        raise
                    log.warning("no room for another connection: %s", error.strerror)
                    await trio.sleep(0.2)
                    continue
                remote = remote_of(stream)
                place = network_of(remote[0]) if remote else ""
                if remote is None or not self._has_room() or self._from[place] >= self._options.per_address:
                    stream.socket.close()
                    continue
                self._open += 1
                self._from[place] += 1
                self._nursery.start_soon(self._welcome, Wire(stream, initiator=False), remote, place)

    def _live(self, peer: str) -> Link | None:
        """The newest link to a peer that has not ended."""
        alive = [link for link in self._links.get(peer, ()) if not link.muxer.event_shutting_down.is_set()]
        return alive[-1] if alive else None

    def _has_room(self) -> bool:
        return self._open < self._options.connections

    async def _welcome(self, wire: Wire, remote: tuple[str, int], place: str) -> None:
        """One inbound connection, from its first byte to its last; then its place is given back."""
        try:
            muxer = await self._handshake.inbound(wire)
            kind = "ip6" if ":" in remote[0] else "ip4"
            link = await self._let_in(muxer, str(Address(kind, *remote)), inbound=True)
            await self._carry(link)
        except P2pError as error:
            log.debug("a connection from %s ended: %s", remote[0], error)
        finally:
            wire.cut()
            self._open -= 1
            self._from[place] -= 1
            if not self._from[place]:
                del self._from[place]

    async def _dial(self, place: Address) -> None:
        """One outbound connection, up to the moment when it is a link."""
        if not self._has_room():
            raise Unreachable(
                f"This node has {self._open} connections, as many as it may.", "Raise connections in babelmesh.toml."
            )
        self._open += 1
        try:
            wire = await open_wire(place)
            try:
                muxer = await self._handshake.outbound(wire, str(place.peer))
                link = await self._let_in(muxer, str(place), inbound=False)
            except BaseException:
                wire.cut()
                raise
        except BaseException:
            self._open -= 1
            raise
        self._nursery.start_soon(self._keep, link)

    async def _keep(self, link: Link) -> None:
        """An outbound link to its end; then the place that `_dial` took is given back."""
        try:
            await self._carry(link)
        finally:
            self._open -= 1

    async def _let_in(self, muxer: SafeYamux, address: str, *, inbound: bool) -> Link:
        """The link of a peer that the door admits; it can be used from now on. Raises Unreachable for any other.

        A newer link takes the place of an older one in the same direction, whose peer has most likely died without a
        word. Two peers that dial each other at the same moment keep both links, and both are good.
        """
        peer = muxer.peer_id.to_base58()
        if peer == self._peer_id or not await self._admits(peer):
            raise Unreachable(f"{peer} is not let in by this node.", "Trust it first: node peers trust ID")
        await trio.lowlevel.checkpoint_if_cancelled()  # whoever has given up must not find a link later
        link = Link(peer, muxer, inbound, address, trio.Semaphore(self._options.requests_per_link))
        links = self._links.setdefault(peer, [])
        for old in links:
            if old.inbound == inbound:
                old.muxer.sever("a newer link has taken its place")
        links.append(link)
        self._ledger.up(peer, address, inbound=inbound)
        return link

    async def _carry(self, link: Link) -> None:
        """A link until it ends."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._take_streams, link, nursery)
                await link.muxer.run()
                nursery.cancel_scope.cancel()
        finally:
            link.muxer.sever("closed")
            links = self._links[link.peer]
            links.remove(link)
            if links:
                self._ledger.up(link.peer, links[-1].address, inbound=links[-1].inbound)
            else:
                del self._links[link.peer]
                self._ledger.down(link.peer)
            link.over.set()

    async def _take_streams(self, link: Link, nursery: trio.Nursery) -> None:
        """Serve each stream that the peer opens, up to the bound; those beyond it are reset."""
        while (stream := await link.muxer.accept()) is not None:
            if link.answering < 2 * self._options.requests_per_link:
                link.answering += 1
                nursery.start_soon(self._serve, link, stream)
                continue
            await link.muxer.forget(stream)
            link.refused += 1
            if link.refused > MOST_REFUSALS:
                link.muxer.sever("the peer floods this node with streams")

    async def _serve(self, link: Link, stream: YamuxStream) -> None:
        """One request of a peer. Whatever it sends ends this stream, or at worst its own link."""
        ends = StreamEnds(link.muxer, stream)
        try:
            with breaking("A request did not come whole"), trio.fail_after(self._options.read_wait):
                await settle(ends, (SPOKEN,))
                body = await self._read_frame(ends, link.peer)
            frame = await self._answer_to(link, body)
            with breaking("An answer did not go out"):
                await link.muxer.finish(stream, frame)
            self._ledger.count(link.peer, went=len(frame))
            with trio.move_on_after(LINGER), suppress(Unreachable):
                await ends.read(1)  # nothing comes but the peer's own closing; before it, a reset would take the answer
        except BadMessage as error:
            link.muxer.sever(error.sentence)
        except P2pError as error:
            log.debug("a request of %s ended: %s", link.peer, error)
        finally:
            await link.muxer.forget(stream)
            link.answering -= 1

    async def _answer_to(self, link: Link, body: bytes) -> bytes:
        """The frame of this node's answer. Raises Unreachable; a handler that fails costs the link that asked."""
        async with self._slots:
            try:
                with breaking("The answer failed"), trio.fail_after(self._options.answer_wait):
                    return framing.pack(await self._answer(link.peer, body))
            except TimedOut:
                raise
            except P2pError as error:
                link.muxer.sever("this node failed to answer")
                log.warning("a request of %s was not answered: %s", link.peer, error, exc_info=error.__cause__)
                raise

    async def _read_frame(self, ends: StreamEnds, peer: str) -> bytes:
        """The body of the next frame. Raises BadMessage, or Unreachable when it does not come whole."""
        length, digest = framing.read_head(await ends.read(framing.HEAD.size))
        body = framing.check(await ends.read(length), digest)
        self._ledger.count(peer, came=framing.HEAD.size + length)
        return body
