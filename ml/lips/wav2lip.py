"""Lips by Wav2Lip, from a checkpoint that a user has: given pictures, faces and sound, the patches that let the faces
say it.

The network hears the sound itself: mouths that were planned for it only tell which pictures it shall leave alone. It
works on many pictures at once (`render_batch`), which is what a GPU needs; `Wav2LipRenderer` stands behind the same
`Renderer` as the other ways to draw a mouth. Its weights are in no catalogue and may not be used commercially. Knows no
video file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ml.device import Placement, ran_out
from ml.engines.halving import in_halves
from ml.errors import EngineFailed, OutOfMemory, Unavailable, first_line
from ml.lips.renderers import Heard
from ml.lips.types import Face, Mouth, Patch, Picture
from ml.lips.wav2lip_checkpoint import fitting, read_tensors
from ml.lips.wav2lip_crop import SIDE, Crop, crop_of, laid_back, seen, smoothed
from ml.lips.wav2lip_mel import BANDS, COLUMNS, Mel, Windows, log_mel_of, windows
from ml.lips.wav2lip_network import Generator, fused, layout

NOTICE = (
    "Wav2Lip's published weights were trained on LRS2 and are for research, academic and personal use only: "
    "any commercial use of them, or of what they draw, is prohibited by their authors."
)
MEMORY = {"float32": 420_000_000, "bfloat16": 300_000_000, "float16": 300_000_000}
"""Bytes by dtype, loaded, with the batch of eight that it computes by default."""
_DTYPES = tuple(MEMORY)


@dataclass(frozen=True)
class Wav2LipOptions:
    """`batch`: faces computed at once, or fewer where memory ends. Faces turned further than `yaw` or `pitch` degrees
    keep their own pixels. `lead`: seconds from a picture to where its 0.2 s of sound begin; 0 as published, -0.04 as in
    its training. Where pictures keep their own lips before or after, drawn ones come and go over `fade` seconds."""

    batch: int = 8
    yaw: float = 40.0
    pitch: float = 40.0
    lead: float = 0.0
    fade: float = 0.12


class Wav2Lip:
    """The network, loaded, for one thread at a time."""

    def __init__(self, network: Generator, placement: Placement, options: Wav2LipOptions | None = None) -> None:
        """`network` has its weights and is changed: its normalisations are folded away. Raises Unavailable for numbers
        that it cannot compute in, OutOfMemory."""
        if placement.dtype not in _DTYPES:
            raise Unavailable(f"Wav2Lip does not compute in {placement.dtype}.", f"Use one of {', '.join(_DTYPES)}.")
        self.options = options or Wav2LipOptions()
        self._placement = placement
        self._dtype: torch.dtype = getattr(torch, placement.dtype)
        self._network: Generator | None = fused(network).requires_grad_(False)
        try:
            self._network.to(placement.device, self._dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        except (RuntimeError, MemoryError) as error:
            raise self._failed(error) from error

    def render_batch(
        self,
        pictures: Sequence[Picture],
        faces: Sequence[Face],
        sounds: Windows,
        crops: Sequence[Crop | None] | None = None,
    ) -> list[Patch | None]:
        """For each picture the patch that lets its face say its sound (log-mel windows `[N, 80, 16]`); None where the
        face is turned away, too small, or its mouth lies outside the picture.

        `crops` are the parts that the network sees, for those who smooth them over time; without, each face's own. A
        picture may come more than once, for several faces. What is computed does not depend on what else is in the
        batch beyond rounding. Raises ValueError for lists of different lengths, EngineFailed after `close` or where
        its numbers are not finite, OutOfMemory.
        """
        if crops is None:
            crops = [crop_of(face) for face in faces]
        sounds = np.asarray(sounds, np.float32)
        if not len(pictures) == len(faces) == len(crops) == len(sounds) or sounds.shape[1:] != (BANDS, COLUMNS):
            raise ValueError("every picture needs one face, one window of sound [80, 16] and one crop")
        patches: list[Patch | None] = [None] * len(pictures)
        ahead = [index for index, face in enumerate(faces) if self._looks_ahead(face)]
        wanted = [(index, crop) for index in ahead if (crop := crops[index]) is not None]

        def drawn(part: Sequence[tuple[int, Crop]]) -> list[Picture]:
            small = np.stack([seen(pictures[index], crop) for index, crop in part])
            return list(self.draw(small, sounds[[index for index, _ in part]]))

        size = max(1, self.options.batch)
        for first in range(0, len(wanted), size):
            part = wanted[first : first + size]
            for (index, crop), face in zip(part, in_halves(drawn, part), strict=True):
                patches[index] = laid_back(face, crop, faces[index], pictures[index].shape)
        return patches

    def draw(self, faces: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], sounds: Windows) -> Picture:
        """The network alone: faces `[B, 96, 96, 3]`, BGR, and windows `[B, 80, 16]` to faces `[B, 96, 96, 3]`, BGR."""
        if self._network is None:
            raise _closed()
        try:
            with torch.inference_mode():
                whole = torch.from_numpy(faces).to(self._placement.device).permute(0, 3, 1, 2).to(self._dtype) / 255
                masked = whole.clone()
                masked[:, :, SIDE // 2 :] = 0
                heard = torch.from_numpy(sounds)[:, None].to(self._placement.device, self._dtype)
                both = torch.cat([masked, whole], dim=1).contiguous(memory_format=torch.channels_last)
                drawn = self._network(heard, both).permute(0, 2, 3, 1).float()
                if not torch.isfinite(drawn).all():
                    raise EngineFailed(
                        f"Wav2Lip drew no picture in {self._placement.dtype}: its numbers are not finite.",
                        "Compute in float32: say memory = { float32 = 420000000 } in its entry of your catalogue.",
                    )
                return np.asarray((drawn * 255).round().to(torch.uint8).cpu().numpy())
        except (RuntimeError, MemoryError) as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Free the network; a second call does nothing."""
        self._network = None

    def _looks_ahead(self, face: Face) -> bool:
        return abs(face.yaw) <= self.options.yaw and abs(face.pitch) <= self.options.pitch

    def _failed(self, error: BaseException) -> EngineFailed:
        if ran_out(error):
            return OutOfMemory(
                f"There is too little memory for Wav2Lip on {self._placement.where}.",
                "End what else computes there, or look which device the settings choose: node doctor.",
            )
        return EngineFailed(
            f"Wav2Lip failed on {self._placement.where}: {first_line(error, 300)}", "Compute in float32 on the CPU."
        )


class Wav2LipRenderer:
    """`BatchRenderer`. It keeps no picture."""

    name = "wav2lip"

    def __init__(self, network: Wav2Lip, mel: Mel, when: Callable[[int], float]) -> None:
        """`mel` is of what the faces shall say; `when` tells the second of it at which a picture is shown, by the
        picture's number. Several, of one face each, may share `network`: whoever loaded it closes it."""
        self._network: Wav2Lip | None = network
        self._mel, self._when = mel, when
        self.batch = max(1, network.options.batch)
        self._crops: list[Crop | None] = []
        self._shares: list[float] = []

    def offer(self, index: int, picture: Picture, face: Face) -> None:
        """Nothing: the network needs no other picture than the one it draws on."""

    def plan(self, faces: Sequence[Face | None], mouths: Sequence[Mouth | None]) -> None:
        """Smooth over time where the faces are cut out, and how drawn lips come and go. Raises EngineFailed after
        `close`."""
        if self._network is None:
            raise _closed()
        if len(faces) != len(mouths):
            raise ValueError("every picture needs its place in both lists")
        self._crops = smoothed([None if face is None else crop_of(face) for face in faces])
        times = [self._when(index) for index in range(len(mouths))]
        self._shares = faded(times, [mouth is not None for mouth in mouths], self._network.options.fade)

    def render(self, index: int, picture: Picture, face: Face, mouth: Mouth) -> Patch | None:
        """The patch for picture number `index`. What `mouth` says is not heeded."""
        return self.render_batch([index], [picture], [face])[0]

    def render_batch(
        self, indices: Sequence[int], pictures: Sequence[Picture], faces: Sequence[Face]
    ) -> list[Patch | None]:
        """The same for several pictures at once. Raises EngineFailed after `close`, OutOfMemory."""
        if self._network is None:
            raise _closed()
        sounds = windows(self._mel, [self._when(index) for index in indices], self._network.options.lead)
        crops = [self._crop(index, face) for index, face in zip(indices, faces, strict=True)]
        patches = self._network.render_batch(pictures, faces, sounds, crops)
        return [self._shown(index, patch) for index, patch in zip(indices, patches, strict=True)]

    def close(self) -> None:
        """Let go of the network; a second call does nothing."""
        self._network = None

    def _shown(self, index: int, patch: Patch | None) -> Patch | None:
        """A patch as far as it has come."""
        share = self._shares[index] if 0 <= index < len(self._shares) else 1.0
        if patch is None or share >= 1:
            return patch
        return Patch(patch.x, patch.y, patch.pixels, np.round(patch.mask * share).astype(np.uint8))

    def _crop(self, index: int, face: Face) -> Crop | None:
        """The planned crop, where it is one of this face and not of another in the same picture; else its own."""
        own = crop_of(face)
        planned = self._crops[index] if 0 <= index < len(self._crops) else None
        return planned if planned is not None and own is not None and planned.is_near(own) else own


def faded(times: Sequence[float], moves: Sequence[bool], seconds: float) -> list[float]:
    """For pictures shown at `times` how much of new lips is seen, 0..1, where they move; near pictures that keep their
    own the less. The first and the last picture of a film are no such edges."""
    found = [1.0 if one else 0.0 for one in moves]
    for order in (range(len(times)), range(len(times) - 1, -1, -1)):
        edge: float | None = None
        for at in order:
            if not moves[at]:
                edge = times[at]
            elif edge is not None:
                found[at] = min(found[at], abs(times[at] - edge) / (seconds or 1e-9))
    return found


def of_film(network: Wav2Lip, heard: Heard) -> Callable[[], Wav2LipRenderer]:
    """What makes a renderer for each face of a film that says this; they share the network and what it hears."""
    mel = log_mel_of(heard.sound())
    return lambda: Wav2LipRenderer(network, mel, heard.when)


def _closed() -> EngineFailed:
    return EngineFailed("Wav2Lip was closed.", "Load it again.")


def load_wav2lip(
    path: Path, placement: Placement, say: Callable[[str], None], options: Wav2LipOptions | None = None
) -> Wav2Lip:
    """The network with the weights of a user's own file, in any of the four forms that are about; `say` is told
    `NOTICE` once, when they are loaded.

    The file is wav2lip.pth or wav2lip_gan.pth from the links in the README of github.com/Rudrabha/Wav2Lip. Raises
    Unavailable, ModelDamaged (which names the tensors that do not fit), OutOfMemory.
    """
    tensors = fitting(read_tensors(path), layout(), "Wav2Lip's generator (96 pixels)", path)
    with torch.device("meta"):
        network = Generator()
    network.load_state_dict(tensors, assign=True)
    loaded = Wav2Lip(network, placement, options)
    say(NOTICE)
    return loaded
