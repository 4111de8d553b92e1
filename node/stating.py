"""What this node states of its owner's voice to peers, and what it takes of theirs, for the voices' codebooks.

Statements go the way of updates, under a layout of their own: offered, wanted, sent, checked, done. `Hearing` is the
receiving side, what an intake asks; `Stating` runs beside the mesh and tells whoever is connected and trusted, once,
and again when there is more speech. Knows nothing of rounds and models, or of what the statements are used for.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from ml.errors import MlError, ModelDamaged
from ml.voice.codec.codebook import Codebook
from ml.voice.codec.moments import bands_of
from ml.voice.codec.together import FORMAT, from_bytes, stated, to_bytes
from node.codebooks import CodebookShelf, Told, load, save
from node.codec import LEAST_SECONDS, Own, own_codebook
from node.config import Config
from node.errors import BadRequest, NodeError
from node.frames import FrameShelf
from p2p.errors import BadMessage, RefusedByPeer, TimedOut, Unreachable
from p2p.gate import Gate
from p2p.identity import Identity
from p2p.offers import UNSIGNED, check_offer, sign_offer
from p2p.transfer import push
from p2p.wire import Offer, Refused

log = structlog.get_logger("codebook")

ENCODING = "tables"
"""How a statement's numbers are written; there is one way."""
LOOK = 5.0
"""Seconds between two looks at who is there and what has changed."""
AGAIN = 60.0
"""Seconds after which a peer that could not be told is tried again."""
WAIT = 20.0
"""Seconds for one request; a statement is two pieces."""
LATER = frozenset({"budget", "busy", "not-trusted", "blocked", "bad-hash", "not-offered"})
"""Refusals after which asking again may make sense; after any other this peer is told again only when it comes back."""


def allowed(config: Config) -> bool:
    """Whether the owner lets statements out. Who shares only a part of the model, or under noise, asked for a
    protection that a statement of the voice would undo: then none leaves, whatever [train] says."""
    return config.train.codebook and config.privacy.share == "all" and not config.privacy.epsilon


class Hearing:
    """What is known of peers' statements: the ledger of an intake."""

    def __init__(self, shelf: CodebookShelf, known: Codebook) -> None:
        """`known` is the codebook that everybody has."""
        self._shelf, self._known = shelf, known

    def has(self, peer: str, update: str) -> bool:
        """Whether this is the statement that a peer made last."""
        offer = self._shelf.offer(peer)
        return offer is not None and offer.update.hex() == update

    def last_sequence(self, peer: str) -> int:
        """Of the statement that a peer made last; -1 without one."""
        offer = self._shelf.offer(peer)
        return -1 if offer is None else offer.sequence

    def objection(self, peer: str, offer: Offer) -> Refused | None:
        """Why a statement is not wanted, before any of it is sent."""
        if offer.base.hex() != self._known.digest:
            return Refused(code="unknown-base", sentence="Codebooks here begin from another one.")
        if offer.frames < 1:
            return Refused(code="bad-update", sentence="A statement that no speech went into has no weight here.")
        return None

    async def complete(self, peer: str, offer: Offer, body: bytes) -> Refused | None:
        """Check a statement and keep it in place of the peer's last one."""
        try:
            statement = from_bytes(body, offer.frames, self._known)
        except ModelDamaged as error:
            log.warning("statement refused", peer=peer, why=error.sentence)
            return Refused(code="bad-update", sentence=error.sentence[:200])
        if statement.codebook.digest != offer.result.hex():
            return Refused(code="bad-update", sentence="The statement does not give the codebook that it announced.")
        self._shelf.keep(peer, offer, body)
        log.info("statement received", peer=peer, bytes=offer.size, frames=offer.frames)
        return None


@dataclass(frozen=True)
class Speaker:
    """Who states. `sequence` gives the next number of an offer, `work` runs what is heavy without holding up the links
    (`Learner.work`), `note` keeps a line on what the codebook saves; `voice` names the owner's when there are several.
    """

    identity: Identity
    frames: FrameShelf
    sequence: Callable[[], int]
    work: Callable[..., Awaitable[Any]]
    note: Callable[[str], None]
    voice: str | None = None
    allowed: bool = True
    """Whether the owner lets statements out."""


def _is_sound(told: Told, own: str) -> bool:
    """Whether what was read is what node `own` once signed, bytes and all; a disk may give back something else."""
    body, offer = told.body, told.offer
    return len(body) == offer.size and hashlib.sha256(body).digest() == offer.update and check_offer(own, offer)


def in_words(own: Own) -> str:
    """What a codebook saves, with peers and without."""
    if not own.heard:
        owed = "no peer has stated anything yet"
    elif not own.peers:
        owed = f"what {own.heard} stated does not help"
    else:
        owed = f"{own.saved - own.saved_alone:.1f} points of it by what {own.peers} of {own.heard} peers stated"
    price = "bits and error weighed in one price"
    return f"with your voice's own, its held-out speech is {own.saved:.1f} % cheaper ({price}); {owed}"


class Stating:
    """A service beside the mesh."""

    def __init__(self, speaker: Speaker, shelf: CodebookShelf, known: Codebook, gate: Gate) -> None:
        """Nothing is read or sent before `run`."""
        self._speaker, self._shelf, self._known, self._gate = speaker, shelf, known, gate
        self._trusts: Callable[[str], bool] = lambda peer: False
        self._told: dict[str, bytes] = {}
        self._again: dict[str, float] = {}
        self._said = ""
        self._seen: object = None

    def among(self, trusts: Callable[[str], bool]) -> None:
        """Who may be told and is listened to: `Mesh.trust` knows."""
        self._trusts = trusts

    async def run(self, stop: asyncio.Event) -> None:
        """Look and tell until the task is cancelled. What goes wrong is said once, and ends nothing."""
        while not stop.is_set():
            await asyncio.sleep(LOOK)
            try:
                await self.look()
            except (NodeError, MlError, OSError) as error:
                if str(error) != self._said:
                    log.warning("codebooks wait", why=str(error))
                self._said = str(error)

    async def look(self) -> None:
        """Drop what is not wanted any more, tell whoever has not heard, and make the own codebook anew if it is due."""
        state = self._shelf.state()
        peers = {peer for peer, _ in state if self._trusts(peer)}
        if len(peers) < len(state):
            self._shelf.keep_only(peers)
        here = [peer for peer in self._gate.connected() if self._trusts(peer)]
        self._told = {peer: update for peer, update in self._told.items() if peer in here}
        told = await self._speaker.work(self.current) if here and self._speaker.allowed else None
        now = asyncio.get_running_loop().time()
        for peer in here:
            if told and self._told.get(peer) != told.offer.update and self._again.get(peer, now) <= now:
                await self._tell(peer, told)
        await self._renew()

    def current(self) -> Told | None:
        """What this node states now, made anew when there is other speech; None without enough. Raises HomeUnusable."""
        voice, frames = self._voice(), self._speaker.frames
        if voice is None or frames.seconds(voice) < LEAST_SECONDS:
            return None
        made_of = (self._speaker.identity.peer_id, self._known.digest, frames.state(voice))
        state = hashlib.sha256(" ".join(made_of).encode()).hexdigest()
        told = load(frames, voice, Told)
        if told is not None and told.state == state and _is_sound(told, self._speaker.identity.peer_id):
            return told
        statement = stated(self._known, bands_of(frames.utterances(voice)))
        body = to_bytes(statement, self._known)
        offer = Offer(
            update=hashlib.sha256(body).digest(),
            size=len(body),
            layout=FORMAT,
            base=bytes.fromhex(self._known.digest),
            result=bytes.fromhex(statement.codebook.digest),
            encoding=ENCODING,
            sequence=self._speaker.sequence(),
            frames=statement.frames,
            signature=UNSIGNED,
        )
        told = Told(state, sign_offer(self._speaker.identity, offer), body)
        save(frames, voice, told)
        return told

    async def _tell(self, peer: str, told: Told) -> None:
        outcome = "done"
        try:
            await push(self._gate.ask, peer, told.offer, told.body, WAIT)
        except RefusedByPeer as error:
            outcome = error.code
        except (BadMessage, TimedOut, Unreachable) as error:
            outcome = type(error).__name__
        if outcome in {"BadMessage", "TimedOut", "Unreachable"} or outcome in LATER:
            self._again[peer] = asyncio.get_running_loop().time() + AGAIN
        else:
            self._told[peer] = told.offer.update
            self._again.pop(peer, None)
        log.info("statement sent", peer=peer, bytes=told.offer.size, outcome=outcome)

    async def _renew(self) -> None:
        """Make the owner's codebook when what it is made of has changed, and say what it saves."""
        voice, frames = self._voice(), self._speaker.frames
        if voice is None:
            if self._seen is not None:
                self._speaker.note("")
            self._seen = None
            return
        stated_by = tuple((peer, since) for peer, since in self._shelf.state() if self._trusts(peer))
        seen = (voice, frames.state(voice), stated_by)
        if seen == self._seen:
            return
        try:
            made = await self._speaker.work(own_codebook, voice, frames, (self._shelf, dict(stated_by)))
        except BadRequest:  # too little speech yet
            self._speaker.note("")
            self._seen = seen
            return
        self._speaker.note(in_words(made))
        self._seen = seen
        log.info("codebook made", voice=voice, saved=made.saved, alone=made.saved_alone, peers=made.peers)

    def _voice(self) -> str | None:
        """The owner's voice: the one that is named, or the only one that has speech."""
        voices = self._speaker.frames.voices()
        named = self._speaker.voice or (voices[0] if len(voices) == 1 else None)
        return named if named in voices else None
