"""What all commands share: their common options, and the way into the household.

Importing this loads nothing heavy; the household is opened by the command that needs it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cli.render import show_line
from cli.wording import instead

if TYPE_CHECKING:
    from node.app import Node
    from node.config import Config

STDIO = Path("stdio:-")
"""Stands for standard input or output where a path is expected; written `-` on the command line."""


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options that every command takes."""

    home: Path | None = None
    "Folder where this node keeps voices, jobs and settings [default: BABELMESH_HOME, else the platform's data folder]."

    json: Annotated[bool, Parameter(negative="", show_default=False)] = False
    "Print the result, or the error, as JSON on standard output."

    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"], negative="", show_default=False)] = False
    "Show where an error came from."


@contextmanager
def household(common: Common, isolate: tuple[str, ...] = (), *, own: bool = True) -> Iterator[Node]:
    """The node of this home, closed at the end. Threads are limited before anything numeric is imported.

    The engines `isolate` run in processes of their own, beside those that the settings name. With `own` False the
    home's own catalogues of models are left out.
    """
    from ml.threads import limit_threads

    limit_threads()
    from node.app import build
    from node.config import load

    config = load(common.home, os.environ)
    if isolate:
        _check_isolated(config, isolate)
        config = config.with_(engines={"isolation": tuple(dict.fromkeys((*config.engines.isolation, *isolate)))})
    with build(config, lambda sentence: show_line(f"Note: {sentence}", error=True), own=own) as node:
        yield node
        for name in sorted(set(isolate) - set(node.registry.built())):
            show_line(f"Note: --isolate {name} had no effect: this job has not used it.", error=True)


def _check_isolated(config: Config, names: tuple[str, ...]) -> None:
    """Raise BadUsage for a name that is no engine of a fetched model."""
    from cli.errors import BadUsage
    from node.library import library_of

    known = library_of(config).runnable()
    for name in names:
        if name not in known:
            raise BadUsage(
                f"--isolate {name}: only engines of fetched models can be put in a process of their own.",
                instead(name, known, "Those are: node models list"),
            )
