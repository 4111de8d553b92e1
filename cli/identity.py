"""`node id`: who this node is, and where it is reached.

Asks the running node, or looks into the home; makes the key when there is none. Knows nothing of how ids are made.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.client import Client
from cli.common import Common
from cli.errors import BadUsage
from cli.qr import show_qr
from cli.render import show_line, write_json
from node.errors import NotRunning

OPTION = "--passphrase-file"
ONLY_HERE = (
    "Only this machine can reach these addresses; for another machine start the node with "
    "--listen /ip4/0.0.0.0/tcp/4710"
)


def id_(
    *,
    qr: bool = True,
    passphrase_file: Path | None = None,
    protect: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    common: Common | None = None,
) -> int:
    """Show this node's id and addresses, and the best address as a QR code.

    Parameters
    ----------
    qr
        Draw the code when this is a terminal.
    passphrase_file
        File with the passphrase of the key, when it has one and the node does not run.
    protect
        Lock the key by the passphrase in that file: from then on the node asks for it at every start.
    """
    common = common or Common()
    from node.config import load

    config = load(common.home, os.environ)
    if protect:
        return _protect(config.identity, passphrase_file, common)
    try:
        with Client.of(config.control) as client:
            told = client.stats()
        peer, addresses, running = str(told["peer_id"]), list(told["addresses"]), True
    except NotRunning:
        from p2p.identity import Identity

        passphrase = read_passphrase(passphrase_file)
        peer = Identity.load_or_create(config.identity, passphrase).peer_id
        note_unprotected(config.identity, passphrase)
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
        show_line(ONLY_HERE)
    if qr and shown:
        show_qr(shown)
    return 0


def read_passphrase(file: Path | None) -> str | None:
    """The first line of a file, or nothing without a file. Raises BadUsage."""
    if file is None:
        return None
    try:
        phrase = file.read_text(encoding="utf-8").split("\n")[0].rstrip("\r")
    except FileNotFoundError:
        raise BadUsage(f"There is no file {file} with a passphrase.", f"{OPTION} names a file that is there.") from None
    except UnicodeDecodeError:
        raise BadUsage(f"The passphrase in {file} is not UTF-8 text.", f"{OPTION} names a text file.") from None
    except OSError as error:
        raise BadUsage(f"The passphrase in {file} cannot be read: {error.strerror}.", f"Look at {OPTION}.") from error
    if not phrase:
        raise BadUsage(
            f"The first line of {file} is empty: that is no passphrase.", f"Write it there, or leave out {OPTION}."
        )
    return phrase


def note_unprotected(path: Path, passphrase: str | None) -> None:
    """Say on standard error that a passphrase was given for a key that has none."""
    from p2p.identity import is_locked

    if passphrase and path.exists() and not is_locked(path):
        show_line(
            f"Note: the key {path} is not protected by a passphrase. To protect it by this one: "
            f"node id --protect {OPTION} FILE",
            error=True,
        )


def _protect(path: Path, file: Path | None, common: Common) -> int:
    from p2p.identity import Identity, is_locked

    passphrase = read_passphrase(file)
    if passphrase is None:
        raise BadUsage("Which passphrase is to protect the key?", f"node id --protect {OPTION} FILE: its first line.")
    if not path.exists():
        peer, what = Identity.create(path, passphrase).peer_id, "A key was made, protected"
    elif is_locked(path):
        peer, what = Identity.load(path, passphrase).peer_id, "The key is protected already,"
    else:
        peer, what = Identity.protect(path, passphrase).peer_id, "The key is protected from now on"
    if common.json:
        write_json({"peer": peer, "protected": True, "file": str(path)})
    else:
        show_line(f"{what} by the passphrase in {file}: {path}.")
        show_line("Keep it well: without it you cannot be this node any more.")
        show_line(f"Start the node with: node start {OPTION} {file}")
    return 0


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
