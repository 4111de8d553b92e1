"""Virtual time: who is there when a round begins, and until when a round's work and messages keep them.

A person takes part when they have come and not gone, churn does not keep them away, and their last round is trained,
sent and arrived. So what a sender published last has arrived at everybody before the sender publishes again. Knows
nothing of models, only how many rows and bytes there are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ml.federated.simulation.chance import Many, Numbers, Purpose, lognormal, uniform
from ml.federated.simulation.settings import SimulationSettings


class Clock:
    """The time of a simulation, and everybody's calendar."""

    def __init__(self, settings: SimulationSettings, rows: Many, epochs: int) -> None:
        """`rows` `[people]` are what each person trains on, `epochs` times a round."""
        self._settings, self._who = settings, np.arange(len(rows))
        self.time = 0.0
        self._busy = np.zeros(len(rows))
        self._there_at = np.full(len(rows), np.inf)
        self._stay, self._until = np.zeros(len(rows), np.int64), np.zeros(len(rows))
        if traces := settings.traces:
            fixed = settings.seed, self._who
            self._work = epochs * rows * traces.row_seconds * self._lasting(Purpose.SPEED, traces.speed_spread)
            self._latency = traces.latency * self._lasting(Purpose.LATENCY, traces.latency_spread)
            self._upload = traces.upload * self._lasting(Purpose.UPLOAD, traces.upload_spread)
            self._download = traces.download * self._lasting(Purpose.DOWNLOAD, traces.download_spread)
            # the calendar begins somewhere in a first stay, at home or away
            home = traces.online / (traces.online + traces.offline) if traces.online else 1.0
            first = uniform(fixed[0], Purpose.SESSION, 0, self._who, 2)
            self._stay = np.where(first[:, 0] < home, 1, 2)
            self._until = first[:, 1] * self._length(self._stay)

    def there(self, number: int) -> npt.NDArray[np.bool_]:
        """Who takes part in the round that begins now, `[people]`."""
        found = self._busy <= self.time
        if self._settings.churn:
            found &= uniform(self._settings.seed, Purpose.AWAY, number, self._who)[:, 0] >= self._settings.churn
        if (traces := self._settings.traces) and traces.online:
            while (over := self._until <= self.time).any():
                self._stay[over] += 1
                self._until[over] += self._length(self._stay)[over]
            found &= self._stay % 2 == 1
        return found

    def age(self, who: Many) -> Numbers:
        """Seconds since what these people published last has arrived; infinite for who published nothing yet."""
        return np.asarray(self.time - self._there_at[who] if len(who) else np.zeros(0))

    def pass_round(self, number: int, took_part: Many, messages: Many, size: float) -> None:
        """A round goes by: who took part got `messages` models of `size` bytes each, works, and sends as many."""
        if traces := self._settings.traces:
            jitter = lognormal(self._settings.seed, Purpose.WORK, number, took_part, traces.work_spread)
            each = size * np.maximum(messages, 1)
            seconds = self._work[took_part] * jitter + self._latency[took_part]
            seconds += each * (1 / self._upload[took_part] + 1 / self._download[took_part])
        else:
            seconds = np.zeros(len(took_part))
        self._busy[took_part] = self._there_at[took_part] = self.time + seconds
        if self._settings.interval:
            self.time += self._settings.interval
        else:
            self.time = max(self.time, float(self._busy[took_part].max(initial=self.time)), self._next())

    def _next(self) -> float:
        """When nobody waits for anybody and nobody is there: the next moment at which a stay begins or ends."""
        stays = bool(self._settings.traces and self._settings.traces.online)
        return float(self._until.min()) if stays and not (self._stay % 2 == 1).any() else self.time

    def state(self) -> Mapping[str, npt.NDArray[np.generic]]:
        """Everything that changes beside `time`, person by person: to be kept, or filled to go on from there."""
        return {"busy": self._busy, "there_at": self._there_at, "stay": self._stay, "until": self._until}

    def _lasting(self, purpose: Purpose, spread: float) -> Numbers:
        return lognormal(self._settings.seed, purpose, 0, self._who, spread)

    def _length(self, stay: Many) -> Numbers:
        """Seconds of stay number `stay` `[people]`: odd ones are at home, even ones away."""
        traces = self._settings.traces
        assert traces is not None  # noqa: S101 - only asked with traces
        spread = lognormal(self._settings.seed, Purpose.SESSION, stay, self._who, traces.stay_spread)
        return np.asarray(np.where(stay % 2 == 1, traces.online, traces.offline) * spread)
