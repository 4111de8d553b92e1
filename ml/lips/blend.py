"""Lays one picture into another without a seam: matched in colour at the rim, mixed band by band.

A Laplacian pyramid (P. Burt and E. Adelson, 1983, "A multiresolution spline with application to image mosaics") mixes
coarse shades over a wide rim and fine detail over a narrow one, so that neither a box nor a blur shows. Knows nothing
of faces.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ml.lips.meshwarp import filled
from ml.lips.topology import Places
from ml.lips.types import Mask, Picture

_LEAST_RIM = 16
"""Pixels of a rim that tell its colour."""
_MOST_GAIN = 1.35


def feathered(outline: Places, shape: tuple[int, int], width: float) -> Mask:
    """A mask `[h, w]` of a polygon `[K, 2]` that falls to 0 over `width` pixels, all of them inside of it."""
    mask = filled(outline, shape)
    reach = max(1, round(width / 2))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inner = cv2.erode(mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    soft = inner
    for _ in range(2):  # two boxes: a tent, which is 0 beyond `reach` again
        soft = cv2.blur(soft, (reach | 1, reach | 1), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(soft, np.uint8)


def matched(over: Picture, under: Picture, mask: Mask) -> Picture:
    """`over` with the mean colour of `under` along the rim of a mask."""
    rim = (mask > 0) & (mask < 200)
    if int(rim.sum()) < _LEAST_RIM:
        return over
    chosen = rim.view(np.uint8)
    levels = (np.array(cv2.mean(one, chosen)[:3]) for one in (under, over))
    gain = np.clip(np.divide(*(level + 4 for level in levels)), 1 / _MOST_GAIN, _MOST_GAIN)
    if np.abs(gain - 1).max() < 1 / 512:
        return over
    table = np.clip(np.arange(256)[:, None] * gain + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(over, table[None]), np.uint8)


def mixed(under: Picture, over: Picture, mask: Mask) -> Picture:
    """`over` by the share of a mask, `under` by the rest."""
    share = cv2.merge([mask, mask, mask])
    one = cv2.multiply(over, share, scale=1 / 255)
    return np.asarray(cv2.add(one, cv2.multiply(under, 255 - share, scale=1 / 255)), np.uint8)


def laplacian(under: Picture, over: Picture, mask: Mask, levels: int) -> Picture:
    """The same, each band of frequencies by a mask as soft as the band is coarse; with 0 `levels` as `mixed`.

    Where the mask is 0 all around, or 255, the picture is `under` or `over` up to rounding.
    """
    levels = min(levels, int(np.log2(max(2, min(mask.shape)))) - 2)
    if levels < 1:
        return mixed(under, over, mask)
    # the pyramid of a difference is the difference of the pyramids: one is enough
    difference = cv2.subtract(over, under, dtype=cv2.CV_32F)
    share = mask.astype(np.float32) * np.float32(1 / 255)
    bands: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]] = []
    for _ in range(levels):
        smaller = cv2.pyrDown(difference)
        height, width = difference.shape[:2]
        bands.append((difference - cv2.pyrUp(smaller, dstsize=(width, height)), share))
        difference, share = np.asarray(smaller, np.float32), np.asarray(cv2.pyrDown(share), np.float32)
    found = difference * share[..., None]
    for band, share_here in reversed(bands):
        height, width = share_here.shape
        found = cv2.pyrUp(found, dstsize=(width, height)) + band * share_here[..., None]
    return np.asarray(cv2.add(under, found, dtype=cv2.CV_8U), np.uint8)


def ending(under: Picture, over: Picture, width: int) -> Picture:
    """`over`, that becomes `under` over the `width` pixels along the four edges."""
    height, length = under.shape[:2]
    down, along = (
        np.minimum(1, np.minimum(np.arange(size), np.arange(size)[::-1]) / max(1, width)) for size in (height, length)
    )
    share = (np.minimum(down[:, None], along) * 255).astype(np.uint8)
    return mixed(under, over, share)
