"""Whose lips are to move in live video, picture by picture: what `speaking.py` tells of a whole video, without its end.

Keeps to a face until what speaks for another has summed up (E. S. Page, 1954, "Continuous inspection schemes"): about
1.2 seconds after another begins to talk. Knows no pictures and no sound, only mouths and how loud it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.lips.geometry import head_frame, measure
from ml.lips.speaking import STILL, WIDEST_STEP, ChoiceOptions, Wanted
from ml.lips.types import Face

_MEAN = 0.3
"""Seconds over which motion is averaged."""
_LIVE = ChoiceOptions(switch=0.4)


@dataclass
class _Watched:
    """One face: when it was seen last, how its lips stood, how fast they move, and what speaks for it."""

    seen: float
    gap: float
    width: float
    motion: float = 0.0
    case: float = 0.0


class Attention:
    """Chooses the faces of a live video whose lips are to move."""

    def __init__(self, wanted: Wanted) -> None:
        """As for `speaking.choose`; a face that is asked for by its number may come later."""
        self._wanted, self._options = wanted, _LIVE
        self._watched: dict[int, _Watched] = {}
        self._current: int | None = None
        self._time: float | None = None

    def turn(self, time: float, faces: Sequence[Face], loud: float = 1.0) -> tuple[int, ...]:
        """The numbers of the faces to move, of those seen at `time` seconds while it is so loud, 0..1.

        Raises ValueError where time goes back.
        """
        if self._time is not None and time < self._time:
            raise ValueError(f"a picture at {time} s cannot follow one at {self._time} s")
        lasted = 0.0 if self._time is None else time - self._time
        self._time = time
        here = {face.track: face for face in faces}
        if self._wanted == "all" or isinstance(self._wanted, int):
            return tuple(sorted(track for track in here if self._wanted in ("all", track)))
        scores = self._sizes(here) if self._wanted == "largest" else self._speech(time, here, loud)
        self._settle(time, lasted, scores)
        return (self._current,) if self._current in here else ()

    def _settle(self, time: float, lasted: float, scores: dict[int, float]) -> None:
        """Keep to the current face, or turn to the one for which enough has spoken."""
        kept = self._watched.get(self._current) if self._current is not None else None
        if kept is None or (self._current not in scores and time - kept.seen > self._options.gone):
            self._current = max(scores, key=lambda track: scores[track], default=None)
        mine = scores.get(self._current, -self._options.absent) if self._current is not None else 0.0
        for track, score in scores.items():
            watched = self._watched[track]
            watched.case = max(0.0, watched.case + (score - mine) * lasted) if track != self._current else 0.0
        best = max(scores, key=lambda track: self._watched[track].case, default=None)
        if best is not None and self._watched[best].case > self._options.switch:
            self._current = best
            for watched in self._watched.values():
                watched.case = 0.0
        for track in [track for track, one in self._watched.items() if time - one.seen > self._options.gone]:
            if track != self._current:
                del self._watched[track]

    def _sizes(self, here: dict[int, Face]) -> dict[int, float]:
        sizes = {track: head_frame(face.points).unit for track, face in here.items()}
        for track in here:
            self._watched.setdefault(track, _Watched(0, 0, 0)).seen = self._time or 0.0
        largest = max(sizes.values(), default=1.0)
        return {track: 2 * float(np.log(size / largest)) for track, size in sizes.items()}

    def _speech(self, time: float, here: dict[int, Face], loud: float) -> dict[int, float]:
        scores = {}
        weight = 0.1 + 0.9 * loud  # what moves in a pause says little of who speaks
        for track, face in here.items():
            lips = measure(face.points)
            old = self._watched.get(track)
            if old is None or time - old.seen > _MEAN:
                self._watched[track] = _Watched(time, lips.gap, lips.width, case=old.case if old else 0.0)
                scores[track] = weight * float(np.log(0.1))
                continue
            lasted = max(time - old.seen, 1e-3)
            step = (abs(lips.gap - old.gap) + 0.5 * abs(lips.width - old.width)) / lasted
            share = (1 - np.exp(-lasted / _MEAN)) * weight
            old.motion += float(share) * (min(step, WIDEST_STEP) - old.motion)
            old.seen, old.gap, old.width = time, lips.gap, lips.width
            scores[track] = weight * float(np.log((old.motion + STILL / 10) / STILL))
        return scores
