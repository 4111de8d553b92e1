"""Whose lips are to move: of the faces of a video, the one that speaks, the largest, all, or one by its number.

Who speaks moves the mouth while there is sound, and less in the pauses; who listens, or chews, does not keep to the
sound. The choice is made for the whole video at once and keeps to a face unless another is better for longer (A. J.
Viterbi, 1967), so it does not flicker, and a face that is lost for a moment does not lend its words to another.

Knows no pictures: only how far mouths were open, and how loud it was.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ml.errors import BadVideo
from ml.lips.geometry import head_frame, measure
from ml.lips.types import Face
from ml.types import Audio

Wanted = int | Literal["speaking", "largest", "all"]
Row = npt.NDArray[np.float64]
"""A value for each picture `[T]`, or each picture and face `[T, K]`."""

STILL = 0.08
"""Eye-widths a second: below it a mouth's motion is mostly the landmarks' own noise. Speech is about 0.25."""
WIDEST_STEP = 2.0
"""Eye-widths a second that count at most."""
_AROUND = 0.75
"""Seconds on either side over which motion is averaged."""
_LISTENING = 10.0
"""dB from the quietest to the loudest sound below which its level says nothing."""


@dataclass(frozen=True)
class ChoiceOptions:
    """`switch` is what changing to another face costs and `absent` what a second costs in which the chosen one is not
    seen, in the same measure as a second in which a mouth moves e times as much as another; a face that is not seen for
    longer than `gone` seconds is not kept to.
    """

    switch: float = 0.8
    absent: float = 0.3
    gone: float = 2.0


class Sightings:
    """What was seen of the mouths of a video: some 25 bytes for each face of each picture."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._times = array("d")
        self._pictures = array("i")
        self._tracks = array("i")
        self._values = array("f")

    def add(self, time: float, faces: Sequence[Face]) -> None:
        """The faces of the next picture, shown at `time` seconds. Raises ValueError where time goes back."""
        if self._times and time < self._times[-1]:
            raise ValueError(f"a picture at {time} s cannot follow one at {self._times[-1]} s")
        for face in faces:
            lips = measure(face.points)
            self._pictures.append(len(self._times))
            self._tracks.append(face.track)
            self._values.extend((lips.gap, lips.width, head_frame(face.points).unit))
        self._times.append(time)

    def __len__(self) -> int:
        """Pictures seen."""
        return len(self._times)

    @property
    def tracks(self) -> tuple[int, ...]:
        """The numbers of all faces."""
        return tuple(sorted(set(self._tracks)))

    def table(self) -> tuple[Row, npt.NDArray[np.float64]]:
        """The time of each picture `[T]`; and gap, width and eye-width in pixels of each face in each `[T, K, 3]`, in
        the order of `tracks`, not a number where it was not seen."""
        seen = np.full((len(self), len(self.tracks), 3), np.nan)
        if self._tracks:
            column = np.searchsorted(self.tracks, np.asarray(self._tracks))
            seen[np.asarray(self._pictures), column] = np.asarray(self._values).reshape(-1, 3)
        return np.asarray(self._times, float), seen


def choose(wanted: Wanted, sightings: Sightings, audio: Audio | None) -> tuple[tuple[int, ...], ...]:
    """For each picture the numbers of the faces whose lips are to move; those that are not seen in it are left out.

    `audio` is what is heard in the video, from its time 0; without it, mouths that move most are taken to speak. Raises
    BadVideo for a number that is no face's.
    """
    tracks = sightings.tracks
    if isinstance(wanted, int) and wanted not in tracks:
        known = ", ".join(map(str, tracks)) or "none"
        raise BadVideo(f"There is no face {wanted} in this video.", f"Its faces are: {known}.")
    times, seen = sightings.table()
    present = ~np.isnan(seen[:, :, 0])
    if wanted == "all" or isinstance(wanted, int) or not tracks:
        kept = [track for track in tracks if wanted in ("all", track)]
        return tuple(tuple(track for track in kept if here[tracks.index(track)]) for here in present)
    scores = _size(seen) if wanted == "largest" else _speech(times, seen, audio)
    path = _steady(times, present, scores, ChoiceOptions())
    return tuple((tracks[at],) if here[at] else () for at, here in zip(path, present, strict=True))


def loudness(audio: Audio, times: Row) -> Row:
    """How far up it is from the quietest to the loudest sound at each time, 0..1; 1 where the level tells nothing."""
    reach = round(0.04 * audio.rate)
    power = np.concatenate([[0.0], np.cumsum(audio.samples.astype(np.float64) ** 2)])
    middle = np.rint(times * audio.rate).astype(np.int64)
    first, last = (np.clip(middle + side, 0, len(audio.samples)) for side in (-reach, reach))
    level: Row = 10 * np.log10((power[last] - power[first]) / (2 * reach) + 1e-9)
    if len(level) == 0:
        return level
    low, high = np.percentile(level, [10, 95])
    if high - low < _LISTENING:
        return np.ones(len(times))
    return np.asarray(np.clip((level - low) / (high - low), 0, 1))


def _speech(times: Row, seen: npt.NDArray[np.float64], audio: Audio | None) -> Row:
    """How much each mouth moves like one that speaks: natural logarithms, 0 at the edge of stillness."""
    loud = np.ones(len(times)) if audio is None else loudness(audio, times)
    motion = _motion(times, seen)
    moving = ~np.isnan(motion)
    weight = (0.1 + 0.9 * loud)[:, None] * moving
    heard = _around(times, weight)
    averaged = _around(times, np.where(moving, motion, 0) * weight) / np.maximum(heard, 1e-9)
    scores = np.log((averaged + STILL / 10) / STILL)
    for column in range(seen.shape[1]):
        speaking, pausing = (motion[moving[:, column] & part, column] for part in (loud > 0.6, loud < 0.2))
        if min(len(speaking), len(pausing)) >= 12:
            keeps = np.log((speaking.mean() + STILL / 2) / (pausing.mean() + STILL / 2))
            scores[:, column] += float(np.clip(keeps, -1, 1))
    # What moves in a long pause says little of who speaks.
    return np.asarray(scores * heard / np.maximum(_around(times, moving.astype(float)), 1e-9))


def _motion(times: Row, seen: npt.NDArray[np.float64]) -> Row:
    """Eye-widths a second that the lips of each face move at each picture; not a number where it was just met."""
    if len(times) < 2:
        return np.full(seen.shape[:2], np.nan)
    steps = np.abs(np.diff(seen[:, :, :2], axis=0)) @ np.array([1.0, 0.5])
    speed = np.minimum(steps / np.maximum(np.diff(times), 1e-3)[:, None], WIDEST_STEP)
    return np.concatenate([np.full((1, seen.shape[1]), np.nan), speed])


def _size(seen: npt.NDArray[np.float64]) -> Row:
    """Twice the logarithm of each face's share of the largest in its picture."""
    sizes = np.where(np.isnan(seen[:, :, 2]), 0, seen[:, :, 2])
    largest = np.maximum(sizes.max(axis=1, keepdims=True), 1e-9)
    return np.asarray(2 * np.log(np.maximum(sizes / largest, 1e-3)))


def _around(times: Row, values: Row) -> Row:
    """Sums of the values within `_AROUND` seconds of each time."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    first = np.searchsorted(times, times - _AROUND, side="left")
    last = np.searchsorted(times, times + _AROUND, side="right")
    return np.asarray(total[last] - total[first])


def _away(times: Row, present: npt.NDArray[np.bool_]) -> Row:
    """Seconds from each picture to the nearest in which each face is seen `[T, K]`."""
    away = np.empty(present.shape)
    for column in range(present.shape[1]):
        at = times[present[:, column]]
        after = np.clip(np.searchsorted(at, times), 0, len(at) - 1)
        before = np.maximum(after - 1, 0)
        away[:, column] = np.minimum(np.abs(at[after] - times), np.abs(at[before] - times))
    return away


def _steady(times: Row, present: npt.NDArray[np.bool_], scores: Row, options: ChoiceOptions) -> npt.NDArray[np.intp]:
    """For each picture the column of the face to keep to: the best sum of scores over time, less what switches cost."""
    lasts = np.diff(times, append=times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 0.04))
    gains = np.where(present, scores, -options.absent)
    gains[~present & (_away(times, present) > options.gone)] = -100
    gains *= lasts[:, None]
    total, stayed = gains[0].copy(), np.ones(present.shape, bool)
    bests = np.zeros(len(times), np.intp)
    for at in range(1, len(times)):
        bests[at] = total.argmax()
        change = total[bests[at]] - options.switch
        stayed[at] = total >= change
        total = np.maximum(total, change) + gains[at]
    path = np.empty(len(times), np.intp)
    path[-1] = total.argmax()
    for at in range(len(times) - 1, 0, -1):
        path[at - 1] = path[at] if stayed[at, path[at]] else bests[at]
    return path
