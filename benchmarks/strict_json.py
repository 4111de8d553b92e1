"""Writes what benchmarks found as JSON that every reader takes: RFC 8259 has no word for what is no number.

Knows nothing of any benchmark.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def plain(found: Any) -> Any:
    """The same with None for every float that is not finite, and lists for tuples."""
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    if isinstance(found, Mapping):
        return {key: plain(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [plain(value) for value in found]
    return found


def strict(found: Any, indent: int, ensure_ascii: bool = True) -> str:
    """As JSON text without a line end. Raises TypeError for what JSON does not know."""
    return json.dumps(plain(found), indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)
