"""The side that collects a secure sum: passes on what is sealed, adds up what is masked, and reads the sum alone.

Whoever collects (one of the group, or somebody else) sees keys, sealed shares and masked numbers. **It cannot gate a
single person's model**, because it never has one; the sum is what it has, to be judged as one model. Free of input,
output and clocks: the caller decides how long to wait for whom. Source: Bonawitz et al. 2017.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ml.errors import BadUpdate
from ml.federated.secure.messages import Keys, Masked, Revealed, Roster, Shares, Unmasking
from ml.federated.secure.participant import Group, as_numbers, pair_seed
from ml.federated.secure.ring import Ringed, mask
from ml.federated.secure.shamir import join, weights


class Collector:
    """One sum, from the keys to the result. Methods are called in the order written here; raises BadUpdate when fewer
    than the group's threshold are left at any step, or when somebody's shares are false."""

    def __init__(self, group: Group) -> None:
        """Nobody has said anything."""
        self.group = group
        self._keys: dict[int, Keys] = {}
        self._shared: dict[int, Shares] = {}
        self._total: Ringed = np.zeros(group.parameters, np.uint32)
        self._present: set[int] = set()

    def roster(self, keys: Mapping[int, Keys]) -> Roster:
        """Who takes part: everybody whose keys came. Keys are those of messages, by who the link says sent them."""
        self._keys = {place: said for place, said in sorted(keys.items()) if said.place == place}
        self._enough(self._keys, "keys")
        return Roster(tuple(self._keys.values()))

    def sealed(self, shares: Mapping[int, Shares]) -> dict[int, dict[int, bytes]]:
        """What is passed on to each person: the sealed shares for it, by who sealed them.

        Who did not seal shares for everybody else on the roster is left out.
        """
        whole = {place: set(self._keys) - {place} for place in self._keys}
        self._shared = {
            place: said
            for place, said in sorted(shares.items())
            if place in whole and said.place == place and set(said.sealed) == whole[place]
        }
        self._enough(self._shared, "shares")
        return {
            place: {other: said.sealed[place] for other, said in self._shared.items() if other != place}
            for place in self._shared
        }

    def add(self, place: int, message: Masked) -> None:
        """Take in one person's masked numbers, once."""
        if place not in self._shared or place in self._present or message.place != place:
            raise BadUpdate(f"No numbers of person {place} are wanted now.", "Leave it out.")
        self._total = self._total + as_numbers(message, self.group.parameters)
        self._present.add(place)

    def unmasking(self) -> Unmasking:
        """What is asked of everybody who is in the sum; nothing more can be added after it."""
        self._enough(self._present, "numbers")
        return Unmasking(tuple(sorted(self._present)), tuple(sorted(set(self._shared) - self._present)))

    def total(self, answers: Mapping[int, Revealed]) -> tuple[npt.NDArray[np.float64], tuple[int, ...]]:
        """The sum of everybody's numbers `[parameters]`, and who is in it."""
        lost = set(self._shared) - self._present
        sound = {
            place: said
            for place, said in answers.items()
            if place in self._present
            and said.place == place
            and set(said.own) == self._present
            and set(said.keys) == lost
        }
        self._enough(sound, "answers")
        chosen = sorted(sound)[: self.group.threshold]
        lagrange = weights(chosen)
        total = self._total.copy()
        for person in sorted(self._present):
            seed = self._join({place: sound[place].own[person] for place in chosen}, lagrange, person)
            if hashlib.sha256(seed).digest() != self._keys[person].seal_of_own:
                raise self._false(person)
            total -= mask(seed, self.group.parameters)
        for person in sorted(lost):
            secret = self._join({place: sound[place].keys[person] for place in chosen}, lagrange, person)
            key = X25519PrivateKey.from_private_bytes(secret)
            if key.public_key().public_bytes_raw() != self._keys[person].masking:
                raise self._false(person)
            for other in self._present:
                signed = mask(pair_seed(key, self._keys[other].masking, self.group.session), self.group.parameters)
                # Everybody present added it for later people and took it away for earlier ones.
                total = total - signed if other < person else total + signed
        return self.group.ring.numbers(total), tuple(sorted(self._present))

    def _join(self, shares: Mapping[int, bytes], lagrange: Mapping[int, int], person: int) -> bytes:
        try:
            return join(shares, lagrange)
        except ValueError as error:
            raise self._false(person) from error

    def _false(self, person: int) -> BadUpdate:
        return BadUpdate(
            f"The shares of person {person} do not fit together: somebody gave a false one.", "Begin a new sum."
        )

    def _enough(self, here: Mapping[int, object] | set[int], what: str) -> None:
        if len(here) < self.group.threshold:
            raise BadUpdate(
                f"The secure sum ends: {what} came from {len(here)}, and {self.group.threshold} must be left.",
                "Begin a new one with those who are here.",
            )
