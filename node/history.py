"""Remembers finished translations, so that the dashboard can tell how long they take.

A translation that is done is done: what goes wrong here is told, never raised. Knows nothing of how memory is kept.
"""

from __future__ import annotations

import time
from pathlib import Path

from node.config import Config
from node.errors import NodeError
from node.report import Report
from node.store import Store
from node.store.rows import JobRow


def note_job(config: Config, report: Report, name: str | None = None) -> str | None:
    """Write one finished translation into the home's memory, beside a node that may be running.

    `name` stands for an input that has none of its own. Returns a sentence when it could not be written. A home that
    does not exist is not made for this.
    """
    if not config.home.is_dir():
        return None
    row = JobRow(
        at=time.time(),
        source=name or Path(report.input).name,
        language=report.target,
        seconds_in=report.input_seconds,
        seconds=report.seconds,
        utterances=len(report.utterances),
        likeness=report.voice.similarity_after if report.voice else None,
    )
    try:
        with Store.open(config.store, check=False) as store:
            store.add_job(row)
    except (NodeError, ValueError) as error:
        return f"This translation is done, but not in the node's history: {error}"
    return None
