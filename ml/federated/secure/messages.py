"""What people in a secure sum say to each other, and how it is read: bounded, typed, msgpack.

Five messages in the order of the protocol; every field has a fixed or bounded length, so what anybody sends takes no
more memory than its bytes. Knows nothing of what they mean.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from ml.errors import BadUpdate
from ml.federated.secure.shamir import SHARE_BYTES

MOST_PEOPLE = 256
"""In one group."""

LARGEST_MESSAGE = 4 * 1024 * 1024
"""Bytes."""

Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Place = Annotated[int, msgspec.Meta(ge=1, le=MOST_PEOPLE)]
"""A person's number in the group, from 1: the point at which secrets are split for it."""
Secret = Annotated[bytes, msgspec.Meta(min_length=SHARE_BYTES, max_length=SHARE_BYTES)]
Sealed = Annotated[bytes, msgspec.Meta(min_length=2 * SHARE_BYTES + 16, max_length=2 * SHARE_BYTES + 16)]
"""Two shares under ChaCha20-Poly1305 (RFC 8439)."""
Numbers = Annotated[bytes, msgspec.Meta(max_length=LARGEST_MESSAGE - 1024)]


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True, tag=True):
    """Written as an array that begins with its kind."""


class Keys(_Message, frozen=True):
    """1. From everybody: public X25519 keys (RFC 7748) for sealing and for masks, and the SHA-256 of the seed of one's
    own mask, by which a seed that is put together from shares can be checked."""

    place: Place
    sealing: Key
    masking: Key
    seal_of_own: Key


class Roster(_Message, frozen=True):
    """To everybody: who takes part."""

    keys: Annotated[tuple[Keys, ...], msgspec.Meta(max_length=MOST_PEOPLE)]


class Shares(_Message, frozen=True):
    """2. From everybody, and passed on to each: shares of one's own two secrets, sealed for each of the others."""

    place: Place
    sealed: Annotated[dict[Place, Sealed], msgspec.Meta(max_length=MOST_PEOPLE)]


class Masked(_Message, frozen=True):
    """3. From everybody: one's numbers under all masks, little-endian uint32."""

    place: Place
    numbers: Numbers


class Unmasking(_Message, frozen=True):
    """To those whose masked numbers came: whose numbers are in the sum, and who was lost after the shares."""

    present: Annotated[tuple[Place, ...], msgspec.Meta(max_length=MOST_PEOPLE)]
    lost: Annotated[tuple[Place, ...], msgspec.Meta(max_length=MOST_PEOPLE)]


class Revealed(_Message, frozen=True):
    """4. From each of them: shares of the own masks of those present, and of the mask keys of those lost."""

    place: Place
    own: Annotated[dict[Place, Secret], msgspec.Meta(max_length=MOST_PEOPLE)]
    keys: Annotated[dict[Place, Secret], msgspec.Meta(max_length=MOST_PEOPLE)]


Message = Keys | Roster | Shares | Masked | Unmasking | Revealed
Kind = TypeVar("Kind", bound=_Message)


def to_bytes(message: Message) -> bytes:
    """The message as it travels."""
    return msgspec.msgpack.encode(message)


def from_bytes(data: bytes, kind: type[Kind]) -> Kind:
    """A message of the kind that is expected now. Raises BadUpdate for anything else."""
    if len(data) > LARGEST_MESSAGE:
        raise BadUpdate(f"A message of a secure sum has {len(data)} bytes, more than {LARGEST_MESSAGE}.", "Leave it.")
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadUpdate(f"This is no {kind.__name__} of a secure sum: {str(error)[:80]}.", "Leave it out.") from error
