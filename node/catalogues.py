"""Which models a home knows: our catalogue, under those that its settings name and the one that lies in it.

Reads the lists and says what is wrong with one. Knows nothing of what is on the disk, and of no engine.
"""

from __future__ import annotations

from ml.models.catalogue import Catalogue
from node.config import Config
from node.errors import BadCatalogue

OWN = "catalogue.toml"
"""A user's own models, in the home."""


def catalogue_of(config: Config) -> Catalogue:
    """The models of a home. Raises BadCatalogue naming a catalogue that cannot be used."""
    own = [*config.catalogues]
    if (config.home / OWN).exists():
        own.append(config.home / OWN)
    try:
        return Catalogue.load(own)
    except FileNotFoundError as error:
        raise BadCatalogue(
            f"There is no catalogue {error.filename}.", "Mend `catalogues` in babelmesh.toml."
        ) from error
    except (ValueError, OSError) as error:
        raise BadCatalogue(
            f"A catalogue cannot be used: {error}.", "docs/models.md shows how one is written."
        ) from error
