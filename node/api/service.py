"""What the control API needs of a running node; `node.mesh.Mesh` is its body.

Declarations only. Knows nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from node.events import Broadcast
from node.store.rows import RoundRow
from p2p.invite import Standing
from p2p.peers import PeerRecord, Trust

if TYPE_CHECKING:
    from node.stats import Stats


class OpenPairing(Protocol):
    """A pairing that waits for the other side: a short code to say aloud, and a link that holds code and addresses."""

    @property
    def code(self) -> str:
        """To be typed in by a person."""

    @property
    def link(self) -> str:
        """To be scanned or pasted."""

    @property
    def number(self) -> int:
        """Which code it is of those that were shown."""


class RunningNode(Protocol):
    """A node that runs in this process. All methods belong to its event loop; errors carry `sentence` and `remedy`."""

    @property
    def events(self) -> Broadcast:
        """What happens: `round`, `epoch`, `merged`, `update`, `peer` and so on."""

    def stats(self) -> Stats:
        """All that the dashboard shows."""

    def peers(self) -> tuple[PeerRecord, ...]:
        """The peer book."""

    def connected(self) -> tuple[str, ...]:
        """Ids of the peers that are linked now."""

    def add_peer(self, address: str, trust: Trust) -> PeerRecord:
        """Write a peer's multiaddr into the book and dial it soon. Raises BadAddress."""

    def set_trust(self, peer: str, trust: Trust, weight: float | None = None) -> PeerRecord:
        """What the owner thinks of a peer; blocking drops its links. Raises NotFound."""

    def remove_peer(self, peer: str) -> None:
        """Forget a peer. Raises NotFound."""

    def open_pairing(self) -> OpenPairing:
        """Let one stranger in who knows the code that this returns."""

    def pairing(self) -> Standing:
        """What has become of the code that was shown last."""

    async def pair(self, code: str, addresses: Sequence[str]) -> str:
        """Pair with a node whose code or link is given; its id. Raises PairingFailed, Unreachable, BadAddress."""

    async def train_now(self, epochs: int | None = None, batch: int | None = None) -> RoundRow:
        """One round at once, with the configured values where nothing is given. Raises BadRequest without speech."""

    def request_stop(self) -> None:
        """End the node soon, in good order."""

    def metrics(self) -> bytes:
        """Prometheus text, without anything that names a peer."""
