"""How quick people's machines and links are and when they are there, drawn from a seed.

Every figure is a median and a spread (the standard deviation of its logarithm): measured times and rates of home
machines and links are near lognormal. The defaults are judgements, not measurements, except the time to train. Knows
nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Traces:
    """Medians and spreads over people. A person keeps speed, latency and rates; work varies from round to round too."""

    row_seconds: float = 2e-5
    """To train on one row (a frame) for one epoch: twice what one thread of a shared 2-core machine took."""
    speed_spread: float = 0.7
    """Between machines: the slowest of a hundred takes some five times the median."""
    work_spread: float = 0.2
    """Between rounds of one machine."""
    latency: float = 0.05
    """Seconds for one message, one way, besides its bytes."""
    latency_spread: float = 0.6
    upload: float = 1.0e6
    """Bytes a second: 8 Mbit/s."""
    upload_spread: float = 0.9
    download: float = 5.0e6
    """Bytes a second: 40 Mbit/s."""
    download_spread: float = 0.9
    online: float = 4 * 3600.0
    """Seconds of one stay; 0 for people who never leave."""
    offline: float = 2 * 3600.0
    """Seconds between two stays."""
    stay_spread: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError for times or rates that cannot be."""
        for name in ("row_seconds", "latency", "online", "offline"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, and must be at least 0")
        for name in ("upload", "download"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, and must be above 0")
