"""Log-mel spectra into sound, with the pitch where it is known: what the voice codec listens through.

`ml.audio.logmel.griffin_lim` guesses everything that 80 mel bands do not hold: the harmonics above 1 kHz, and all
phases. Where F0 is known it need not guess: a pulse train at F0 with noise beside it is shaped to the mel bands by the
same multiplicative updates, and its own phases are where the fast Griffin-Lim algorithm (Perraudin, Balazs and
Soendergaard 2013) starts. numpy only. Knows nothing of voices, codecs or files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.audio.logmel import HOP, MELS, PAD, LogMel, Matrix, istft, mel_filters, stft
from ml.types import SAMPLE_RATE, Audio, Samples


@dataclass(frozen=True)
class InversionOptions:
    """`iterations` of Griffin-Lim with `momentum`; `breath` is the share of noise in a voiced frame at 8 kHz, where
    it is greatest; `shaping` counts the updates that fit magnitudes to mel bands. Noise is drawn with `seed`."""

    iterations: int = 32
    momentum: float = 0.99
    breath: float = 0.5
    shaping: int = 30
    seed: int = 0


def pitched_griffin_lim(mel: LogMel, f0: Samples, options: InversionOptions | None = None) -> Audio:
    """Sound `[256 T]` whose log-mel spectrum is near `mel` `[T, 80]` and whose pitch is `f0` `[T]` in Hz, 0: no voice.

    The same mel, f0 and options always give the same sound.
    """
    options = options or InversionOptions()
    if mel.ndim != 2 or mel.shape[1] != MELS or len(f0) != len(mel):
        raise ValueError(f"a log-mel spectrum [T, {MELS}] needs F0 [T], not {list(mel.shape)} and {list(np.shape(f0))}")
    if not len(mel):
        return Audio(np.zeros(0, np.float32))
    spectrum = stft(excitation(f0, options.breath, options.seed))
    magnitude = shaped(np.abs(spectrum), np.exp(mel), options.shaping)
    spectrum *= magnitude / np.maximum(np.abs(spectrum), np.float32(1e-9))
    previous = np.zeros_like(spectrum)
    momentum = np.float32(0)
    for _ in range(options.iterations):
        consistent = stft(istft(spectrum))
        spectrum = consistent + momentum * (consistent - previous)
        spectrum *= magnitude / np.maximum(np.abs(spectrum), np.float32(1e-9))
        previous, momentum = consistent, np.float32(options.momentum)
    return Audio(istft(spectrum)[PAD:-PAD])


def shaped(magnitude: Matrix, mel: Matrix, iterations: int) -> Matrix:
    """Magnitudes `[T, 513]` whose mel bands come to `mel` `[T, 80]` (linear) and whose fine structure stays.

    Multiplicative updates (Lee and Seung 2001): what the bands cannot see keeps the ratios of `magnitude`.
    """
    filters = mel_filters()
    wanted = mel @ filters
    magnitude = np.maximum(magnitude, 1e-3 * magnitude.max(axis=1, keepdims=True) + np.float32(1e-9))
    magnitude *= mel.sum(axis=1, keepdims=True) / np.maximum((magnitude @ filters.T).sum(axis=1, keepdims=True), 1e-12)
    for _ in range(iterations):
        magnitude *= wanted / np.maximum((magnitude @ filters.T) @ filters, 1e-12)
    return magnitude


def excitation(f0: Samples, breath: float, seed: int) -> Samples:
    """What a voice tract is driven by `[256 T + 768]`: all harmonics of `f0` `[T]` up to 8 kHz in cosine phase, each
    of the size of one, above ever more noise; noise alone where there is no voice. Of about equal power throughout."""
    count = HOP * len(f0)
    noise = np.random.default_rng(seed).standard_normal(count + 2 * PAD).astype(np.float32)
    voiced = f0 > 0
    if not voiced.any():
        return noise
    frames = np.arange(len(f0))
    times = np.clip((np.arange(-PAD, count + PAD) - HOP / 2) / HOP, 0, len(f0) - 1)
    pitch = np.interp(times, frames[voiced], f0[voiced])
    gate = voiced[np.round(times).astype(np.intp)].astype(np.float32)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    buzz = np.zeros(len(phase), np.float32)
    for harmonic in range(1, int(SAMPLE_RATE / 2 / pitch.min()) + 1):
        heard = np.clip((SAMPLE_RATE / 2 - harmonic * pitch) / pitch, 0, 1)
        if not heard.any():
            break
        share = 1 - breath * np.minimum(harmonic * pitch / (SAMPLE_RATE / 2), 1)
        buzz += (share * heard * np.cos(harmonic * phase)).astype(np.float32)
    buzz *= np.sqrt(2 * pitch / (SAMPLE_RATE / 2)).astype(np.float32)
    hiss = np.fft.irfft(np.fft.rfft(noise) * np.linspace(0, breath, len(noise) // 2 + 1), len(noise))
    mixed: Samples = (gate * (buzz + hiss) + (1 - gate) * noise).astype(np.float32)
    return mixed
