"""Time stamps of packets: when each is to be decoded, where that is not said or no longer fits.

Packets come in the order of decoding, and each is decoded no later than it is shown. Knows nothing of what is in them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import av


def depth(shown: Sequence[int]) -> int:
    """By how many pictures decoding must run ahead of showing, for times of showing in the order of decoding."""
    rank = {at: place for place, at in enumerate(sorted(range(len(shown)), key=lambda at: shown[at]))}
    return max((at - rank[at] for at in range(len(shown))), default=0)


def decoding_times(shown: Iterable[int], ahead: int, step: int) -> Iterator[int]:
    """A time of decoding for each time of showing: the times themselves in order, `ahead` pictures late.

    Before the first it goes back by `step` ticks a picture. They grow strictly, and none is later than its own time of
    showing, if `ahead` is at least the `depth` of the times and no two are one.
    """
    times = iter(shown)
    waiting = list(islice(times, ahead + 1))
    heapq.heapify(waiting)
    for before in range(min(ahead, len(waiting)), 0, -1):
        yield waiting[0] - step * before
    for at in times:
        yield heapq.heapreplace(waiting, at)
    while len(waiting) > ahead:
        yield heapq.heappop(waiting)


def mended(packets: Iterable[av.Packet[Any]], step: int) -> Iterator[av.Packet[Any]]:
    """Packets of one track with both time stamps, times of decoding growing strictly; those that have them keep them.

    Matroska says no times of decoding, and libav finds out those of the first pictures too late; `step` is the interval
    of two pictures in ticks.
    """
    early: list[av.Packet[Any]] = []
    last: int | None = None
    for packet in packets:
        if packet.pts is None:
            packet.pts = packet.dts
        if last is None and packet.dts is None:
            early.append(packet)
            continue
        if last is None and packet.dts is not None:
            yield from _led(early, packet.dts, step)
        if packet.dts is None and last is not None:
            packet.dts = last + 1
        last = follow(packet, last)
        yield packet
    if last is None:
        known = [packet for packet in early if packet.pts is not None]
        shown = [packet.pts or 0 for packet in known]
        for packet, at in zip(known, decoding_times(shown, depth(shown), step), strict=True):
            packet.dts = at
            yield packet


def follow(packet: av.Packet[Any], last: int | None) -> int:
    """Let a packet be decoded after time `last`, and shown no earlier than it is decoded; return when it is decoded."""
    decoded = packet.dts if packet.dts is not None else packet.pts
    if decoded is None or (last is not None and decoded <= last):
        decoded = (last or 0) + 1
    packet.dts = decoded
    packet.pts = decoded if packet.pts is None else max(packet.pts, decoded)
    return decoded


def _led(early: list[av.Packet[Any]], first: int, step: int) -> Iterator[av.Packet[Any]]:
    """Packets without a time of decoding that come before one that is decoded at `first`."""
    for number, packet in enumerate(early):
        packet.dts = first - step * (len(early) - number)
        if packet.pts is not None:
            packet.dts = min(packet.dts, packet.pts)
            yield packet
