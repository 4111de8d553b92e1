"""The people of a live stream: the renderer of each, and the habit of its mouth, learnt as it is seen.

A habit is taken on slowly, so that no mouth changes its measures at once. Of many only those seen last are kept. Knows
no sound and no time but that of pictures.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ml.lips.geometry import Lips, measure
from ml.lips.mouths import Habit
from ml.lips.types import Face, Renderer

_LIPS_KEPT, _LEARN_EVERY, _LEARN_SLOWLY = 1500, 10, 1.0
"""Pictures from which a habit is learnt; after how many more it is learnt again; seconds over which it is taken on."""
_MOST = 6


@dataclass(eq=False)
class Speaker:
    """One face's renderer, and how its lips stood."""

    renderer: Renderer
    habit: Habit
    lips: deque[Lips] = field(default_factory=lambda: deque(maxlen=_LIPS_KEPT))
    seen: float = 0.0
    aim: Habit | None = None
    count: int = 0
    fixed: bool = False
    """The habit was told, and stays."""

    def learn(self, time: float, face: Face) -> None:
        """Take account of one more picture."""
        lasted, self.seen = max(0.0, time - self.seen), time
        if self.fixed:
            return
        self.lips.append(measure(face.points))
        self.count += 1
        if self.count % _LEARN_EVERY == 1:
            first, self.aim = self.aim is None, Habit.learnt(self.lips)
            if first:
                self.habit = self.aim
        if self.aim is not None:
            share = 1 - math.exp(-lasted / _LEARN_SLOWLY)
            old, new = self.habit, self.aim
            pairs = ((old.opening, new.opening), (old.width, new.width), (old.smile, new.smile))
            self.habit = Habit(*(before + (after - before) * share for before, after in pairs))


class Speakers:
    """All of them, by the numbers of their faces; at most six, then the one that was not seen for longest goes."""

    def __init__(self, renderer: Callable[[], Renderer], habit: Habit | None = None) -> None:
        """`renderer` makes one for each; `habit` is everybody's, where it is known, and then stays."""
        self._make, self._habit = renderer, habit
        self._speakers: dict[int, Speaker] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._speakers)

    def known(self, track: int) -> Speaker | None:
        """Whose face has that number, if it is kept."""
        return self._speakers.get(track)

    def meet(self, track: int, time: float) -> Speaker:
        """Whose face has that number, seen at `time` seconds; somebody new where it is not kept."""
        if track not in self._speakers:
            if len(self._speakers) >= _MOST:
                oldest = min(self._speakers, key=lambda each: self._speakers[each].seen)
                self._speakers.pop(oldest).renderer.close()
            habit = self._habit or Habit()
            self._speakers[track] = Speaker(self._make(), habit, fixed=self._habit is not None, seen=time)
        return self._speakers[track]

    def close(self) -> None:
        """Close all renderers; a second call does nothing."""
        for speaker in self._speakers.values():
            speaker.renderer.close()
        self._speakers = {}
