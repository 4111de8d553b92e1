"""`node models`: the model files that engines need.

Parses, asks the studio's catalogue through the household, prints. Knows nothing of what a model is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.common import Common, household
from cli.render import show_line, show_table, write_json


def list_(*, common: Common | None = None) -> int:
    """List the models of the catalogue with licence, size and state."""
    common = common or Common()
    from node.library import model_lines

    with household(common) as node:
        lines = model_lines(node.config.models)
    if common.json:
        write_json({"models": lines})
    else:
        rows = [(line["name"], line["task"], line["licence"], line["size"], line["state"]) for line in lines]
        show_table("Models", ("name", "task", "licence", "size", "state"), rows)
    return 0


def pull(
    *names: str,
    from_: Annotated[Path | None, Parameter(name="--from")] = None,
    common: Common | None = None,
) -> int:
    """Fetch models from where they are published, check and keep them.

    Parameters
    ----------
    names
        Names of the catalogue; without any, all that are missing.
    from_
        Take the published file from here instead of fetching it (for machines without internet).
    """
    common = common or Common()
    from node.library import pull_models

    with household(common) as node:
        pulled = pull_models(node.config.models, names, from_, lambda text: show_line(text, error=True))
    if common.json:
        write_json({"models": pulled})
    else:
        for line in pulled:
            show_line(f"{line['name']}: {line['state']}, {line['size']}, licence {line['licence']}")
    return 0


def verify(*names: str, common: Common | None = None) -> int:
    """Check every byte of the models that are here.

    Parameters
    ----------
    names
        Names of the catalogue; without any, all of them. The exit code is 2 when one is missing.
    """
    common = common or Common()
    from node.library import verify_models

    with household(common) as node:
        lines = verify_models(node.config.models, names)
    if common.json:
        write_json({"models": lines})
    else:
        for line in lines:
            show_line(f"{line['name']}: {line['state']}")
    return 2 if any(line["state"] == "missing" for line in lines) else 0
