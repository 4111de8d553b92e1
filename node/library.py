"""The household's view of the model catalogue: what is here, fetching, checking.

Plain lines for the door; what a model is stays in `ml.models`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ml.errors import ModelDamaged
from ml.models import store
from ml.models.catalogue import Catalogue, ModelEntry
from ml.models.fetch import fetch
from node.errors import BadRequest

Line = dict[str, str]


def _line(entry: ModelEntry, models: Path) -> Line:
    status = store.status(entry, models)
    return {
        "name": entry.name,
        "task": entry.task,
        "licence": entry.licence,
        "size": f"{entry.bytes / 1e6:.1f} MB",
        "state": status.state,
        "source": entry.source,
        "file": str(status.path),
        "summary": entry.summary,
    }


def model_lines(models: Path) -> list[Line]:
    """All models of the catalogue."""
    return [_line(entry, models) for entry in Catalogue.load().model]


def pull_models(models: Path, names: Sequence[str], wheel: Path | None, tell: Callable[[str], None]) -> list[Line]:
    """Fetch the named models, or all that are missing. Raises BadRequest, Unavailable or ModelDamaged."""
    catalogue = Catalogue.load()
    wanted = [catalogue.find(name) for name in names] or list(catalogue.model)
    if wheel is not None and len(wanted) != 1:
        raise BadRequest("One file holds one model.", "Name the model that --from is for.")
    for entry in wanted:
        if store.status(entry, models).state == "present":
            continue
        tell(f"{entry.name}: {entry.summary}; licence {entry.licence}; from {entry.source}")
        fetch(entry, models, lambda step, name=entry.name: tell(f"{name}: {step}"), wheel=wheel)  # type: ignore[misc]
    return [_line(entry, models) for entry in wanted]


def verify_models(models: Path, names: Sequence[str]) -> list[Line]:
    """Check the named models, or all of the catalogue. Raises ModelDamaged for the first that is not whole."""
    catalogue = Catalogue.load()
    lines = [_line(catalogue.find(name), models) for name in names] or model_lines(models)
    for line in lines:
        if line["state"] == "damaged":
            raise ModelDamaged(
                f"{line['file']} does not hold the published {line['name']} model.", f"node models pull {line['name']}"
            )
    return lines
