"""The picture of `benchmarks/watermark.py`: docs/pictures/watermark.png. A recording, the same with the watermark, and
what lies between them, in dB, over time and frequency; and how loud that is beside what the sound masks. Measures
nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ml.audio.markcode import Mark
from ml.audio.markgrid import EDGES, PERIOD_SECONDS, SLOTS
from ml.audio.masking import CRITICAL, critical_starts, noise_to_tone
from ml.audio.read import read
from ml.audio.watermark import STRENGTH, watermark
from ml.types import SAMPLE_RATE, Audio

SECONDS = PERIOD_SECONDS
LASTS, HOP = 512, 64
"""Samples of a frame and from one to the next: 32 and 4 ms."""
RANGE = 70.0
"""dB below the loudest that are shown."""
SOUND, MASKED, ADDED = "#2c6fbb", "#8a8a8a", "#d9822b"


def draw(recording: Path, path: Path, start: float = 1.0, job: int = 70_707) -> None:
    """Mark a recording, and draw one period of it from `start` seconds on."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plain = read(recording).samples
    marked = watermark(Audio(plain), Mark(job)).samples
    part = slice(round(start * SAMPLE_RATE), round((start + SECONDS) * SAMPLE_RATE) + LASTS)
    before, after, added = (_power(sound[part]) for sound in (plain, marked, marked.astype(float) - plain))
    top = _decibel(before.max())

    figure = plt.figure(figsize=(9, 6.4), layout="constrained")
    places: Any = figure.subplot_mosaic("aab;ccb;ddb", width_ratios=(1, 1, 1.1))
    plots = (
        ("a", "the recording", _decibel(before), "magma", (top - RANGE, top)),
        ("c", "the same with the watermark", _decibel(after), "magma", (top - RANGE, top)),
        ("d", "what the watermark changed", _change(before, after, top), "RdBu_r", (-STRENGTH, STRENGTH)),
    )
    for place, title, values, colours, (low, high) in plots:
        axes = places[place]
        extent = (0, before.shape[0] * HOP / SAMPLE_RATE, 0, SAMPLE_RATE / 2000)
        image = axes.imshow(
            values.T, origin="lower", aspect="auto", extent=extent, cmap=colours, vmin=low, vmax=high, rasterized=True
        )
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_ylabel("kHz", fontsize=8)
        axes.tick_params(labelsize=8)
        figure.colorbar(image, ax=axes, pad=0.01, aspect=12).set_label("dB", fontsize=8)
        if place != "d":
            axes.set_xticklabels([])
    places["d"].set_xlabel(f"seconds: one period, {SLOTS} slots of 64 ms", fontsize=8)
    for edge in (EDGES[0] / 1000, EDGES[-1] / 1000):
        places["d"].axhline(edge, color="black", lw=0.5, ls=":")
    _levels(places["b"], before, added)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    _fewer_colours(path)


def _power(sound: np.ndarray) -> np.ndarray:
    """Power `[T, 257]` of overlapping frames."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, LASTS)[::HOP]
    return np.abs(np.fft.rfft(frames * np.hanning(LASTS), axis=1)) ** 2


def _decibel(power: np.ndarray | float) -> Any:
    return 10 * np.log10(np.maximum(power, 1e-12))


def _change(before: np.ndarray, after: np.ndarray, top: float) -> np.ndarray:
    """dB by which bands of 94 Hz became louder; nothing where there is nothing to hear."""
    wide = np.ones(3) / 3
    old, new = (np.apply_along_axis(np.convolve, 1, power, wide, "same") for power in (before, after))
    return np.where(_decibel(old) > top - RANGE, _decibel(new) - _decibel(old), 0.0)


def _levels(axes: Any, before: np.ndarray, added: np.ndarray) -> None:
    """By critical band: the sound, the noise that it masks, and what the mark adds, means in dB over loud frames."""
    spacing = SAMPLE_RATE / LASTS
    starts = critical_starts(spacing, before.shape[1])
    loud = before.sum(axis=1) > 1e-4 * before.sum(axis=1).max()
    energy = np.add.reduceat(before[loud], starts, axis=1)
    masked = noise_to_tone(before[loud], starts) * energy
    noise = np.add.reduceat(added[loud], starts, axis=1)
    used = (starts * spacing >= EDGES[0] - spacing) & (starts * spacing < EDGES[-1])
    high = np.minimum(CRITICAL[1 : len(starts) + 1], SAMPLE_RATE / 2)
    middle = (CRITICAL[: len(starts)] + high) / 2000
    for values, colour, label in (
        (energy, SOUND, "the sound"),
        (masked, MASKED, "noise that it masks"),
        (noise, ADDED, "what the watermark adds"),
    ):
        axes.plot(middle[used], _decibel(values).mean(axis=0)[used], color=colour, marker="o", ms=3, label=label)
    axes.set_title("mean levels by critical band", fontsize=10, loc="left")
    axes.set_xlabel("kHz", fontsize=8)
    axes.set_ylabel("dB", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(lw=0.3)
    axes.legend(fontsize=8)


def _fewer_colours(path: Path) -> None:
    """128 colours are enough here, and a third of the bytes."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
