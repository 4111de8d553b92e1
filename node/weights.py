"""The models of this household: one file each, named by its content's digest, so that a name cannot lie.

A file appears whole or not at all, and is on the disk when `put` returns. One that is no longer what its name says is
set aside, never used and never deleted. Knows nothing of roles or of what the models compute.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from pathlib import Path

from ml.errors import ModelDamaged
from ml.weights import Layout, Weights, digest, from_bytes, to_bytes
from node.errors import HomeUnusable, NotFound
from node.files import make_folder, write_bytes

DIGEST = re.compile(r"[0-9a-f]{64}")
SUFFIX = ".safetensors"
ABANDONED = ".new-*"
"""What a write that was cut short leaves behind; see `node.files`."""
FIRST = "res64"
"""The layout whose files lie in the folder itself, as they did when there was no other."""


def shelf_of(folder: Path, layout: Layout) -> WeightShelf:
    """The shelf of one layout under the household's folder of models; a later layout has a folder of its own in it.

    So no shelf ever opens, sweeps or sets aside another one's files.
    """
    return WeightShelf(folder if layout.name == FIRST else folder / layout.name, layout)


class WeightShelf:
    """Models of one layout, by digest."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        """The folder is made with the first model, for its owner alone."""
        self._folder, self._layout = folder, layout

    def put(self, weights: Weights) -> str:
        """Keep a model; its digest. Raises ModelDamaged for tensors that do not fit the layout, HomeUnusable."""
        self._layout.check(weights)
        name = digest(weights)
        if not self._sound(name):
            try:
                make_folder(self._folder, 0o700)
                write_bytes(self._path(name), to_bytes(weights, {"layout": self._layout.name}), 0o600)
            except OSError as error:
                raise _unusable(self._folder, error) from error
        return name

    def get(self, name: str) -> Weights:
        """The model with this digest.

        Raises NotFound; ModelDamaged when the file holds something else: it is then set aside under another name.
        """
        path = self._path(name)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise NotFound(
                f"There is no model {name[:12]} in {self._folder}.", "Take its parent, or start from genesis."
            ) from error
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            weights = from_bytes(data, self._layout)
            found = digest(weights)
        except ModelDamaged as error:
            raise self._damaged(path, str(error)) from error
        if found != name:
            raise self._damaged(path, f"its digest is {found[:12]}")
        return weights

    def has(self, name: str) -> bool:
        """Whether there is a file for this digest; whether it is sound, `get` tells."""
        return self._path(name).is_file()

    def digests(self) -> tuple[str, ...]:
        """All digests that have a file, the newest file first."""
        files = [path for path in self._folder.glob("*" + SUFFIX) if DIGEST.fullmatch(path.stem)]
        dated = [(path.stat().st_mtime_ns, path.stem) for path in files]
        return tuple(name for _, name in sorted(dated, reverse=True))

    def sound(self) -> tuple[str, ...]:
        """All digests whose file is what it says, the newest first; the others are set aside."""
        return tuple(name for name in self.digests() if self._sound(name))

    def keep_only(self, names: Iterable[str]) -> int:
        """Delete every other model, and what cut-off writes left. Returns how many models went.

        Files that were set aside stay. Raises HomeUnusable.
        """
        kept = frozenset(names)
        gone = [name for name in self.digests() if name not in kept]
        try:
            for name in gone:
                self._path(name).unlink(missing_ok=True)
            for left in self._folder.glob(ABANDONED):
                left.unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(self._folder, error) from error
        return len(gone)

    def _sound(self, name: str) -> bool:
        try:
            self.get(name)
        except (NotFound, ModelDamaged):
            return False
        return True

    def _path(self, name: str) -> Path:
        if not DIGEST.fullmatch(name):
            raise ValueError(f"{name!r} is no digest")
        return self._folder / (name + SUFFIX)

    def _damaged(self, path: Path, why: str) -> ModelDamaged:
        aside = next(name for number in range(1, 1_000_000) if not (name := Path(f"{path}.damaged-{number}")).exists())
        try:
            path.replace(aside)
        except OSError as error:
            return ModelDamaged(
                f"The model {path} is damaged ({why}) and could not be set aside: {error.strerror}.",
                "Check the folder's rights and the disk.",
            )
        return ModelDamaged(
            f"The model {path} is damaged ({why}); it was set aside as {aside.name}.",
            "Take its parent, or start from genesis.",
        )


def _unusable(path: Path, error: OSError) -> HomeUnusable:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return HomeUnusable(f"The disk under {path} is full.", "Make room; what was there before is unharmed.")
    return HomeUnusable(f"{path} cannot be used: {error.strerror}.", "Check its rights, or use --home.")
