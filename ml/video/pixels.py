"""Pixels: from what a video stores (luma and chroma) to RGB and back, so that there and back changes nothing.

swscale's quick conversion lowers luma by one step each time; its exact one is used, with chroma repeated on the way out
and averaged on the way back, which undo one another. Knows nothing of files or time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc, Interpolation, VideoReformatter

Bytes = npt.NDArray[np.uint8]

_OUT = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_BACK = Interpolation.AREA | Interpolation.ACCURATE_RND
_BT709, _UNSPECIFIED = 1, 2
_BT2020 = (9, 10)
_SWSCALE = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
"""swscale's numbers of the matrices, by those of H.273."""


@dataclass(frozen=True)
class Colour:
    """How numbers mean colours: ITU-T H.273 code points of matrix, primaries and transfer (2: the file does not say),
    and whether luma takes 0..255 (full) or 16..235."""

    matrix: int = _UNSPECIFIED
    primaries: int = _UNSPECIFIED
    transfer: int = _UNSPECIFIED
    full_range: bool = False

    @property
    def hdr(self) -> str:
        """The high dynamic range or wide gamut that 8-bit RGB cannot hold: "PQ", "HLG", "BT.2020", or ""."""
        if self.transfer == ColorTrc.SMPTE2084:
            return "PQ"
        if self.transfer == ColorTrc.ARIB_STD_B67:
            return "HLG"
        return "BT.2020" if self.primaries == ColorPrimaries.BT2020 or self.matrix in _BT2020 else ""

    @property
    def stored(self) -> Colour:
        """The colours of a copy in luma and chroma; BT.709 where the file itself holds RGB or something rarer."""
        known = self.matrix == _UNSPECIFIED or self.matrix in _SWSCALE
        return self if known else Colour(_BT709, _BT709, _BT709)


class Converter:
    """Converts pictures one after another; keeps its tables between them."""

    def __init__(self) -> None:
        """A new one, for pictures of one size."""
        self._out, self._back = VideoReformatter(), VideoReformatter()

    def to_rgb(self, frame: av.VideoFrame, width: int, height: int) -> Bytes:
        """`[H, W, 3]` of a decoded picture, as it is stored, at the size given. Raises av.error.FFmpegError."""
        rgb = self._out.reformat(frame, width, height, format="rgb24", interpolation=_OUT, threads=1)
        array = cast(Bytes, rgb.to_ndarray())
        return array if array.flags.writeable and array.flags.c_contiguous else array.copy()

    def to_yuv(self, picture: Bytes, form: str, colour: Colour) -> av.VideoFrame:
        """A picture `[H, W, 3]` in libav's pixel format `form`: yuv420p or yuv444p."""
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        matrix = _SWSCALE.get(colour.matrix)
        level = ColorRange.JPEG if colour.full_range else ColorRange.MPEG
        return self._back.reformat(
            rgb, format=form, dst_colorspace=matrix, dst_color_range=level, interpolation=_BACK, threads=1
        )


def planes(frame: av.VideoFrame) -> list[Bytes]:
    """The planes of an 8-bit planar picture as arrays `[h, w]` that share its memory."""
    out = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        out.append(rows[: plane.height, : plane.width])
    return out
