"""`node id`: who this node is, and where it is reached.

Asks the running node, or looks into the home; makes the key when there is none. Knows nothing of how ids are made.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cli.client import Client
from cli.common import Common
from cli.qr import show_qr
from cli.render import show_line, write_json
from node.errors import NotRunning


def id_(*, qr: bool = True, passphrase_file: Path | None = None, common: Common | None = None) -> int:
    """Show this node's id and addresses, and the best address as a QR code.

    Parameters
    ----------
    qr
        Draw the code when this is a terminal.
    passphrase_file
        File with the passphrase of the key, when it has one and the node does not run.
    """
    common = common or Common()
    from node.config import load

    config = load(common.home, os.environ)
    try:
        with Client.of(config.control) as client:
            told = client.stats()
        peer, addresses, running = str(told["peer_id"]), list(told["addresses"]), True
    except NotRunning:
        from p2p.identity import Identity

        peer = Identity.load_or_create(config.identity, read_passphrase(passphrase_file)).peer_id
        addresses, running = [f"{address}/p2p/{peer}" for address in config.node.listen], False
    shown = best(addresses)
    if common.json:
        write_json({"peer": peer, "addresses": addresses, "best": shown, "running": running})
        return 0
    show_line(peer)
    for address in addresses:
        show_line(f"  {address}")
    if not running:
        show_line("The node does not run: these are the addresses of its settings.")
    if shown and reach(shown) == 0:
        show_line("Only this machine can reach that. For others: node start --listen /ip4/0.0.0.0/tcp/4710")
    if qr and shown:
        show_qr(shown)
    return 0


def read_passphrase(file: Path | None) -> str | None:
    """The first line of a file, or nothing without a file."""
    return file.read_text(encoding="utf-8").split("\n")[0].rstrip("\r") if file else None


def best(addresses: Sequence[str]) -> str | None:
    """The address that most others can use; the first of those that are alike."""
    return max(addresses, key=reach) if addresses else None


def reach(address: str) -> int:
    """How far away somebody can be and still use this address: 0 the same machine, 1 the same network, 2 anywhere."""
    import ipaddress

    from p2p.addresses import parse

    place = parse(address)
    if not place.kind.startswith("ip"):
        return 2
    host = ipaddress.ip_address(place.host)
    if host.is_loopback or host.is_unspecified:
        return 0
    return 2 if host.is_global else 1
