"""What may be asked of a running node: the body of `node.api.service.RunningNode`.

Turns questions of the owner into calls on the mesh and its parts. Knows nothing of HTTP or of terminals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from node import peering
from node.config import Config
from node.errors import HomeUnusable
from node.events import Broadcast
from node.mesh import Mesh
from node.stats import Stats, collect
from node.store.rows import RoundRow
from node.telemetry import Telemetry
from p2p.invite import Pairing, Standing
from p2p.peers import PeerRecord, Trust
from p2p.tally import Tally


def numbers(tally: Tally) -> dict[str, float]:
    """What the gate has counted, by name: `answered_offer_want`, `asked_hello_unreachable`, `strikes_bad-hash`."""
    counted = {f"answered_{kind}_{outcome}": float(n) for (kind, outcome), n in tally.answered.items()}
    counted |= {f"asked_{kind}_{outcome}": float(n) for (kind, outcome), n in tally.asked.items()}
    counted |= {f"strikes_{reason}": float(n) for reason, n in tally.strikes.items()}
    return {
        **counted,
        "faults": float(tally.faults),
        "bytes_in": float(tally.bytes_in),
        "bytes_out": float(tally.bytes_out),
    }


class Running:
    """A node that runs in this process."""

    def __init__(self, mesh: Mesh, config: Config, telemetry: Telemetry, stop: Callable[[], None]) -> None:
        """`stop` ends the node soon."""
        self._mesh, self._config, self._telemetry, self._stop = mesh, config, telemetry, stop

    @property
    def events(self) -> Broadcast:
        """What happens."""
        return self._mesh.events

    def stats(self) -> Stats:
        """All that the dashboard shows."""
        live, parts = self._mesh.live, self._mesh.parts
        self._telemetry.sample(live)
        live.connected = parts.gate.connected()
        live.troubles = parts.gate.troubles()
        live.counters = numbers(parts.gate.tally)
        full = self._config.node.bytes_per_hour // 2  # an account holds half of the hour's bytes, and earns the rest
        live.budget_used = {peer: max(0, full - parts.budgets.left(peer)[1]) for peer in live.connected}
        trouble = ""
        try:
            parts.book.flush()
        except HomeUnusable as error:  # the counts stay in memory, and are saved when the disk takes them again
            trouble = error.sentence
        stats = collect(parts.store, self._config, live)
        return msgspec.structs.replace(stats, note=trouble) if trouble else stats

    def peers(self) -> tuple[PeerRecord, ...]:
        """The peer book."""
        return self._mesh.parts.book.all()

    def connected(self) -> tuple[str, ...]:
        """Peers that are linked now, after a hello."""
        return self._mesh.parts.gate.connected()

    def add_peer(self, address: str, trust: Trust) -> PeerRecord:
        """Write a peer's multiaddr into the book; it is dialled within a second or two. Raises BadAddress."""
        return peering.add(self._mesh.parts.book, address, trust)

    def set_trust(self, peer: str, trust: Trust, weight: float | None = None) -> PeerRecord:
        """What the owner thinks of a peer. Raises NotFound."""
        return peering.change(self._mesh.parts.book, peer, trust, weight)

    def remove_peer(self, peer: str) -> None:
        """Forget a peer. Raises NotFound."""
        peering.forget(self._mesh.parts.book, peer)

    def open_pairing(self) -> Pairing:
        """Show a code."""
        return self._mesh.parts.gate.open_pairing()

    def pairing(self) -> Standing:
        """What has become of the code that was shown last."""
        return self._mesh.parts.gate.pairing()

    async def pair(self, code: str, addresses: Sequence[str]) -> str:
        """Pair with whoever shows the code; its id. Raises the gate's errors."""
        return await self._mesh.parts.gate.pair(code, tuple(addresses))

    async def train_now(self, epochs: int | None = None, batch: int | None = None) -> RoundRow:
        """One round at once. Raises BadRequest without speech."""
        return await self._mesh.train_now(epochs, batch)

    def request_stop(self) -> None:
        """End the node soon, once the answer to this is out."""
        asyncio.get_running_loop().call_later(0.05, self._stop)

    def metrics(self) -> bytes:
        """Prometheus text."""
        return self._telemetry.text(self.stats())
