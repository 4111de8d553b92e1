"""Which commit a model is kept to, and which of a repository's files are its own: written down once, kept to after.

What is written down must say what the catalogue asks for, and nothing that contradicts it. Knows nothing of how files
come.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ml.errors import ModelDamaged, Unavailable
from ml.models import hub
from ml.models import record as records
from ml.models.entry import HubSource, ModelEntry, ModelFile
from ml.models.hub import HubOptions, Offer
from ml.models.record import Pin, PinnedFile
from ml.models.store import ModelStore


def settled(
    store: ModelStore, entry: ModelEntry, source: HubSource, options: HubOptions, asking: Callable[[], None]
) -> Pin:
    """The commit that the model is kept to and the files of it that the catalogue asks for.

    Where they are not known yet, `asking` is called, the hub asked, and its answer written down; to be called while
    nobody else changes the model. Raises Unavailable, ModelDamaged, OSError.
    """
    found = known(store, entry)
    if found is None:
        asking()
        found = asked(store, entry, source, options)
        (store.folder / entry.name).mkdir(parents=True, exist_ok=True)
        records.write(store.pin_path(entry), found)
    return found


def known(store: ModelStore, entry: ModelEntry) -> Pin | None:
    """What is written down, where it serves: only files that the catalogue names, whatever else stands there."""
    pin = store.pin(entry)
    if pin is None or not _serves(pin, entry):
        return None
    return msgspec.structs.replace(pin, files=tuple(file for file in pin.files if file.path in _names(entry)))


def asked(store: ModelStore, entry: ModelEntry, source: HubSource, options: HubOptions) -> Pin:
    """What the hub says, of the commit that the model is kept to if there is one that can be. Nothing is written down.

    Raises Unavailable, ModelDamaged for other files than the published ones.
    """
    pin = store.pin(entry)
    revision = pin.revision if pin and not _contradicts(pin, entry) else source.revision
    offer = hub.look(source, revision, options, _names(entry))
    return Pin(source.repo, offer.commit, chosen(entry, offer))


def _names(entry: ModelEntry) -> set[str]:
    return {path for file in entry.files for path in (file.path, file.instead) if path}


def _serves(pin: Pin, entry: ModelEntry) -> bool:
    """Whether the pin knows all that the catalogue must have, and says what it says."""
    paths = {file.path for file in pin.files}
    has_all = all(file.optional or file.path in paths or file.instead in paths for file in entry.files)
    return has_all and all(file.sha256 or file.git for file in pin.files) and not _contradicts(pin, entry)


def _contradicts(pin: Pin, entry: ModelEntry) -> bool:
    found = {file.path: file for file in pin.files}
    return any(file.path in found and _differs(file, found[file.path]) for file in entry.files)


def _differs(file: ModelFile, found: PinnedFile) -> bool:
    other_hash = bool(file.sha256 and found.sha256 and file.sha256 != found.sha256)
    return other_hash or (file.bytes is not None and file.bytes != found.bytes)


def chosen(entry: ModelEntry, offer: Offer) -> tuple[PinnedFile, ...]:
    """The files to take of what the hub offers. Raises Unavailable, ModelDamaged for others than the published."""
    taken: dict[str, PinnedFile] = {}
    for file in entry.files:
        found = offer.files.get(file.path) or (offer.files.get(file.instead) if file.instead else None)
        if found is None:
            if file.optional:
                continue
            names = f"{file.path} nor {file.instead}" if file.instead else file.path
            raise Unavailable(f"{entry.name}: its repository has no {names}.", "Check the catalogue's `files`.")
        if found.path == file.path and _differs(file, found):
            raise ModelDamaged(
                f"The hub offers another {file.path} of {entry.name} than was published.", "Check HF_ENDPOINT."
            )
        taken[found.path] = found
    return tuple(taken.values())
