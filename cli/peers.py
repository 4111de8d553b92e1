"""`node peers`: who is known, who is trusted, and how two nodes come to trust each other.

Asks the running node, or the household's memory when none runs; prints. Knows nothing of links.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qs

from cyclopts import Parameter, validators

from cli.client import Client
from cli.common import Common
from cli.errors import BadUsage
from cli.identity import ONLY_HERE, reach
from cli.qr import show_qr
from cli.render import show_line, show_table, write_json
from cli.words import ago, size
from node.errors import NotFound, NotRunning

if TYPE_CHECKING:
    from node.peering import Desk

SHOWN = 14
"""Characters of a peer id in tables: enough to name it."""
ID_BEGINS = "12D3KooW"
"""How the ids of Ed25519 keys begin."""
OVER = {
    "spent": "Somebody tried a wrong code, or broke off: the code is void now.",
    "expired": "Nobody came to pair in ten minutes: the code is void now.",
    "replaced": "Another code was shown after this one, which is void now.",
}
"""Why nobody can pair by a code any more, by what the node says of it."""
EVERY = 0.5
"""Seconds between two looks at what has become of a code."""


def list_(*, common: Common | None = None) -> int:
    """List the peers of this node: trusted ones, those that wait for a yes, and blocked ones."""
    common = common or Common()
    with _desk(common, read_only=True) as desk:
        known = desk.peers()
        # Why somebody is not connected, only the running node knows.
        told = desk.stats()["peers"] if known and isinstance(desk, Client) else []
    states = {one["peer"]: one["state"] for one in told}
    known = [{**one, "state": states.get(one["peer"])} for one in known]
    if common.json:
        write_json({"peers": known})
    elif not known:
        show_line("No peers yet. Add one with: node peers add ADDRESS, or pair: node peers pair")
    else:
        rows = [
            (_name(one), f"{one['peer'][:SHOWN]}…", _trust(one), _link(one), ago(one["seen_at"]), _traffic(one))
            for one in known
        ]
        show_table("Peers", ("name", "id", "trust", "link", "seen", "in / out"), rows)
    return 0


def add(*address: str, common: Common | None = None) -> int:
    """Add peers by their addresses, and trust them; the running node dials them at once.

    Parameters
    ----------
    address
        Multiaddr that ends in /p2p/ID, as the other node's `node id` shows it.
    """
    common = common or Common()
    if not address:
        raise BadUsage("Which peer?", "node peers add /ip4/192.168.1.20/tcp/4710/p2p/12D3KooW...")
    from node.peering import peer_at

    for one in address:
        peer_at(one)  # all of them, before the first one is trusted
    added: list[dict[str, Any]] = []
    try:
        with _desk(common) as desk:
            added.extend(desk.add_peer(one, "trusted") for one in address)
    except BaseException:
        for one in _trusted(added):
            show_line(one, error=True)
        raise
    _tell(common, {"added": added}, _trusted(added))
    return 0


def trust(
    peer: str,
    *,
    weight: Annotated[float | None, Parameter(validator=validators.Number(gte=0, lte=1))] = None,
    common: Common | None = None,
) -> int:
    """Trust a peer: exchange with it.

    Parameters
    ----------
    peer
        Name of the peer, or its id, or the beginning of either.
    weight
        How much its updates count in a merge, 0 to 1.
    """
    told = "is trusted from now on"
    if weight is not None:
        told += f": its updates count with weight {weight:g} in a merge"
    return _change(peer, "trusted", told, common, weight)


def block(peer: str, *, common: Common | None = None) -> int:
    """Block a peer: do not let it in, and do not dial it.

    Parameters
    ----------
    peer
        Name of the peer, or its id, or the beginning of either.
    """
    return _change(peer, "blocked", "is blocked from now on", common)


def remove(peer: str, *, common: Common | None = None) -> int:
    """Forget a peer.

    Parameters
    ----------
    peer
        Name of the peer, or its id, or the beginning of either.
    """
    common = common or Common()
    with _desk(common) as desk:
        found = find(desk.peers(), peer)
        desk.remove_peer(found["peer"])
    told, lines = {"removed": found["peer"]}, [f"{_called(found)} is forgotten."]
    if named := _named_in(common, found["peer"]):
        told["named_in"] = named
        lines.append(f"{named} names it still, and the next start trusts it again: take it out of [node] peers there.")
    _tell(common, told, lines)
    return 0


def pair(
    link: str | None = None,
    *,
    code: str | None = None,
    peer: list[str] | None = None,
    wait: bool = True,
    common: Common | None = None,
) -> int:
    """Make two nodes trust each other. Here without arguments, there with the link or the code that this shows.

    Parameters
    ----------
    link
        The link that the other node shows.
    code
        The code that the other node shows, instead of the link.
    peer
        Address of the other node, with --code.
    wait
        Wait until the other side has come.
    """
    common = common or Common()
    if (link and (code or peer)) or bool(code) != bool(peer):
        raise BadUsage("Pair by a link, or by --code with --peer.", "node peers pair --code 12345678 --peer ADDRESS")
    with Client.of(_config(common).control) as client:
        if link or code:
            met = client.pair(link or str(code), peer or ())
            _tell(common, {"paired": met}, [f"Paired with {met[:SHOWN]}…: both trust each other from now on."])
            return 0
        opened = client.open_pairing()
        if common.json:
            write_json(opened)
        else:
            show_qr(opened["link"])
            show_line(f"Code: {opened['code']}, good for ten minutes and one try.")
            if not _reaches_out(opened["link"]):
                show_line(ONLY_HERE)
            show_line(f"In another terminal, where the other node runs: node peers pair '{opened['link']}'")
        came = _await_pairing(client, int(opened["number"])) if wait else ""
        if came and not common.json:
            show_line(f"Paired with {came[:SHOWN]}…: both trust each other from now on.")
    return 0


def find(known: Sequence[dict[str, Any]], text: str) -> dict[str, Any]:
    """The one peer that `text` means: its id, its name, or the beginning of either. Raises NotFound, BadUsage.

    Peers choose their names, and may call themselves like another's id: what looks like an id is never a name.
    """
    text = text.rstrip("…")
    ids = [one for one in known if text and one["peer"].startswith(text)]
    names = [] if text.startswith(ID_BEGINS) else [one for one in known if text and one["name"].startswith(text)]
    found = ids or [one for one in names if one["name"] == text] or names
    if not found:
        raise NotFound(f"No peer is called {text!r}.", "See who is known: node peers list")
    if len(found) > 1:
        raise BadUsage(
            f"{text!r} can mean {len(found)} peers.",
            "Say more of the id: " + ", ".join(one["peer"] for one in found[:4]),
        )
    return found[0]


def _change(peer: str, word: str, told: str, common: Common | None, weight: float | None = None) -> int:
    common = common or Common()
    with _desk(common) as desk:
        changed = desk.set_trust(find(desk.peers(), peer)["peer"], word, weight)
    _tell(common, {"changed": changed}, [f"{_called(changed)} {told}."])
    return 0


def _await_pairing(client: Client, number: int) -> str:
    """The peer that paired by this code. Raises NotFound as soon as nobody can any more."""
    while True:
        now = client.pairing()
        state = now["state"] if now["number"] == number else "replaced"
        if state == "paired":
            return str(now["peer"])
        if state != "waiting":
            raise NotFound(OVER.get(state, "The code is not shown any more."), "Show a new code: node peers pair")
        time.sleep(EVERY)


def _config(common: Common) -> Any:  # noqa: ANN401
    from node.config import load

    return load(common.home, os.environ)


def _named_in(common: Common, peer: str) -> str:
    """The file of settings that has an address of this peer; empty when none has."""
    from node.config import FILE_NAME
    from p2p.identity import peer_of

    config = _config(common)
    return str(config.home / FILE_NAME) if any(peer_of(one) == peer for one in config.node.peers) else ""


@contextmanager
def _desk(common: Common, read_only: bool = False) -> Iterator[Client | Desk]:
    """The running node, or the memory of the home when none runs; `read_only` writes nothing there, nor makes it."""
    config = _config(common)
    try:
        client = Client.of(config.control)
    except NotRunning:
        from node.peering import offline

        with offline(config, read_only) as desk:
            yield desk
        return
    with client:
        yield client


def _tell(common: Common, value: dict[str, Any], lines: Sequence[str]) -> None:
    if common.json:
        write_json(value)
    else:
        for line in lines:
            show_line(line)


def _name(one: dict[str, Any]) -> str:
    return one["name"] or "-"


def _trusted(added: Sequence[dict[str, Any]]) -> list[str]:
    return [f"{_called(one)} is trusted from now on." for one in added]


def _called(one: dict[str, Any]) -> str:
    return one["name"] or f"{one['peer'][:SHOWN]}…"


def _trust(one: dict[str, Any]) -> str:
    return str(one["trust"]) + (f", {one['weight']:g}" if one["weight"] != 1 else "")


def _link(one: dict[str, Any]) -> str:
    return "connected" if one["connected"] else one["state"] or "-"


def _reaches_out(link: str) -> bool:
    """Whether another machine can use an address of this pairing link; a link without addresses promises nothing."""
    at = parse_qs(link.partition("?")[2]).get("at", [])
    return not at or any(reach(address) > 0 for address in at)


def _traffic(one: dict[str, Any]) -> str:
    return f"{size(one['bytes_in'])} / {size(one['bytes_out'])}"
