"""How well lips and sound belong together, as SyncNet hears and sees it: offset, distance (LSE-D) and confidence
(LSE-C), the figures that papers on lip sync publish.

Behind the path of a user's own syncnet_v2.model; the weights are in no catalogue. Steps and conventions are those of
the published evaluation (github.com/joonson/syncnet_python): 25 pictures a second, five to a window, faces cut to a
square of 1.4 times their box, sound shifted by up to 15 pictures. Knows no video file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ml.device import Placement, ran_out
from ml.errors import BadAudio, BadVideo, EngineFailed, OutOfMemory, first_line
from ml.lips.syncnet_mfcc import RATE, mfcc
from ml.lips.syncnet_network import COLUMNS, EMBEDDING, PICTURES, SIDE, SyncNet, layout
from ml.lips.types import Face, Picture
from ml.lips.wav2lip_checkpoint import fitting, read_tensors
from ml.types import SAMPLE_RATE, Audio, Samples

MEMORY = {"float32": 300_000_000}
"""Bytes, loaded, with the pictures and windows that it computes at once."""
PICTURE_RATE = 25
"""Pictures a second that SyncNet was trained on."""
_AROUND = 0.4
"""How much wider the square is than the face on each side, in halves of the face's longer side."""
_STEADY = 6
"""Pictures before and after, of whose places the median is taken."""
_GREY = 110
"""What lies outside the picture."""
_BATCH = 10
"""Windows computed at once."""
_TINY = 1e-6
"""Added to each difference, as in the published distance."""

Embeddings = npt.NDArray[np.float32]
"""`[N, 1024]`."""


@dataclass(frozen=True, eq=False)
class SyncScore:
    """`offset`: pictures by which the picture comes after its sound (negative: before it), as SyncNet counts;
    `distance` there, smaller being better (LSE-D); `confidence`: median less least distance (LSE-C). `distances`: mean
    distance by offset, from the greatest to the least."""

    offset: int
    distance: float
    confidence: float
    distances: npt.NDArray[np.float32]


def face_squares(pictures: Iterable[Picture], faces: Sequence[Face]) -> Iterator[Picture]:
    """What SyncNet is to see of one face of a video: BGR `[224, 224, 3]` for each picture, the face's middle a little
    above the square's, its place the median of those of six pictures before and after. One picture at a time.

    Raises ValueError for landmarks that are no numbers or all in one place, and for more faces than pictures or fewer.
    """
    boxes = np.array([_box(face) for face in faces]).reshape(-1, 3)
    for index, picture in zip(range(len(boxes)), pictures, strict=True):
        x, y, half = np.median(boxes[max(0, index - _STEADY) : index + _STEADY + 1], axis=0).tolist()
        yield _square(picture, x, y, half)


def _box(face: Face) -> tuple[float, float, float]:
    """The middle of a face and half its longer side, in pixels."""
    points = np.asarray(face.points[:, :2], float)
    low, high = points.min(axis=0), points.max(axis=0)
    half = float((high - low).max()) / 2
    if not (np.isfinite(points).all() and half > 0):
        raise ValueError("the landmarks of a face are no face")
    x, y = (low + high) / 2
    return float(x), float(y), half


def _square(picture: Picture, x: float, y: float, half: float) -> Picture:
    import cv2

    scale = 2 * half * (1 + _AROUND) / SIDE
    left, top = x - half * (1 + _AROUND), y - half
    to_picture = np.array([[scale, 0, left + (scale - 1) / 2], [0, scale, top + (scale - 1) / 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(picture, to_picture, (SIDE, SIDE), flags=flags, borderValue=(_GREY,) * 3)
    return np.ascontiguousarray(cut[..., ::-1], dtype=np.uint8)


class SyncScorer:
    """The network, loaded, for one thread at a time."""

    def __init__(self, network: SyncNet, placement: Placement) -> None:
        """`network` has its weights. Computes in float32 whatever `placement` says, as the published figures do. Raises
        OutOfMemory."""
        self._placement = placement
        self._network: SyncNet | None = network.eval().requires_grad_(False)
        try:
            self._network.to(placement.device)
        except (RuntimeError, MemoryError) as error:
            raise self._failed(error) from error

    def score(self, squares: Iterable[Picture], sound: Audio, shift: int = 15) -> SyncScore:
        """How squares of one face (BGR `[224, 224, 3]`, 25 a second) and 16 kHz sound from the same moment on belong
        together, over offsets of up to `shift` pictures. Of the squares only a few are kept at a time.

        Raises BadVideo and BadAudio for less than 0.44 s of either, EngineFailed after `close`.
        """
        if sound.rate != SAMPLE_RATE:
            raise BadAudio(f"SyncNet hears sound at {SAMPLE_RATE} Hz, not at {sound.rate} Hz.", "Resample it first.")
        heard = self.hear(sound.samples)
        seen = self.see(islice(squares, len(heard) + PICTURES))[:-1]
        count = min(len(seen), len(heard))
        if count < 1:
            short: type[BadVideo | BadAudio] = BadVideo if len(seen) < len(heard) else BadAudio
            raise short("There is too little to hold lips against sound.", "Give it half a second or more.")
        return compare(seen[:count], heard[:count], shift)

    def see(self, squares: Iterable[Picture]) -> Embeddings:
        """The embeddings `[T - 4, 1024]` of `T` squares, of five pictures from each on."""
        return self._all(lambda network, clip: network.see(clip), _clips(squares))

    def hear(self, samples: Samples) -> Embeddings:
        """The embeddings of 16 kHz sound, of 0.2 s from each 1/25 s on; as in the published evaluation, the last is
        the one that ends a picture before the sound does."""
        cepstra = mfcc(samples)
        count = max(0, len(samples) * PICTURE_RATE // SAMPLE_RATE - PICTURES)
        starts = np.arange(count) * (RATE // PICTURE_RATE)
        batches = (starts[first : first + _BATCH] for first in range(0, count, _BATCH))
        windows = (cepstra[at[:, None] + np.arange(COLUMNS)].transpose(0, 2, 1)[:, None] for at in batches)
        return self._all(lambda network, batch: network.hear(batch), windows)

    def close(self) -> None:
        """Free the network; a second call does nothing."""
        self._network = None

    def _all(self, run: Callable[[SyncNet, Tensor], Tensor], batches: Iterable[Embeddings]) -> Embeddings:
        if self._network is None:
            raise EngineFailed("SyncNet was closed.", "Load it again.")
        found = [np.empty((0, EMBEDDING), np.float32)]
        try:
            with torch.inference_mode():
                for batch in batches:
                    given = torch.from_numpy(np.ascontiguousarray(batch, np.float32)).to(self._placement.device)
                    found.append(run(self._network, given).cpu().numpy())
        except (RuntimeError, MemoryError) as error:
            raise self._failed(error) from error
        return np.concatenate(found)

    def _failed(self, error: BaseException) -> EngineFailed:
        if ran_out(error):
            return OutOfMemory(f"There is too little memory for SyncNet on {self._placement.where}.", "Use the CPU.")
        return EngineFailed(f"SyncNet failed on {self._placement.where}: {first_line(error, 300)}", "Use the CPU.")


def compare(seen: Embeddings, heard: Embeddings, shift: int = 15) -> SyncScore:
    """The score of embeddings `[N, D]` of pictures and sound, one each for every 1/25 s: Euclidean distances between
    each picture and the sound up to `shift` windows away (beyond the ends: all zeros), their means over the pictures.

    Raises ValueError for other shapes.
    """
    if seen.shape != heard.shape or seen.ndim != 2 or not len(seen) or shift < 0:
        raise ValueError("pictures and sound need as many embeddings as each other, and one at least")
    around = np.pad(heard, ((shift, shift), (0, 0)))
    places = range(2 * shift + 1)
    distances = np.array(
        [np.linalg.norm(seen - around[at : at + len(seen)] + _TINY, axis=1).mean() for at in places], np.float32
    )
    best = int(distances.argmin())
    least = float(distances[best])
    return SyncScore(shift - best, least, float(np.median(distances)) - least, distances)


def load_syncnet(path: Path, placement: Placement) -> SyncScorer:
    """The network with the weights of a user's own syncnet_v2.model, in any of the forms that are about.

    Raises Unavailable, ModelDamaged (which names the tensors that do not fit), OutOfMemory.
    """
    tensors = fitting(read_tensors(path), layout(), "SyncNet (syncnet_v2)", path)
    with torch.device("meta"):
        network = SyncNet()
    network.load_state_dict(tensors, assign=True)
    return SyncScorer(network, placement)


def _clips(squares: Iterable[Picture]) -> Iterator[Embeddings]:
    """Runs of squares `[3, T, 224, 224]`, each beginning with the last four of the one before."""
    rest: list[Picture] = []
    for square in squares:
        rest.append(square)
        if len(rest) == _BATCH + PICTURES - 1:
            yield np.stack(rest).transpose(3, 0, 1, 2).astype(np.float32)
            rest = rest[_BATCH:]
    if len(rest) >= PICTURES:
        yield np.stack(rest).transpose(3, 0, 1, 2).astype(np.float32)
