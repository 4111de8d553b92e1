"""Sizes, times and spans as a person says them, and a row of figures as a small line of blocks.

Knows nothing of what is measured.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

BLOCKS = "▁▂▃▄▅▆▇█"


def size(count: float) -> str:
    """Bytes: `812 B`, `7.4 kB`, `1.3 MB`; powers of a thousand."""
    if abs(count) < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if abs(count) < 999.95 or unit == "GB":
            break
    return f"{count:.1f} {unit}"


def span(seconds: float) -> str:
    """A length of time: `0.4 s`, `12 s`, `3 min`, `2 h`, `5 d`."""
    if not math.isfinite(seconds):
        return "-"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    for unit, length, above in (("s", 1, 99.5), ("min", 60, 5970), ("h", 3600, 172_800)):
        if seconds < above:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def ago(moment: float, now: float | None = None) -> str:
    """How long ago a moment was, in seconds since the epoch; 0 is never. A clock that jumped back says `now`."""
    if not moment:
        return "never"
    passed = (time.time() if now is None else now) - moment
    return "now" if passed < 1.5 else f"{span(passed)} ago"


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The last `width` values as blocks between their least and their greatest; a gap where there is none."""
    shown = list(values)[-width:] if width > 0 else []
    known = [value for value in shown if value is not None and math.isfinite(value)]
    if not known:
        return ""
    low, high = min(known), max(known)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(
        " " if value is None or not math.isfinite(value) else BLOCKS[round((value - low) * scale)] for value in shown
    )


def mixture(row: Mapping[str, Any]) -> str:
    """A round's alpha in words; nothing for a method that mixes nothing."""
    alpha, learnt = row.get("alpha"), row.get("alpha_next")
    if alpha is None:
        return ""
    return f"{alpha:.2f} of your own model" + ("" if learnt is None else f", {learnt:.2f} next time (learnt)")
