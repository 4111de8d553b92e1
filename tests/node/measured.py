"""A round of which everything was measured, and others that differ from it."""

from __future__ import annotations

import msgspec

from node.store.rows import RoundRow

FIRST = RoundRow(
    number=1,
    began_at=1.0,
    seconds=2.0,
    frames=3,
    start="a",
    trained="b",
    adopted="c",
    rmse_start=4.0,
    rmse_trained=3.0,
    rmse_adopted=2.0,
    rmse_best=2.0,
    rmse_alone=2.5,
    mcd_best=5.0,
    rmse_genesis=4.0,
    merged=2,
)


def changed(**facts: object) -> RoundRow:
    """The first round, but for these facts."""
    return msgspec.structs.replace(FIRST, **facts)
