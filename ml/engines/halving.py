"""Smaller batches when memory is too little for one: a batch is done in halves, down to single items.

Knows neither what items are nor what is done with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ml.device import give_back, ran_out

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_halves(work: Callable[[Sequence[Item]], Sequence[Made]], items: Sequence[Item]) -> list[Made]:
    """What `work` makes of the items, one for one and in order. A batch that runs out of memory is done in two halves.

    Raises what `work` raises; for a single item, that it ran out of memory too.
    """
    try:
        return list(work(items))
    except Exception as error:
        if len(items) < 2 or not ran_out(error):
            raise
    give_back()  # the error is gone here, and with it what its frames held
    half = len(items) // 2
    return [*in_halves(work, items[:half]), *in_halves(work, items[half:])]
