"""Faces that talk and faces that are still, as far as who speaks is told from them."""

from __future__ import annotations

import numpy as np

from ml.lips.geometry import BRIDGE, CORNERS, EYES, UNDER_NOSE
from ml.lips.types import LANDMARKS, Face

FPS = 25
GAPS = ((13, 14), (82, 87), (312, 317))
"""Landmarks of the upper lip, and those of the lower one beneath them."""


def face(track: int, gap: float, size: float = 100.0) -> Face:
    """A face as far as its mouth, its eyes and its nose; its lips are `gap` apart."""
    points = np.zeros((LANDMARKS, 3), np.float32)
    for at, place in zip(EYES, ((-0.5, -0.6), (0.5, -0.6)), strict=True):
        points[at, :2] = place
    points[UNDER_NOSE, :2], points[BRIDGE, :2] = (0, 0), (0, -0.55)
    for upper, lower in GAPS:
        points[upper, :2], points[lower, :2] = (0, 0.3), (0, 0.3 + gap)
    for at, side in zip(CORNERS, (-1, 1), strict=True):
        points[at, :2] = (side * 0.3, 0.3)
    points[:, :2] *= size
    return Face(points, 1.0, track, 0.0, 0.0)


def syllables(seconds: float, seed: int = 0, *, pauses: bool = True) -> np.ndarray:
    """How loud speech is at each picture, 0..1: about four syllables a second, and pauses."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * FPS)) / FPS
    wave = np.clip(0.5 + 0.6 * np.sin(2 * np.pi * 4 * times + rng.uniform(0, 6)) + rng.normal(0, 0.1, len(times)), 0, 1)
    return wave * (np.sin(2 * np.pi * times / 2.5 + rng.uniform(0, 6)) > -0.5) if pauses else wave


def still(count: int, seed: int = 1) -> np.ndarray:
    """The gaps of a mouth that only trembles, picture by picture."""
    return 0.02 + np.random.default_rng(seed).normal(0, 0.001, count)
