"""One person's side of a secure sum: message in, message out, and never both secrets of anybody.

The protocol of Bonawitz et al. 2017 ("Practical Secure Aggregation for Privacy-Preserving Machine Learning"): numbers
travel under one mask of one's own and one mask with every other person; the masks of pairs cancel in the sum, and of
who is lost on the way, or stays, the others give back exactly what lets the sum be read. **It excludes the gate on
single updates**: nobody can try one person's model on own speech when nobody has it; only the sum can be tried, as one
model. Free of input, output and clocks. Knows nothing of models: numbers are numbers.

Keys must come over links that prove who speaks (as the node's do): who can put keys of his own in the others' place
reads everything.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ml.errors import BadUpdate
from ml.federated.secure.messages import MOST_PEOPLE, Keys, Masked, Revealed, Roster, Shares, Unmasking
from ml.federated.secure.ring import Ring, mask
from ml.federated.secure.shamir import SHARE_BYTES, split
from ml.weights import Tensor

LEAST_PEOPLE = 3
"""Of two, each would know the other's numbers from the sum."""


@dataclass(frozen=True)
class Group:
    """What everybody in one sum agrees on before it begins. `session` is never used twice."""

    session: bytes
    people: int
    threshold: int
    parameters: int
    ring: Ring

    def __post_init__(self) -> None:
        """Raises ValueError for a group that could be read by fewer than most of it, or whose sum could wrap.

        More than two thirds must answer before a sum can be read: each answers once, so even a third that plays along
        with whoever collects cannot get both secrets of one person.
        """
        if not (LEAST_PEOPLE <= self.people <= MOST_PEOPLE and self.people <= self.ring.people):
            raise ValueError(f"a group has {LEAST_PEOPLE} to {MOST_PEOPLE} people, not {self.people}")
        if not usual_threshold(self.people) <= self.threshold <= self.people:
            raise ValueError(f"of {self.people} people {usual_threshold(self.people)} or more must stay")
        if len(self.session) != 32 or self.parameters < 1:
            raise ValueError("a group has a session of 32 bytes, and numbers to add up")


def usual_threshold(people: int) -> int:
    """More than two thirds."""
    return 2 * people // 3 + 1


class Step(StrEnum):
    """Where a person stands."""

    NEW = "new"
    KEYS_SAID = "keys said"
    SHARES_SAID = "shares said"
    NUMBERS_SAID = "numbers said"
    DONE = "done"


class Participant:
    """One person in one sum. Each method is called once, in the order written here; each gives the next message.

    **No single model can be gated in such a sum**: what the product's merge rule tries on the owner's speech before
    it counts is here the whole sum or nothing. What comes in was written by others; what cannot be is BadUpdate, and
    the person then takes no further part.
    """

    def __init__(self, group: Group, place: int, source: Callable[[int], bytes] = os.urandom) -> None:
        """`place` is one's number in the group, from 1; `source` gives bytes that nobody can foresee."""
        if not 1 <= place <= group.people:
            raise ValueError(f"place {place} is not in a group of {group.people}")
        self.group, self.place, self.step = group, place, Step.NEW
        self._source = source
        self._sealing = X25519PrivateKey.from_private_bytes(source(32))
        self._masking = X25519PrivateKey.from_private_bytes(source(32))
        self._own = source(32)
        self._keys: dict[int, Keys] = {}
        self._held: dict[int, bytes] = {}
        """Both shares of each other person's secrets: of the own mask's seed, then of the mask key."""

    def keys(self) -> Keys:
        """1. Public keys."""
        self._advance(Step.NEW, Step.KEYS_SAID)
        return Keys(
            self.place,
            self._sealing.public_key().public_bytes_raw(),
            self._masking.public_key().public_bytes_raw(),
            hashlib.sha256(self._own).digest(),
        )

    def shares(self, roster: Roster) -> Shares:
        """2. Shares of both secrets for everybody on the roster (`threshold` of them or more, oneself among them)."""
        self._advance(Step.KEYS_SAID, Step.SHARES_SAID)
        self._keys = {one.place: one for one in roster.keys}
        if len(self._keys) != len(roster.keys) or not self.group.threshold <= len(self._keys) <= self.group.people:
            raise self._broken("the roster is too short, too long or names somebody twice")
        if max(self._keys) > self.group.people:
            raise self._broken("the roster names somebody who is not in the group")
        mine = self._keys.get(self.place)
        if mine is None or mine.masking != self._masking.public_key().public_bytes_raw():
            raise self._broken("the roster does not have this person's own key")
        if len({key for one in roster.keys for key in (one.sealing, one.masking)}) < 2 * len(roster.keys):
            raise self._broken("two keys on the roster are the same")
        places = sorted(self._keys)
        own = split(self._own, self.group.threshold, places, self._below)
        key = split(self._masking.private_bytes_raw(), self.group.threshold, places, self._below)
        self._held[self.place] = own[self.place] + key[self.place]
        sealed = {
            other: self._cipher(other).encrypt(self._nonce(self.place), own[other] + key[other], None)
            for other in places
            if other != self.place
        }
        return Shares(self.place, sealed)

    def masked(self, received: Mapping[int, bytes], numbers: Tensor) -> Masked:
        """3. One's numbers `[parameters]` under all masks. `received` are the sealed shares for this person, by who
        sealed them: those whose shares came, at least `threshold` with this person itself."""
        self._advance(Step.SHARES_SAID, Step.NUMBERS_SAID)
        if numbers.shape != (self.group.parameters,):
            raise ValueError(f"{numbers.shape} are not {self.group.parameters} numbers")
        for other, sealed in received.items():
            if other == self.place or other not in self._keys:
                raise self._broken("shares came of somebody who is not on the roster")
            try:
                self._held[other] = self._cipher(other).decrypt(self._nonce(other), sealed, None)
            except InvalidTag as error:
                raise self._broken(f"the shares of person {other} were not sealed for this one") from error
        if len(self._held) < self.group.threshold:
            raise self._broken("too few are left before the sum began")
        total = self.group.ring.whole(numbers) + mask(self._own, self.group.parameters)
        for other in received:
            signed = mask(
                pair_seed(self._masking, self._keys[other].masking, self.group.session), self.group.parameters
            )
            total = total + signed if self.place < other else total - signed
        return Masked(self.place, total.astype("<u4").tobytes())

    def revealed(self, asked: Unmasking) -> Revealed:
        """4. What lets the sum be read: of those present a share of the own mask, of those lost a share of the key.

        Raises BadUpdate when both would be of one person, when fewer than `threshold` are present, or when not
        everybody whose shares this person holds is named: nothing is given then, now or later.
        """
        self._advance(Step.NUMBERS_SAID, Step.DONE)
        present, lost = set(asked.present), set(asked.lost)
        if len(present) + len(lost) != len(asked.present) + len(asked.lost) or present & lost:
            raise self._broken("somebody is named twice: both secrets of one person are never given")
        if len(present) < self.group.threshold:
            raise self._broken(f"only {len(present)} are left, and {self.group.threshold} must be")
        if self.place not in present or present | lost != set(self._held):
            raise self._broken("those present and lost are not those whose shares are here")
        held, self._held = self._held, {}
        return Revealed(
            self.place,
            {other: held[other][:SHARE_BYTES] for other in sorted(present)},
            {other: held[other][SHARE_BYTES:] for other in sorted(lost)},
        )

    def _advance(self, now: Step, after: Step) -> None:
        if self.step is not now:
            raise BadUpdate(f"This belongs to the step '{now}' of a secure sum, not to '{self.step}'.", "Begin anew.")
        self.step = after

    def _broken(self, why: str) -> BadUpdate:
        self.step, self._held = Step.DONE, {}
        return BadUpdate(f"This secure sum cannot go on: {why}.", "Begin a new one, perhaps without who broke it.")

    def _cipher(self, other: int) -> ChaCha20Poly1305:
        shared = _agree(self._sealing, self._keys[other].sealing)
        return ChaCha20Poly1305(_derive(shared, self.group.session, b"seal"))

    def _nonce(self, sender: int) -> bytes:
        """One message each way under one key of the pair."""
        return sender.to_bytes(12, "big")

    def _below(self, limit: int) -> int:
        length = (limit.bit_length() + 7) // 8
        spare = 8 * length - limit.bit_length()
        while True:
            number = int.from_bytes(self._source(length), "big") >> spare
            if number < limit:
                return number


def pair_seed(mine: X25519PrivateKey, theirs: bytes, session: bytes) -> bytes:
    """The seed of the mask that two people share. Raises BadUpdate for a public key that is none."""
    return _derive(_agree(mine, theirs), session, b"mask")


def _agree(mine: X25519PrivateKey, theirs: bytes) -> bytes:
    try:
        return mine.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError as error:  # a point of small order
        raise BadUpdate("A public key of a secure sum is none.", "Begin a new sum without its owner.") from error


def _derive(shared: bytes, session: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, session, b"babelmesh secure sum " + purpose).derive(shared)


def as_numbers(message: Masked, count: int) -> np.ndarray:
    """The numbers of a message. Raises BadUpdate when there are not `count`."""
    if len(message.numbers) != 4 * count:
        raise BadUpdate(f"Person {message.place} sent not {count} numbers.", "Leave it out.")
    return np.frombuffer(message.numbers, "<u4").astype(np.uint32, copy=False)
