"""Who this node is: one Ed25519 key in one file, and the peer id that the world derives from its public half.

A peer id is the base58 text of a multihash. For an Ed25519 key that is the identity hash (0x00), the length, and the
protobuf of the public key itself, so that a signature can be checked with nothing but the id at hand (libp2p's peer
id specification). The key file is PKCS8 in PEM, readable by its owner alone, with a passphrase if the owner wants one.
This module knows nothing of links, and libp2p is not needed to read a key.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import base58
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from p2p.errors import BadAddress, BadIdentity

PREFIX = bytes((0x00, 0x24, 0x08, 0x01, 0x12, 0x20))
"""Identity multihash of 36 bytes, then the protobuf `PublicKey{Type: Ed25519 (1), Data: 32 bytes}`."""

KEY_SIZE = 32
LONGEST_FILE = 16 * 1024
LOCKED = b"BEGIN ENCRYPTED PRIVATE KEY"
PEER_ID = re.compile(r"[1-9A-HJ-NP-Za-km-z]{40,60}")
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Identity:
    """The key that this node proves itself with. Its text says the peer id and never the key."""

    key: Ed25519PrivateKey

    @classmethod
    def new(cls) -> Self:
        """A fresh key, on no disk."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path, passphrase: str | None = None) -> Self:
        """The key in the file at `path`.

        Raises BadIdentity for a file that is missing, damaged, of another kind, locked by another passphrase, or
        readable by others: whoever may have read a key may be this node, so that is for the owner to decide.
        """
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(LONGEST_FILE + 1)
        except FileNotFoundError:
            raise BadIdentity(
                f"There is no key at {path}.", "Start the node once: it makes one; or restore your copy of the file."
            ) from None
        except OSError as error:
            raise BadIdentity(
                f"The key {path} cannot be read: {error.strerror}.", f"Make it yours alone: chmod 600 '{path}'."
            ) from error
        if os.name == "posix" and mode & OTHERS:
            raise BadIdentity(
                f"The key {path} can be read by other users of this machine.",
                f"If nobody else has used it: chmod 600 '{path}'. If in doubt: move it away, and tell your peers"
                " the new id.",
            )
        return cls(_unlock(data, passphrase, path))

    @classmethod
    def create(cls, path: Path, passphrase: str | None = None) -> Self:
        """A fresh key, safely in a new file at `path` before this returns.

        The file has mode 0600 from its first byte on and appears whole or not at all. Raises BadIdentity when there
        is a file already, or when it cannot be written.
        """
        identity = cls.new()
        try:
            if not path.parent.exists():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_new(path, identity.pem(passphrase))
        except FileExistsError:
            raise BadIdentity(
                f"There is a key at {path} already.", "Use it, or move it away: without it this node has another id."
            ) from None
        except OSError as error:
            raise BadIdentity(
                f"A key cannot be written to {path}: {error.strerror}.", "Name a folder that you may write to."
            ) from error
        return identity

    @classmethod
    def load_or_create(cls, path: Path, passphrase: str | None = None) -> Self:
        """The key in the file at `path`, made first when there is none. Raises BadIdentity."""
        if not path.exists():
            try:
                return cls.create(path, passphrase)
            except BadIdentity:
                if not path.exists():
                    raise
        return cls.load(path, passphrase)

    @classmethod
    def protect(cls, path: Path, passphrase: str) -> Self:
        """Lock the key in the file at `path`, which has no passphrase yet, by this one; its id stays.

        The file is replaced in one step: after a power cut it is the old one or the new one, whole. Raises BadIdentity
        as `load` does, and when the file cannot be written.
        """
        if not passphrase:
            raise BadIdentity("An empty passphrase protects nothing.", "Choose one of several words.")
        identity = cls.load(path)
        scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            _write_new(scratch, identity.pem(passphrase))
            os.replace(scratch, path)
            _sync(path.parent)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            raise BadIdentity(
                f"The key {path} cannot be written anew: {error.strerror}.", "It is as it was; look at its folder."
            ) from error
        return identity

    @cached_property
    def peer_id(self) -> str:
        """This node's id, base58: `12D3KooW...`."""
        return base58.b58encode(PREFIX + self.key.public_key().public_bytes_raw()).decode()

    @property
    def private_bytes(self) -> bytes:
        """The 32 secret bytes, for the host that proves the key on a link."""
        return self.key.private_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        """The Ed25519 signature of `data`, 64 bytes (RFC 8032)."""
        return self.key.sign(data)

    def pem(self, passphrase: str | None = None) -> bytes:
        """The key as PKCS8 in PEM, locked by the passphrase if there is one."""
        lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase:
            lock = serialization.BestAvailableEncryption(passphrase.encode())
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)

    def __repr__(self) -> str:
        return f"Identity({self.peer_id})"


def is_locked(path: Path) -> bool:
    """Whether the file at `path` is there and says that its key is locked by a passphrase."""
    try:
        with path.open("rb") as file:
            return LOCKED in file.read(LONGEST_FILE)
    except OSError:
        return False


def _unlock(data: bytes, passphrase: str | None, path: Path) -> Ed25519PrivateKey:
    """The key in the text of a file. Raises BadIdentity."""
    locked = LOCKED in data
    if locked and not passphrase:
        raise BadIdentity(
            f"The key {path} is locked by a passphrase.",
            "Give the file whose first line it is: --passphrase-file FILE.",
        )
    try:
        key = serialization.load_pem_private_key(data, passphrase.encode() if locked and passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if locked:
            raise BadIdentity(
                f"The key {path} does not open with this passphrase, or the file is damaged.",
                "Try the passphrase again; if it is right, restore your copy of the file.",
            ) from error
        raise BadIdentity(
            f"The key {path} is damaged: it is not a PKCS8 key in PEM.",
            "Restore your copy of the file. Without one, move it away: the node then makes a new key and has a new id.",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadIdentity(f"The key {path} is not an Ed25519 key.", "Move it away; the node makes one of its own.")
    return key


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that must not be there yet: whole, durable, and for the owner alone from the first byte on."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(scratch, path)  # unlike a rename, this never takes the place of a key that another process just made
    finally:
        os.unlink(scratch)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _public_key(peer_id: str) -> bytes | None:
    """The 32 bytes of the public key within a peer id, or None for anything that is not an Ed25519 peer id."""
    if not isinstance(peer_id, str) or not PEER_ID.fullmatch(peer_id):
        return None
    raw = base58.b58decode(peer_id)
    if len(raw) != len(PREFIX) + KEY_SIZE or not raw.startswith(PREFIX):
        return None
    return raw[len(PREFIX) :]


def is_peer_id(text: str) -> bool:
    """Whether `text` is the id of a peer with an Ed25519 key, the only kind that Babelmesh speaks with."""
    return _public_key(text) is not None


def verify(peer_id: str, signature: bytes, data: bytes) -> bool:
    """Whether `signature` over `data` was made with the key that `peer_id` names. False for anything odd."""
    raw = _public_key(peer_id)
    if raw is None or not isinstance(signature, bytes) or not isinstance(data, bytes):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def peer_of(multiaddr: str) -> str | None:
    """The peer id at the end of a multiaddr (`/p2p/ID`), or None when it names none that is right."""
    _, mark, last = multiaddr.rpartition("/p2p/")
    return last if mark and is_peer_id(last) else None


def with_peer(multiaddr: str, peer_id: str) -> str:
    """The multiaddr with `/p2p/ID` at its end. Raises BadAddress when it names another peer already."""
    if not is_peer_id(peer_id):
        raise BadAddress(f"{peer_id[:80]!r} is not a peer id.", "Ids begin with 12D3KooW: copy it again.")
    if "/p2p/" not in multiaddr:
        return f"{multiaddr.rstrip('/')}/p2p/{peer_id}"
    if peer_of(multiaddr) != peer_id:
        raise BadAddress(f"{multiaddr[:200]!r} names another peer than {peer_id}.", "Copy the address again.")
    return multiaddr
