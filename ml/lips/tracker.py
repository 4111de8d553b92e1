"""Follows the faces of a video: a detector finds them, and from then on each picture's landmarks say where to look in
the next one.

A face keeps its number while it is followed, and for some seconds after it was lost, where it comes back looking the
same. One that is lost, covered or gone gives no landmarks, and never wrong ones. Newcomers are looked for in a part of
every few pictures, in all of a picture that is another scene, and in every one while there is no face. Knows nothing
of time, of files, or of who speaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ml.engines.protocols import EngineHome
from ml.errors import EngineFailed, ModelDamaged
from ml.lips import networks
from ml.lips.geometry import EYES, turned
from ml.lips.looks import Looks, Memory, alike, looks
from ml.lips.networks import Body
from ml.lips.types import Box, Face, Picture, Points

MODEL = "mediapipe-face"
_REGION = 1.5
"""What the mesh shall see of a face, in sides of its box."""
_SAME_PLACE = 0.3
"""Two boxes that share more of their union are one face."""


class Finder(Protocol):
    """Finds faces without knowing of any (`detector.Detector`)."""

    def find(self, picture: Picture) -> Iterator[tuple[Box, ...]]:
        """The faces seen in the whole picture, then those seen in ever smaller parts of it."""
        ...

    def patrol(self, picture: Picture, turn: int, *, small: bool) -> tuple[Box, ...]:
        """The faces seen in one part of it, another one for each turn; among all parts only for `small` faces."""
        ...

    def near(self, picture: Picture, box: Box) -> tuple[Box, ...]:
        """The faces about where one was."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


class Reader(Protocol):
    """Reads the landmarks of a face whose place is about known (`mesh.Mesh`)."""

    def read(self, picture: Picture, box: Box) -> tuple[Points, float]:
        """Landmarks, and the belief that they are a face's."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


@dataclass(frozen=True)
class TrackerOptions:
    """At most `faces` are followed. `least` is the mesh's belief below which a face is lost. Newcomers are looked for
    in a part of every `look_every`th picture; a lost face keeps its number for `remember` pictures.

    `another_scene` is the mean change of pixels, of 255, from which on a picture is looked at anew, and `alike` the
    correlation from which on a face in it is the one from before.
    """

    faces: int = 6
    least: float = 0.5
    look_every: int = 4
    remember: int = 150
    another_scene: float = 24.0
    alike: float = 0.75


@dataclass
class Tally:
    """What became of the faces of all pictures: shown, covered; and how often one was lost."""

    shown: int = 0
    covered: int = 0
    lost: int = 0


@dataclass(frozen=True, eq=False)
class _Track:
    """A face that is followed: its number, where it was last, how it looked then and lately, and in which picture."""

    number: int
    box: Box
    looks: Looks
    memory: Memory
    seen: int


class Tracker:
    """`FaceTracker` on a detector and a mesh. `body` says what computes, `tally` what became of the faces so far."""

    def __init__(self, finder: Finder, reader: Reader, body: str, options: TrackerOptions | None = None) -> None:
        """`body` is told to those who ask what computes; finder and reader are closed with this."""
        self.body = body
        self.tally = Tally()
        self._finder, self._reader = finder, reader
        self._options = options or TrackerOptions()
        self._closed = False
        self._numbers = 0
        self.forget()

    def forget(self) -> None:
        """See `FaceTracker`. Numbers go on: no face of before gets its own again."""
        self._picture = 0
        self._turn = 0
        self._scene: npt.NDArray[np.int16] | None = None
        self._tracks: tuple[_Track, ...] = ()
        self._lost: tuple[_Track, ...] = ()
        self.covered: tuple[int, ...] = ()

    def close(self) -> None:
        """See `FaceTracker`."""
        self._closed = True
        self._finder.close()
        self._reader.close()

    def follow(self, picture: Picture) -> tuple[Face, ...]:
        """See `FaceTracker`. Raises ValueError for what is no RGB picture, EngineFailed after `close`."""
        if self._closed:
            raise EngineFailed("The face tracker was closed.")
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
            raise ValueError(f"a picture is uint8 [H, W, 3], not {picture.dtype} {list(picture.shape)}")
        self._picture += 1
        changed = self._is_another_scene(picture)
        found: list[tuple[_Track, Face]] = []
        lost: list[_Track] = []
        for track in self._tracks:
            seen = self._read(picture, track.box, track, changed=changed)
            if seen is None or any(_same(seen[0].box, other.box) for other, _ in found):
                lost.append(track)
            else:
                found.append(seen)
        for boxes in self._places(picture, lost, changed=changed):
            for box in boxes:
                if len(found) < self._options.faces and not any(_same(_grown(box), one.box) for one, _ in found):
                    taken = {one.number for one, _ in found}
                    gone = [one for one in (*lost, *self._lost) if one.number not in taken]
                    seen = self._meet(picture, box, gone)
                    if seen is not None and not any(_same(seen[0].box, one.box) for one, _ in found):
                        found.append(seen)
            if found:
                break
        self._remember([track for track, _ in found], lost)
        found.sort(key=lambda one: -one[0].box.size)
        shown = tuple(face for track, face in found if track.memory.sees_lips(track.looks))
        visible = {face.track for face in shown}
        self.covered = tuple(track.number for track, _ in found if track.number not in visible)
        self.tally.shown += len(shown)
        self.tally.covered += len(self.covered)
        self.tally.lost += len({track.number for track in lost} - {track.number for track, _ in found})
        return shown

    def _places(self, picture: Picture, lost: list[_Track], *, changed: bool) -> Iterator[tuple[Box, ...]]:
        """Boxes where faces may be that are not followed, the likeliest first: whoever found one need not go on.

        All of a picture is searched where it is the first or another scene; else a part of it at a time, which finds a
        newcomer some pictures later and keeps every picture cheap. Faces too small for the picture's largest parts are
        looked for only where no other is followed.
        """
        if changed or self._picture == 1:
            levels = self._finder.find(picture)
            yield (*next(levels), *next(levels, ()))
            yield from levels
            return
        if lost:
            yield tuple(box for track in lost for box in self._finder.near(picture, track.box))
        if not self._tracks or lost:
            yield next(self._finder.find(picture))
        if not self._tracks or self._picture % self._options.look_every == 0:
            self._turn += 1
            yield self._finder.patrol(picture, self._turn, small=not self._tracks)

    def _meet(self, picture: Picture, box: Box, gone: list[_Track]) -> tuple[_Track, Face] | None:
        """A face that a detector found: read twice, because its landmarks say better than a detector where it is. One
        of those that are gone, where it looks like it; the last one seen, where several do."""
        seen = self._read(picture, _grown(box), None)
        seen = seen and self._read(picture, seen[0].box, None)
        if seen is None:
            return None
        track, face = seen
        again = [one for one in gone if alike(one.looks, track.looks) >= self._options.alike]
        if again:
            here = track.box
            old = max(again, key=lambda one: (one.seen, -np.hypot(one.box.x - here.x, one.box.y - here.y)))
            return replace(track, number=old.number, memory=old.memory), replace(face, track=old.number)
        self._numbers += 1
        return replace(track, number=self._numbers), replace(face, track=self._numbers)

    def _read(
        self, picture: Picture, box: Box, track: _Track | None, *, changed: bool = False
    ) -> tuple[_Track, Face] | None:
        """The face in a box; None where there is none, or, in another scene, not that of the track."""
        points, score = self._reader.read(picture, box)
        if score < self._options.least or not _is_possible(points, box, picture):
            return None
        here = _region(points)
        now = looks(picture, points, here)
        if changed and track is not None and alike(track.looks, now) < self._options.alike:
            return None
        number, memory = (track.number, track.memory) if track is not None else (0, Memory(now))
        yaw, pitch = turned(points)
        return _Track(number, here, now, memory, self._picture), Face(points, score, number, yaw, pitch)

    def _remember(self, found: list[_Track], lost: list[_Track]) -> None:
        self._tracks = tuple(found)
        numbers = {track.number for track in found}
        gone = [track for track in (*lost, *self._lost) if track.number not in numbers]
        young = [track for track in gone if self._picture - track.seen <= self._options.remember]
        self._lost = tuple(young[: 2 * self._options.faces])

    def _is_another_scene(self, picture: Picture) -> bool:
        height, width = picture.shape[:2]
        rows, columns = np.linspace(0, height - 1, 18, dtype=int), np.linspace(0, width - 1, 32, dtype=int)
        scene = picture[rows[:, None], columns].astype(np.int16)
        before, self._scene = self._scene, scene
        return before is not None and float(np.abs(scene - before).mean()) > self._options.another_scene


def detector_at(home: EngineHome, body: Body | Literal["auto"] = "auto") -> Finder:
    """The detector alone. Raises as `tracker_at`."""
    from ml.lips.detector import OUTPUTS, Detector

    chosen = _ready(body)
    model = _model(home, "face_detection/face_detection_short_range.tflite")
    return Detector(networks.network(model, OUTPUTS, chosen))


def tracker_at(
    home: EngineHome, body: Body | Literal["auto"] = "auto", options: TrackerOptions | None = None
) -> Tracker:
    """The tracker with attention to the lips. Raises Unavailable saying what to fetch or install, ModelDamaged."""
    from ml.lips.mesh import LIPS_OUTPUTS, TRUNK_OUTPUTS, AttentionMesh, split

    chosen = _ready(body)
    file = _model(home, "face_landmark/face_landmark_with_attention.tflite")
    try:
        trunk, lips = split(file)
    except ValueError as error:  # its hash was right: the catalogue names another file
        raise ModelDamaged(f"The {MODEL} model is another one: {error}.", f"node models pull {MODEL}") from error
    mesh = AttentionMesh(networks.network(trunk, TRUNK_OUTPUTS, chosen), networks.network(lips, LIPS_OUTPUTS, chosen))
    return Tracker(detector_at(home, chosen), mesh, chosen, options)


def second_judge(home: EngineHome) -> Tracker:
    """A tracker on the plain FaceMesh, to judge what was made with the other. Raises as `tracker_at`."""
    from ml.lips.mesh import PLAIN_OUTPUTS, PlainMesh

    chosen = _ready("auto")
    file = _model(home, "face_landmark/face_landmark.tflite")
    mesh = PlainMesh(networks.network(file, PLAIN_OUTPUTS, chosen))
    return Tracker(detector_at(home, chosen), mesh, chosen)


def _ready(body: Body | Literal["auto"]) -> Body:
    networks.chosen("cv2")  # cuts faces out of pictures, whatever runs the networks
    return networks.chosen(body)


def _model(home: EngineHome, path: str) -> bytes:
    from ml.models.catalogue import Catalogue
    from ml.models.store import ModelStore

    return ModelStore(home.models, Catalogue.load()).open(MODEL).file(f"mediapipe/modules/{path}").read_bytes()


def _grown(box: Box) -> Box:
    return replace(box, size=box.size * _REGION)


def _same(one: Box, other: Box) -> bool:
    from ml.lips.detector import shared

    return shared(one, other) > _SAME_PLACE


def _region(points: Points) -> Box:
    """What the mesh shall see next: upright along the eyes, all landmarks with a margin."""
    flat = points[:, :2].astype(float)
    along = flat[EYES[1]] - flat[EYES[0]]
    angle = float(np.arctan2(along[1], along[0]))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    upright = flat @ turn.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    x, y = turn.T @ ((low + high) / 2)
    return Box(float(x), float(y), float(np.max(high - low)) * _REGION, angle, 1.0)


def _is_possible(points: Points, box: Box, picture: Picture) -> bool:
    """Whether landmarks can be those of the face that was looked at: about as large and there, and half in sight."""
    if not np.isfinite(points).all():
        return False
    found = _region(points)
    height, width = picture.shape[:2]
    in_sight = (points[:, :2] >= 0).all(axis=1) & (points[:, 0] < width) & (points[:, 1] < height)
    moved = np.hypot(found.x - box.x, found.y - box.y)
    return bool(found.size > 4 and 0.4 < found.size / box.size < 2.0 and moved < box.size / 2 and in_sight.mean() > 0.5)
