"""The list of models: what each is, who published it, under which licence, and the sets they come in.

Ours is `catalogue.toml` beside this module; a user's own lists are merged over it by name. Nothing here fetches or
reads a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from ml.errors import Unavailable
from ml.models.complaints import entry_at, line_of, located
from ml.models.entry import FolderSource, ModelEntry

LARGEST = 4_000_000
"""Bytes of a catalogue file."""


class _Contradiction(ValueError):
    """What an entry says does not fit the rest."""

    def __init__(self, name: str, told: str) -> None:
        super().__init__(told)
        self.name = name


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All known models. `sets` says what each set is for."""

    model: tuple[ModelEntry, ...] = ()
    sets: dict[str, str] = {}

    @classmethod
    def load(cls, own: Sequence[Path] = ()) -> Catalogue:
        """The catalogue that comes with this package, under the user's own files; what is named last wins.

        Raises ValueError naming the file and what is wrong in it, OSError.
        """
        catalogue = _ours()
        for path in own:
            catalogue = catalogue.under(cls.read(path))
        try:
            catalogue.check()
        except _Contradiction as error:
            for path in reversed(own):  # the last that names it is the one that counts
                if found := line_of(path.read_text(encoding="utf-8-sig"), error.name):
                    raise ValueError(f"{path}: {found}: {error}") from error
            raise ValueError(f"{', '.join(map(str, own))}: {error.name}: {error}") from error
        return catalogue

    @classmethod
    def parse(cls, toml: bytes) -> Catalogue:
        """A catalogue from TOML. Raises ValueError naming the entry, its line and its field, or a repeated name."""
        text = toml.decode("utf-8-sig")
        try:
            catalogue = msgspec.toml.decode(text, type=cls)
        except msgspec.ValidationError as error:
            raise ValueError(located(text, str(error))) from error
        names = [entry.name for entry in catalogue.model]
        for number, entry in enumerate(catalogue.model):
            name = entry.name
            if names.count(name) > 1:
                twice = [at for at, other in enumerate(names) if other == name]
                told = " and ".join(entry_at(text, at) for at in twice)
                raise ValueError(f"two models have the same name, {name}: {told}")
            if name in catalogue.sets:
                raise ValueError(f"{entry_at(text, number)}: {name} is the name of a model and of a set")
        return catalogue

    def check(self) -> None:
        """That the whole holds together: each set and each part that a model names is there, and no name means two
        things. Raises ValueError."""
        models = {entry.name: entry for entry in self.model}
        if both := sorted(models.keys() & self.sets.keys()):
            raise _Contradiction(both[0], "it is the name of a model and of a set")
        for entry in self.model:
            if strange := sorted(set(entry.sets) - self.sets.keys()):
                raise _Contradiction(entry.name, f"there is no set {strange[0]}; say in [sets] what it is for")
            for part in entry.parts.values():
                if part not in models:
                    raise _Contradiction(entry.name, f"there is no model {part}, which it names as its part")
                if models[part].parts:
                    raise _Contradiction(entry.name, f"its part {part} has parts of its own")

    @classmethod
    def read(cls, path: Path) -> Catalogue:
        """A user's catalogue; folders in it are relative to the file's own. Raises ValueError naming it, OSError."""
        if path.is_dir():
            raise ValueError(f"{path} is a folder; a catalogue is a file")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path} is too large for a catalogue")
        try:
            found = cls.parse(path.read_bytes())
        except ValueError as error:  # TOML, fields and names alike
            raise ValueError(f"{path}: {error}") from error
        try:
            return msgspec.structs.replace(found, model=tuple(_placed(entry, path.parent) for entry in found.model))
        except _Contradiction as error:
            where = line_of(path.read_text(encoding="utf-8-sig"), error.name) or error.name
            raise ValueError(f"{path}: {where}: {error}") from error

    def under(self, other: Catalogue) -> Catalogue:
        """This catalogue with the models of the other added, or put in place of those of the same name."""
        models = {entry.name: entry for entry in (*self.model, *other.model)}
        return Catalogue(tuple(models.values()), {**self.sets, **other.sets})

    def find(self, name: str) -> ModelEntry:
        """The entry of that name. Raises Unavailable naming those that come near."""
        for entry in self.model:
            if entry.name == name:
                return entry
        import difflib

        if name in self.sets:
            raise Unavailable(f"{name} is a set of models, not one.", f"See what it holds: node models list {name}")
        near = difflib.get_close_matches(name, [*(entry.name for entry in self.model), *self.sets], 5, 0.4)
        hint = f"Near it are: {', '.join(near)}. " if near else ""
        raise Unavailable(f"There is no model called {name!r}.", f"{hint}See all: node models list")

    def members(self, name: str) -> tuple[ModelEntry, ...]:
        """The models of a set, in the catalogue's order."""
        return tuple(entry for entry in self.model if name in entry.sets)

    def chosen(self, names: Sequence[str]) -> tuple[ModelEntry, ...]:
        """The models of these names and sets, each once. Raises Unavailable for a name that is neither."""
        wanted: dict[str, ModelEntry] = {}
        for name in names:
            for entry in self.members(name) if name in self.sets else (self.find(name),):
                wanted[entry.name] = entry
        return tuple(wanted.values())

    def with_parts(self, entries: Sequence[ModelEntry]) -> tuple[ModelEntry, ...]:
        """These models after those that they compute with, each once. Raises Unavailable for a part that is none."""
        parts = [self.find(part) for entry in entries for part in entry.parts.values()]
        return tuple({entry.name: entry for entry in (*parts, *entries)}.values())


@cache
def _ours() -> Catalogue:
    return Catalogue.parse(files("ml.models").joinpath("catalogue.toml").read_bytes())


def _placed(entry: ModelEntry, beside: Path) -> ModelEntry:
    if not isinstance(entry.source, FolderSource):
        return entry
    try:
        where = beside.absolute() / Path(entry.source.path).expanduser()
    except RuntimeError as error:
        raise _Contradiction(entry.name, f"path: nobody here has the home folder of {entry.source.path}") from error
    return msgspec.structs.replace(entry, source=FolderSource(str(where)))
