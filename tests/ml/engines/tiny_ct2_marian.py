"""The tiny Marian translator again, for CTranslate2."""

from __future__ import annotations

from tests.ml.engines.tiny import Tiny, entry
from tests.ml.engines.tiny_marian import build

TINIES = [Tiny(entry("tiny-ct2-marian", "mt", "ct2-marian", pairs=("en-es",)), build, knows=True)]
