"""The list of model files: what each is, who published it, under which licence, and the hashes that pin it.

The list itself is `catalogue.toml` beside this module. Nothing here fetches or reads a model.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Annotated, Literal

import msgspec

from ml.errors import Unavailable

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Bytes = Annotated[int, msgspec.Meta(gt=0, le=10**11)]
_SOURCE = re.compile(r"pypi:(?P<project>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9.!+]+)#(?P<member>[A-Za-z0-9._/-]+)")


class ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model file. Sizes are in bytes.

    `source` is `pypi:NAME==VERSION#MEMBER`, a file inside a published wheel; `archive_*` pin the wheel, `member_*` the
    file in it, `tensors_sha256` the tensors kept from it. `branch` and `keep` say which those are: the dictionary in
    the checkpoint, and the beginnings of their names.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,40}$")]
    task: str
    summary: str
    licence: str
    source: str
    archive_sha256: Sha256
    archive_bytes: Bytes
    member_sha256: Sha256
    member_bytes: Bytes
    format: Literal["torch-legacy"]
    branch: str
    keep: tuple[str, ...]
    tensors_sha256: Sha256
    bytes: Bytes

    def __post_init__(self) -> None:
        """Raises ValueError when `source` is not of the one known kind."""
        if not _SOURCE.fullmatch(self.source):
            raise ValueError(f"{self.source!r} is not pypi:NAME==VERSION#MEMBER")

    @property
    def requirement(self) -> str:
        """What pip is asked for, `NAME==VERSION`."""
        found = _SOURCE.fullmatch(self.source)
        return f"{found['project']}=={found['version']}" if found else ""

    @property
    def member(self) -> str:
        """The path of the file inside the wheel."""
        return self.source.partition("#")[2]

    @property
    def file_name(self) -> str:
        """The name of the kept file in the models folder."""
        return f"{self.name}.safetensors"


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All known model files."""

    model: tuple[ModelEntry, ...]

    @classmethod
    def load(cls) -> Catalogue:
        """The catalogue that comes with this package."""
        return cls.parse(files("ml.models").joinpath("catalogue.toml").read_bytes())

    @classmethod
    def parse(cls, toml: bytes) -> Catalogue:
        """A catalogue from TOML. Raises msgspec.ValidationError naming the field, ValueError for a repeated name."""
        catalogue = msgspec.toml.decode(toml, type=cls)
        names = [entry.name for entry in catalogue.model]
        if len(set(names)) != len(names):
            raise ValueError("two models have the same name")
        return catalogue

    def find(self, name: str) -> ModelEntry:
        """The entry of that name. Raises Unavailable listing the names there are."""
        for entry in self.model:
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in self.model)
        raise Unavailable(f"There is no model called {name!r}.", f"Known models: {known}.")
