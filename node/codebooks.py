"""What is kept of codebooks: what each peer stated last, and beside a voice's speech what was made of it.

A statement of a peer lies with the signed offer that it came under, so a file says by itself whose it is and that it
is whole. Written aside, synced and renamed: a power cut leaves the old one or the new one. Everything here can be had
again, so what is damaged is as good as not there. What was made of a voice goes when its
speech goes. Knows nothing of links, or of how codebooks are made.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from ml.errors import ModelDamaged
from ml.voice.codec.codebook import Codebook, genesis_codebook
from ml.voice.codec.together import FORMAT, LARGEST, Statement, from_bytes
from node.config import Config
from node.errors import HomeUnusable, NotFound
from node.files import write_bytes
from node.frames import FrameShelf
from node.store import Store
from p2p.errors import BadMessage
from p2p.offers import check_offer
from p2p.peers import Trust
from p2p.wire import Offer, decode, encode

MOST_PEERS = 64
"""Peers whose statements are kept; the one that has said nothing for longest gives way."""
_PEER = re.compile(r"[1-9A-HJ-NP-Za-km-z]{20,80}")
_SUFFIX = ".statement"
_HEAD = 2
_LONGEST = 100_000

T = TypeVar("T", bound=msgspec.Struct)


class Told(msgspec.Struct, frozen=True):
    """What this node states: of which speech it was made, under which signed offer, and the bytes."""

    state: str
    offer: Offer
    body: bytes


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A voice's own codebook, packed, what it was made of, and its prices on held-out speech: bits per block, the error
    counted in, with everybody's codebook, with the best one without peers, and with this one."""

    inputs: str
    body: bytes
    share: float
    prior_cost: float
    alone_cost: float
    cost: float
    peers: int
    """Peers whose statements are in it."""
    heard: int
    """Peers whose statements were there to choose from."""


class CodebookShelf:
    """A folder of the home, for its owner alone."""

    def __init__(self, folder: Path, known: Codebook) -> None:
        """`known` is the codebook that everybody has. Nothing is read or made yet."""
        self._folder, self._known = folder, known

    def keep(self, peer: str, offer: Offer, body: bytes) -> None:
        """Keep a checked statement in place of the peer's last one. Raises HomeUnusable."""
        head = encode(offer)
        self._write(self._of(peer), len(head).to_bytes(_HEAD, "big") + head + body)
        files = sorted(self._files(), key=lambda path: (path.stat().st_mtime_ns, path.name))
        for path in files[: max(0, len(files) - MOST_PEERS)]:
            path.unlink(missing_ok=True)

    def offer(self, peer: str) -> Offer | None:
        """The offer under which a peer's statement came; None without one."""
        found = self._read(peer)
        return found[0] if found else None

    def statements(self, peers: Collection[str] | None = None) -> dict[str, Statement]:
        """By peer, sorted; of these peers only, when they are given."""
        found = {}
        for path in sorted(self._files()):
            if peers is None or path.stem in peers:
                read = self._read(path.stem)
                if read is not None:
                    found[path.stem] = read[1]
        return found

    def keep_only(self, peers: Collection[str]) -> None:
        """Delete what others than these peers stated. Raises HomeUnusable."""
        try:
            for path in list(self._files()):
                if path.stem not in peers:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def state(self) -> tuple[tuple[str, int], ...]:
        """Whose statements there are and since when, without reading them: another value when one is new or gone."""
        with suppress(OSError):  # a file that goes at this moment: another look will tell
            return tuple(sorted((path.stem, path.stat().st_mtime_ns) for path in self._files()))
        return ()

    def _files(self) -> Iterator[Path]:
        return (path for path in self._folder.glob("*" + _SUFFIX) if _PEER.fullmatch(path.stem))

    def _read(self, peer: str) -> tuple[Offer, Statement] | None:
        path = self._of(peer)
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST + _LONGEST)
        except OSError:
            return None
        size = int.from_bytes(data[:_HEAD], "big")
        head, body = data[_HEAD : _HEAD + size], data[_HEAD + size :]
        try:
            offer = decode(head)
            if (
                isinstance(offer, Offer)
                and offer.layout == FORMAT
                and check_offer(peer, offer)
                and hashlib.sha256(body).digest() == offer.update
            ):
                return offer, from_bytes(body, offer.frames, self._known)
        except (BadMessage, ModelDamaged):
            pass
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return None

    def _write(self, path: Path, data: bytes) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_bytes(path, data, 0o600)
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def _of(self, peer: str) -> Path:
        if not _PEER.fullmatch(peer):
            raise ValueError("a peer is named by its id")
        return self._folder / (peer + _SUFFIX)


def load(frames: FrameShelf, voice: str, kind: type[T]) -> T | None:
    """What was made of a voice's speech last; None when that is nothing, or nothing that can be read."""
    try:
        with _beside(frames, voice, kind).open("rb") as file:
            return msgspec.msgpack.decode(file.read(_LONGEST), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def save(frames: FrameShelf, voice: str, made: Told | Kept) -> None:
    """Keep what was made of a voice's speech, beside it. Raises HomeUnusable."""
    path = _beside(frames, voice, type(made))
    try:
        write_bytes(path, msgspec.msgpack.encode(made), 0o600)
    except OSError as error:
        raise _unusable(path.parent, error) from error


def _beside(frames: FrameShelf, voice: str, kind: type[msgspec.Struct]) -> Path:
    return frames.path(voice) / ("statement" if kind is Told else "codebook")


Heard = tuple[CodebookShelf, Collection[str]]
"""Where statements lie, and the peers whose ones may be used."""


def heard(config: Config) -> Heard:
    """The shelf of a home, and the peers whose statements may be used there: those that its owner trusts, and with an
    open door all that are not blocked. Raises StoreDamaged, StoreFromFuture, HomeUnusable."""
    shelf = CodebookShelf(config.codebooks, genesis_codebook())
    try:
        with Store.open(config.store, read_only=True) as store:
            records = store.peers()
    except NotFound:
        return shelf, frozenset()
    wanted = {Trust.TRUSTED, Trust.WAITING} if config.node.open else {Trust.TRUSTED}
    return shelf, frozenset(record.peer for record in records if record.trust in wanted and record.weight > 0)


def _unusable(folder: Path, error: OSError) -> HomeUnusable:
    return HomeUnusable(f"{folder} cannot be used: {error.strerror}.", "Check its rights and the room on its disk.")
