"""A local network of three machines inside this one: network namespaces, joined by a bridge or by a bad cable.

Three wires are made. `bridge` is the kernel's bridge and nothing else. `netem` is the same bridge, with the kernel's
emulation of a bad network (tc-netem(8)) on every card. `relay` does what netem does, in a thread of this process
between TAP devices, for kernels that are built without it. All that is made lies in namespaces of its own, so that
deleting those takes everything away; nothing of the machine's own network is touched.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

NAMES = ("a", "b", "c")
TUN = Path("/dev/net/tun")
TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x0002 | 0x1000
FRAME = 2048
"""Bytes; more than an Ethernet frame has."""


@dataclass(frozen=True)
class Weather:
    """What befalls every frame on its way out of a machine, as in tc-netem(8)."""

    delay: float = 0.080
    jitter: float = 0.020
    """Seconds; the delay is even within as much to either side."""
    loss: float = 0.03
    reorder: float = 0.05
    """Share of frames that are sent at once and overtake others."""
    rate: float = 256_000.0
    """Bits per second."""
    queue: int = 200
    """Frames that wait at most; what comes beyond it is lost."""

    def netem(self) -> list[str]:
        """The words for `tc qdisc add ... netem`."""
        return (
            f"delay {self.delay * 1000:g}ms {self.jitter * 1000:g}ms loss {self.loss * 100:g}% "
            f"reorder {self.reorder * 100:g}% rate {self.rate:g}bit limit {self.queue}"
        ).split()


def ip(*words: object) -> str:
    """Run `ip`; what it prints. Raises CalledProcessError."""
    return subprocess.run(["ip", *map(str, words)], capture_output=True, text=True, check=True, timeout=20).stdout


def why_not(wire: str) -> str | None:
    """Why this machine cannot make such a network, or nothing."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    for program in ("ip", "tc"):
        if shutil.which(program) is None:
            return f"the program {program} (iproute2) is not here"
    if wire == "relay" and not os.access(TUN, os.R_OK | os.W_OK):
        return f"{TUN} cannot be opened"
    probe = f"babelmesh-{os.getpid()}-probe"
    try:
        ip("netns", "add", probe)
        try:
            if wire == "relay":
                with tap(probe, "wire0"):
                    pass
                return None
            ip("-n", probe, "link", "add", "port0", "type", "veth", "peer", "name", "port1")
            ip("-n", probe, "link", "add", "hub0", "type", "bridge")
            if wire == "netem":
                tc(probe, "qdisc", "add", "dev", "port0", "root", "netem", *Weather().netem())
        finally:
            ip("netns", "delete", probe)
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd[:8])}: {error.stderr.strip()}"
    except OSError as error:
        return f"{TUN}: {error.strerror}"
    return None


def tc(namespace: str, *words: str) -> str:
    """Run `tc` in a namespace; what it prints. Raises CalledProcessError."""
    done = subprocess.run(["tc", "-n", namespace, *words], capture_output=True, text=True, check=True, timeout=20)
    return done.stdout


@contextmanager
def tap(namespace: str, name: str) -> Iterator[int]:
    """A TAP device in a namespace: the file descriptor that its frames come from and go to. Gone afterwards."""
    wire = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        made = f"bm{os.getpid() % 10**8}{name[:4]}"
        fcntl.ioctl(wire, TUNSETIFF, struct.pack("16sH22x", made.encode(), IFF_TAP_NO_PI))
        ip("link", "set", made, "netns", namespace, "name", name)
        yield wire
    finally:
        os.close(wire)


class Relay:
    """Carries frames between TAP devices, in a thread: each to all others, as a hub does, through the weather."""

    def __init__(self, wires: dict[str, int], weather: Weather, seed: int = 0) -> None:
        self.pulled: set[str] = set()
        """Machines whose cable is out."""
        self.carried = self.lost = self.overtook = 0
        self._wires, self._weather, self._rng = wires, weather, random.Random(seed)
        self._sending = dict.fromkeys(wires, 0.0)
        self._waiting = dict.fromkeys(wires, 0)
        self._under_way: list[tuple[float, int, str, bytes]] = []
        self._count = itertools.count()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="relay", daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _carry(self) -> None:
        poll = select.poll()
        for wire in self._wires.values():
            poll.register(wire, select.POLLIN)
        names = {wire: name for name, wire in self._wires.items()}
        while not self._stop.is_set():
            wait = self._under_way[0][0] - time.monotonic() if self._under_way else 0.1
            for wire, _ in poll.poll(1000 * min(0.1, max(0.0, wait))):
                with suppress(OSError):
                    self._take(names[wire], os.read(wire, FRAME))
            while self._under_way and self._under_way[0][0] <= time.monotonic():
                _, _, sender, frame = heapq.heappop(self._under_way)
                self._waiting[sender] -= 1
                self._give(sender, frame)

    def _take(self, sender: str, frame: bytes) -> None:
        weather, now = self._weather, time.monotonic()
        if sender in self.pulled:
            return
        if self._rng.random() < weather.loss or self._waiting[sender] >= weather.queue:
            self.lost += 1
            return
        due = now
        if self._rng.random() < weather.reorder:
            self.overtook += 1
        else:
            sent = max(now, self._sending[sender]) + len(frame) * 8 / weather.rate
            self._sending[sender] = sent
            due = sent + weather.delay + self._rng.uniform(-weather.jitter, weather.jitter)
        self._waiting[sender] += 1
        heapq.heappush(self._under_way, (due, next(self._count), sender, frame))

    def _give(self, sender: str, frame: bytes) -> None:
        for name, wire in self._wires.items():
            if name != sender and name not in self.pulled:
                with suppress(OSError):  # the card at the other end is down
                    os.write(wire, frame)
                    self.carried += 1


class Lan:
    """Three machines, each with the card eth0 and an address of either kind; used in a with-statement."""

    def __init__(self, wire: str, weather: Weather) -> None:
        self.wire, self.weather = wire, weather
        self.relay: Relay | None = None
        self._end = ExitStack()
        self._hub = f"babelmesh-{os.getpid()}-hub"

    def __enter__(self) -> Lan:
        with ExitStack() as end:
            for namespace in (self._hub, *map(self.namespace, NAMES)):
                ip("netns", "add", namespace)
                end.callback(ip, "netns", "delete", namespace)
            if self.wire == "relay":
                wires = {name: end.enter_context(tap(self.namespace(name), "eth0")) for name in NAMES}
                self.relay = end.enter_context(Relay(wires, self.weather))
            else:
                self._bridge()
            for number, name in enumerate(NAMES, 1):
                inside = ("-n", self.namespace(name))
                ip(*inside, "link", "set", "lo", "up")
                ip(*inside, "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
                ip(*inside, "address", "add", f"fd77::{number}/64", "dev", "eth0", "nodad")
                ip(*inside, "link", "set", "eth0", "up")
            self._end = end.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def _bridge(self) -> None:
        ip("-n", self._hub, "link", "add", "hub0", "type", "bridge")
        ip("-n", self._hub, "link", "set", "hub0", "up")
        for name in NAMES:
            card = ("name", "eth0", "netns", self.namespace(name))
            ip("-n", self._hub, "link", "add", f"port-{name}", "type", "veth", "peer", *card)
            ip("-n", self._hub, "link", "set", f"port-{name}", "master", "hub0", "up")
            if self.wire == "netem":
                tc(self.namespace(name), "qdisc", "add", "dev", "eth0", "root", "netem", *self.weather.netem())

    def namespace(self, name: str) -> str:
        return f"babelmesh-{os.getpid()}-{name}"

    def inside(self, name: str) -> tuple[str, ...]:
        """The words before a command that is to run on that machine."""
        return ("ip", "netns", "exec", self.namespace(name))

    def listen(self, name: str) -> tuple[str, ...]:
        """The machine's own addresses, to listen on: one of either kind."""
        number = NAMES.index(name) + 1
        return f"/ip4/10.77.0.{number}/tcp/4710", f"/ip6/fd77::{number}/tcp/4710"

    def pull(self, name: str) -> None:
        """Take a machine off the network: its port at the hub goes down, or the relay carries its frames no more."""
        if self.relay is not None:
            self.relay.pulled.add(name)
        else:
            ip("-n", self._hub, "link", "set", f"port-{name}", "down")

    def plug(self, name: str) -> None:
        """Put it back."""
        if self.relay is not None:
            self.relay.pulled.discard(name)
        else:
            ip("-n", self._hub, "link", "set", f"port-{name}", "up")

    def harm(self) -> str:
        """What the weather has done so far, in words."""
        if self.relay is not None:
            return f"{self.relay.carried} carried, {self.relay.lost} lost, {self.relay.overtook} overtook"
        if self.wire == "netem":
            return tc(self.namespace(NAMES[0]), "-s", "qdisc", "show", "dev", "eth0")
        return "none"
