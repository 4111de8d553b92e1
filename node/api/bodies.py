"""What requests to the control API may carry, and how answers are described in its schema.

Knows nothing of what is done with it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

PeerId = Annotated[str, Path(pattern=r"^[1-9A-HJ-NP-Za-km-z]{40,60}$", description="The peer's whole id.")]
Address = Annotated[str, Field(min_length=1, max_length=512)]


def _number(value: Any) -> Any:  # noqa: ANN401
    """JSON has one kind of number, and 3.0 is 3; but neither true nor "3" is a number."""
    if isinstance(value, bool | str):
        raise ValueError("should be a whole number")  # noqa: TRY004 - pydantic takes it for a refusal
    return value


WHOLE = BeforeValidator(_number)


class Body(BaseModel):
    """A JSON object whose every key means something."""

    model_config = ConfigDict(extra="forbid")


class NewPeer(Body):
    """A peer for the book."""

    address: Address
    trust: Literal["waiting", "trusted", "blocked"] = "trusted"


class PeerChange(Body):
    """What the owner thinks of a peer; `weight` is the trust level in a merge."""

    trust: Literal["waiting", "trusted", "blocked"]
    weight: Annotated[float, Field(ge=0, le=1)] | None = None


class Join(Body):
    """The code or the link that the other side shows, and its addresses when only the code is known."""

    code: Annotated[str, Field(min_length=1, max_length=2_000)]
    addresses: Annotated[list[Address], Field(max_length=8)] = []


class NewRound(Body):
    """How a round at once differs from the configured ones."""

    epochs: Annotated[int, Field(ge=1, le=1_000), WHOLE] | None = None
    batch: Annotated[int, Field(ge=1, le=65_536), WHOLE] | None = None


class Ticket(Body):
    """What opens a page session, once."""

    ticket: Annotated[str, Field(min_length=1, max_length=100)]


class Said(msgspec.Struct, frozen=True):
    """One error: what is wrong, and what to do about it."""

    sentence: str
    remedy: str


class Error(msgspec.Struct, frozen=True):
    """How every error looks."""

    error: Said


class Paper(msgspec.Struct, frozen=True):
    """A ticket for the page, or the key of its session."""

    key: str


class PairingCode(msgspec.Struct, frozen=True):
    """An open pairing."""

    code: str
    link: str
    number: int


class PairingState(msgspec.Struct, frozen=True):
    """What has become of the code that was shown last: none, waiting, paired, spent by a wrong guess, or expired."""

    number: int
    state: str
    peer: str | None


class PeerName(msgspec.Struct, frozen=True):
    """A peer's id."""

    peer: str


class Nothing(msgspec.Struct, frozen=True):
    """An empty object: it is done."""


def answers(kind: Any) -> dict[int | str, dict[str, Any]]:  # noqa: ANN401
    """How a route's answers are described: `kind` when all is well, else an error."""
    return {
        200: {"description": "Done.", "content": _json(kind)},
        "4XX": {"description": "Refused, and why.", "content": _json(Error)},
        "5XX": {"description": "Failed, and why.", "content": _json(Error)},
    }


def with_schemas(openapi: dict[str, Any], *kinds: Any) -> dict[str, Any]:  # noqa: ANN401
    """The OpenAPI document with the schemas that `answers` points at."""
    _, components = msgspec.json.schema_components((*kinds, Error), ref_template="#/components/schemas/{name}")
    openapi.setdefault("components", {}).setdefault("schemas", {}).update(components)
    return openapi


def _json(kind: Any) -> dict[str, Any]:  # noqa: ANN401
    (schema,), _ = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    return {"application/json": {"schema": schema}}
