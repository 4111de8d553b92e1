"""Many streams over one link: libp2p's yamux, with bounds, and with writes that nothing can cut in half.

What it mends in libp2p 0.8.1, by subclassing:

* A caller's timeout during a write leaves half a Noise message on the wire, and with it every stream of the link dead.
  Here one task writes, and callers wait for it: a timeout takes away the waiting, never the writing.
* Reading stops while a pong or a window update waits to be written, so that two full links wait for each other for
  ever. Here control frames are queued, within a bound, and reading goes on.
* A peer that stops reading, or that is frozen, stays connected for ever. Here a write that takes too long, or a ping
  without a pong, ends the link.
* A peer that ignores its receive window is only written to the log, and fills the memory. Here the bytes that are
  buffered over all streams of a link have a bound, and it is tested before the body of a frame is read.
* 256 streams that nobody closed block the 257th for ever. Here a stream is forgotten as soon as its request is over.

Knows nothing of identities or messages.

Source: the yamux specification (github.com/hashicorp/yamux/blob/master/spec.md).
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass

import trio
from libp2p.abc import ISecureConn
from libp2p.exceptions import BaseLibp2pError
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.stream_muxer.yamux import yamux
from libp2p.stream_muxer.yamux.yamux import YamuxStream

from p2p.errors import Unreachable
from p2p.host.wire import Wire

PROTOCOL = yamux.PROTOCOL_ID.encode()
LONGEST_FRAME = 256 * 1024
"""Bytes of the longest DATA frame: js-libp2p fills a whole window with one."""
PIECE = yamux.MAX_MESSAGE_SIZE - yamux.HEADER_SIZE
"""Bytes of the longest DATA frame that is sent, as libp2p itself does."""
NOISE_MESSAGE = 65_535 - 16
"""Bytes of plain text in the longest Noise message."""
MOST_CONTROL = 1_024
"""Control frames that may wait; a peer for which more wait sends pings or streams and does not read."""


@dataclass(frozen=True)
class MuxLimits:
    """Bounds of one link; times in seconds."""

    receive: int = 2 * 1024 * 1024
    """Bytes that may be buffered for streams that nobody has read yet."""
    write_timeout: float = 20.0
    """How long one write of at most 64 KB may take."""
    ping_every: float = 15.0
    ping_timeout: float = 15.0


class SafeYamux(yamux.Yamux):
    """A yamux session over one authenticated link. `run` carries it, and returns when the link has ended."""

    def __init__(self, session: ISecureConn, wire: Wire, limits: MuxLimits) -> None:
        """Takes a link whose handshakes are done: the secured session, and the wire below it."""
        super().__init__(session, session.get_remote_peer(), session.is_initiator)
        self._wire = wire
        self._limits = limits
        self._control: deque[bytes] = deque()
        self._data: deque[tuple[bytes, trio.Event]] = deque()
        self._work = trio.Event()
        self.reason = ""
        """Why the link was severed from this side, or nothing."""

    async def run(self) -> None:
        """Carry the session until the link ends, or until this is cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_all)
            try:
                await self.start()
            finally:
                self.sever(self.reason)
                nursery.cancel_scope.cancel()

    def sever(self, reason: str) -> None:
        """End the link now: whoever waits on it wakes with an error."""
        self.reason = self.reason or reason
        self.event_shutting_down.set()
        self._wire.cut()
        self._work.set()
        for _, written in self._data:
            written.set()
        for arrival in self.stream_events.values():
            arrival.set()

    async def open(self) -> YamuxStream:
        """A new stream. Raises Unreachable when the link has ended."""
        try:
            return await self.open_stream()
        except MuxedStreamError as error:
            raise Unreachable(f"The link has ended{self._why()}.") from error

    async def accept(self) -> YamuxStream | None:
        """The next stream that the other side opens, or None when the link has ended."""
        try:
            return await self.new_stream_receive_channel.receive()
        except trio.EndOfChannel:
            return None

    async def finish(self, stream: YamuxStream, data: bytes) -> None:
        """Write the last bytes of a stream and close this side of it, in one piece where the window allows it.

        Raises Unreachable when the link ends before.
        """
        try:
            if len(data) > stream.send_window or stream.send_closed or self.event_shutting_down.is_set():
                await stream.write(data)
                await stream.close()
                return
            stream.send_window -= len(data)
            stream.send_closed = True
            frames = []
            for start in range(0, len(data), PIECE):
                piece = data[start : start + PIECE]
                frames += [_frame(yamux.TYPE_DATA, 0, stream.stream_id, len(piece)), piece]
            frames.append(_frame(yamux.TYPE_WINDOW_UPDATE, yamux.FLAG_FIN, stream.stream_id, 0))
            await self._written(b"".join(frames))
        except MuxedStreamError as error:
            raise Unreachable(f"The link has ended{self._why()}.") from error

    async def forget(self, stream: YamuxStream, *, quietly: bool = False) -> None:
        """Be done with a stream, whatever the other side thinks of it.

        It is reset unless both sides have closed; `quietly` leaves that out, for a stream that this side has closed
        and whose answer has come: only the other side's own closing is still to come, and nobody waits for that.
        """
        with trio.CancelScope(shield=True):
            async with self.streams_lock:
                if buffer := self.stream_buffers.get(stream.stream_id):
                    buffer.clear()
                whole = quietly or (stream.send_closed and stream.recv_closed)
                if not whole and not self.event_shutting_down.is_set():
                    mark = struct.pack("!I", stream.stream_id)
                    self._data = deque(entry for entry in self._data if entry[0][4:8] != mark)
                    self._queue(_frame(yamux.TYPE_WINDOW_UPDATE, yamux.FLAG_RST, stream.stream_id, 0))
                stream.closed = stream.send_closed = stream.recv_closed = True
                if (arrival := self.stream_events.get(stream.stream_id)) is not None:
                    arrival.set()
                self._finalize_stream_locked(stream, fully_closed=True)

    async def read(self, stream: YamuxStream, n: int) -> bytes:
        """Exactly `n` bytes of a stream. Raises Unreachable when it ends before.

        Gives the sender no new window: a request and its answer fit the first one, of 256 KB.
        """
        parts = bytearray()
        try:
            while len(parts) < n:
                parts += await self.read_stream(stream.stream_id, n - len(parts))
        except MuxedStreamError as error:
            if stream.reset_received:
                raise Unreachable(f"The peer broke off{self._why()}.") from error
            raise Unreachable(f"The peer closed after {len(parts)} of {n} bytes{self._why()}.") from error
        return bytes(parts)

    def buffered(self) -> int:
        """Bytes that have come and that nobody has read."""
        return sum(map(len, self.stream_buffers.values()))

    def _why(self) -> str:
        return f": {self.reason}" if self.reason else ""

    def _queue(self, frame: bytes) -> None:
        if len(self._control) >= MOST_CONTROL:
            self.sever("the peer does not read")
            return
        self._control.append(frame)
        self._work.set()

    async def _write_frame(self, data: bytes) -> None:
        if self.event_shutting_down.is_set():
            raise MuxedStreamError(f"the link has ended{self._why()}")
        if data[1] == yamux.TYPE_DATA:
            await self._written(data)
        else:
            self._queue(data)  # and no checkpoint, so that a stream's beginning leaves together with its first bytes

    async def _written(self, block: bytes) -> None:
        written = trio.Event()
        self._data.append((block, written))
        self._work.set()
        await written.wait()
        if self.event_shutting_down.is_set():
            raise MuxedStreamError(f"the link has ended{self._why()}")

    async def _write_all(self) -> None:
        """Write what is queued, in order, as few and as full Noise messages as it makes."""
        while not self.event_shutting_down.is_set():
            if not self._control and not self._data:
                self._work = trio.Event()
                await self._work.wait()
                continue
            parts = list(self._control)
            self._control.clear()
            waiting = []
            size = sum(map(len, parts))
            while self._data and size < NOISE_MESSAGE:
                frame, written = self._data.popleft()
                parts.append(frame)
                waiting.append(written)
                size += len(frame)
            block = b"".join(parts)
            try:
                for start in range(0, size, NOISE_MESSAGE):
                    with trio.fail_after(self._limits.write_timeout):
                        await self.secured_conn.write(block[start : start + NOISE_MESSAGE])
            except trio.TooSlowError:
                self.sever("the peer does not read")
            except BaseLibp2pError as error:
                self.sever(str(error) or type(error).__name__)
            finally:
                for written in waiting:
                    written.set()

    async def _read_data_body(self, length: int) -> bytes:
        """The body of a DATA frame, once it is sure that there is room for it."""
        if length > LONGEST_FRAME or self.buffered() + length > self._limits.receive:
            self.sever("the peer sends more than it was allowed to")
            raise trio.TooSlowError  # the one exception upon which yamux ends the session, whatever it was doing
        with trio.fail_after(self._limits.write_timeout):
            return bytes(await self.secured_conn.read(length))

    async def _measure_rtt_loop(self) -> None:
        """Ping for as long as the link is there, and end it when no pong comes."""
        while not self.event_shutting_down.is_set():
            await trio.sleep(self._limits.ping_every)
            self._ping_id = (self._ping_id + 1) % 2**32
            self._ping_event = trio.Event()
            self._ping_sent_time = trio.current_time()
            self._queue(_frame(yamux.TYPE_PING, yamux.FLAG_SYN, 0, self._ping_id))
            with trio.move_on_after(self._limits.ping_timeout) as scope:
                await self._ping_event.wait()
            if scope.cancelled_caught:
                self.sever("the peer does not answer")


def _frame(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    """A control frame: version 0, no body."""
    return struct.pack(yamux.YAMUX_HEADER_FORMAT, 0, kind, flags, stream_id, length)
