"""How two people make their nodes trust each other: one reads out a short code, the other types it in.

The code is the password of SPAKE2 (M. Abdalla and D. Pointcheval, 2005; over Ed25519, as the package `spake2` 0.9
does it), bound to both peer ids, which the link has proved: whoever listens, or stands in the middle, learns nothing
to guess from. A code allows one try. It has 7 random digits, 23 bits, so that try wins once in ten million; the eighth
digit catches a slip of the finger before it costs the try. Digits, because they can be read out in any language.

Free of I/O; the clock is given. Knows nothing of links or of the peer book. docs/protocol.md, Pairing, is normative.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import struct
from collections.abc import Callable, Sequence
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from spake2 import SPAKE2_A, SPAKE2_B, SPAKEError
from spake2.ed25519_basic import NotOnCurve

from p2p.errors import PairingFailed
from p2p.wire import PairAnswer, Paired, PairProof, PairStart, Refused

LIFETIME = 600.0
"""Seconds that a code is good for: long enough for a telephone call."""
DOMAIN = b"babelmesh/pair/1\0"
PROOF_WAIT = 20.0
"""Seconds from a try to its proof. An asker whose code is wrong sends none, so silence means a wrong code."""
SCHEME = "babelmesh:pair?"
LONGEST_LINK = 2048
MOST_ADDRESSES = 8

_QUASIGROUP = (
    "0317598642",
    "7092154863",
    "4206871359",
    "1750983426",
    "6123045978",
    "3674209581",
    "5869720134",
    "8945362017",
    "9438617205",
    "2581436790",
)
"""Damm's totally anti-symmetric quasigroup of order 10 (H. M. Damm, 2004): its check digit catches every single wrong
digit and every swap of neighbours."""


class Stage(StrEnum):
    """How far a code that is shown has come."""

    NONE = "none"
    """No code is shown."""
    WAITING = "waiting"
    PAIRED = "paired"
    SPENT = "spent"
    """It was tried, and the try was wrong or was broken off."""
    EXPIRED = "expired"


def new_code() -> str:
    """A fresh code: 7 random digits and their check digit."""
    digits = f"{secrets.randbelow(10**7):07d}"
    return digits + str(_damm(digits))


def read_code(text: str) -> str:
    """The 8 digits of a code as a person may type it, with spaces or hyphens. Raises PairingFailed for a slip."""
    digits = "".join(character for character in text[:64] if character not in " -\t\n.")
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        raise PairingFailed("A pairing code has 8 digits.", "Read it again: it looks like 1234 5678.")
    if _damm(digits) != 0:
        raise PairingFailed(
            "That is not the code that was shown: a digit is wrong, or two are swapped.", "Type it again."
        )
    return digits


def link(code: str, addresses: Sequence[str]) -> str:
    """What the QR code holds: `babelmesh:pair?code=...&at=...`. Whoever sees it can pair, as with the code itself."""
    return SCHEME + urlencode([("code", code), *(("at", address) for address in addresses[:MOST_ADDRESSES])])


def read_link(text: str) -> tuple[str, tuple[str, ...]]:
    """Code and addresses of a link, or the code alone of a code. Raises PairingFailed."""
    if not text.startswith(SCHEME):
        return read_code(text), ()
    try:
        pairs = parse_qsl(text[len(SCHEME) : LONGEST_LINK], strict_parsing=True, max_num_fields=1 + MOST_ADDRESSES)
    except ValueError as error:
        raise PairingFailed("That pairing link cannot be read.", "Scan it again, or type the code.") from error
    codes = [value for key, value in pairs if key == "code"]
    if len(codes) != 1 or len(text) > LONGEST_LINK:
        raise PairingFailed("That pairing link holds no code.", "Scan it again, or type the code.")
    return read_code(codes[0]), tuple(value for key, value in pairs if key == "at")


class Invitation:
    """The side that shows the code and answers: one code, one try, a limited time.

    The answer to PairStart proves to the asker that this side has the key, so whoever asks learns whether its code
    was right. Every PairStart therefore is the try, also when no proof follows: a second one gets `no-code`. That
    lets anybody who reaches this node use up a code, and cost its owner a new one; the other way round it would let
    them guess on.
    """

    def __init__(self, me: str, name: str, clock: Callable[[], float], code: str = "") -> None:
        """`me` is this node's peer id; `clock` gives seconds that only go forward. Makes a code where none is given."""
        self.code = code or new_code()
        self._me = me
        self._name = name
        self._clock = clock
        self._expires = clock() + LIFETIME
        self._asker: str | None = None
        self._prove_by = math.inf
        self._start: PairStart | None = None
        self._answer: PairAnswer | None = None
        self._expected = b""
        self._over = False
        self.paired: tuple[str, str] | None = None
        """Peer id and name of whoever proved the code."""

    @property
    def seconds_left(self) -> float:
        """Until the code can no longer be used; 0 once it has been."""
        return 0.0 if self._over or self._asker else max(0.0, self._expires - self._clock())

    @property
    def stage(self) -> Stage:
        """What has become of the code."""
        if self.paired is not None:
            return Stage.PAIRED
        if self._over or self._clock() >= self._prove_by:
            return Stage.SPENT
        return Stage.EXPIRED if self._clock() >= self._expires else Stage.WAITING

    def answer(self, peer: str, message: PairStart | PairProof) -> PairAnswer | Paired | Refused:
        """What to answer to a peer's half or proof. A repeated message of the same peer gets the same answer."""
        if self._clock() >= self._expires or (self._asker is not None and self._asker != peer):
            return _NO_CODE
        return self._begin(peer, message) if isinstance(message, PairStart) else self._finish(peer, message)

    def _begin(self, peer: str, start: PairStart) -> PairAnswer | Refused:
        if self._asker is not None:
            return self._answer if self._answer is not None and start == self._start else _NO_CODE
        self._asker, self._start, self._prove_by = peer, start, self._clock() + PROOF_WAIT
        side = SPAKE2_B(_password(self.code), idA=peer.encode(), idB=self._me.encode())
        half = side.start()
        key = _finish(side, start.spake)
        if key is None:
            self._over = True
            return Refused(code="bad-message", sentence="That is no half of SPAKE2.")
        mine, self._expected = _proofs(key, (peer, start.name, start.spake), (self._me, self._name, half))
        self._answer = PairAnswer(spake=half, proof=mine, name=self._name)
        return self._answer

    def _finish(self, peer: str, proof: PairProof) -> Paired | Refused:
        if self._answer is None or self._start is None:
            return _NO_CODE
        if self.paired is None:
            if self.stage is Stage.SPENT:
                return _NO_CODE
            self._over = True
            if not hmac.compare_digest(proof.proof, self._expected):
                return Refused(code="wrong-code", sentence="The pairing code is not the same on both sides.")
            self.paired = (peer, self._start.name)
        return Paired()


class Joining:
    """The side that was told the code and asks: good for one exchange."""

    def __init__(self, code: str, me: str, name: str, peer: str) -> None:
        """`me` and `peer` are the peer ids of both ends, as the link has proved them."""
        self._side = SPAKE2_A(_password(read_code(code)), idA=me.encode(), idB=peer.encode())
        self._me, self._peer = me, peer
        self.start = PairStart(spake=self._side.start(), name=name)
        """The first request."""

    def prove(self, answer: PairAnswer) -> PairProof:
        """The second request. Raises PairingFailed when the other side does not have the same code."""
        key = _finish(self._side, answer.spake)
        if key is None:
            raise PairingFailed("The other node's half of the pairing is no such thing.", "Ask for a new code.")
        theirs, mine = _proofs(
            key, (self._me, self.start.name, self.start.spake), (self._peer, answer.name, answer.spake)
        )
        if not hmac.compare_digest(answer.proof, theirs):
            raise PairingFailed(
                "The code is not the one that the other node shows, or somebody is in between.",
                "The code is used up now: ask for a new one.",
            )
        return PairProof(proof=mine)


_NO_CODE = Refused(code="no-code", sentence="No pairing is open here.")


def _password(code: str) -> bytes:
    return DOMAIN + code.encode()


def _finish(side: SPAKE2_A | SPAKE2_B, half: bytes) -> bytes | None:
    """The shared key, or None when the other half is no element of the group, or is of the wrong side."""
    try:
        return bytes(side.finish(half))
    except (SPAKEError, NotOnCurve, ValueError):
        return None


def _proofs(key: bytes, asker: tuple[str, str, bytes], answerer: tuple[str, str, bytes]) -> tuple[bytes, bytes]:
    """The answerer's and the asker's proof: HMAC-SHA256 over all that both said, under two keys by HKDF-SHA256."""
    transcript = DOMAIN + b"".join(
        struct.pack(">H", len(part)) + part
        for side in (asker, answerer)
        for part in (side[0].encode(), side[1].encode(), side[2])
    )
    keys = HKDF(algorithm=SHA256(), length=64, salt=None, info=DOMAIN + b"proofs").derive(key)
    return (
        hmac.digest(keys[:32], transcript, hashlib.sha256),
        hmac.digest(keys[32:], transcript, hashlib.sha256),
    )


def _damm(digits: str) -> int:
    """0 for digits that end in their check digit, else the check digit to add."""
    state = 0
    for digit in digits:
        state = int(_QUASIGROUP[state][int(digit)])
    return state
