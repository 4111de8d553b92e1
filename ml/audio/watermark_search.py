"""Whether sound carries the watermark of synthetic speech, where, and what it says.

The sound is looked at in windows of five periods. In each, log energies by band and time are compared from one half
of a slot to the other, evened out over the bands, limited, and folded to one period; the pilot's signs are then tried
at every offset of 8 ms and at 13 speeds from -1.2 to +1.2 %, and the message is read where the pilot fits best. The
score of a try is its correlation in standard deviations. For sound that was made without regard to the key, the signs
are as good as coin flips, so that the chance of a score of z or more is at most 3.18 times the tail of the normal
distribution, whatever the sound is (Bentkus and Dzindzalieta 2015, for weighted sums of random signs); times the
number of tries (for the score of pilot and message together also times the 2^24 messages) this is `chance`, the
false-positive rate of the whole search. Sound may come in pieces: a window
of it is held. Knows nothing of files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from ml.audio.markcode import CODED, JOB_BITS, VERSION_BITS, Mark, decode, encode
from ml.audio.markgrid import BANDS, EDGES, HOLD, PILOT, PUBLIC_KEY, SLOTS, grid
from ml.types import SAMPLE_RATE, Audio, Samples

FALSE_ALARMS = 1e-5
"""The chance at or below which sound counts as marked."""
SPEEDS = tuple(round(1 + 0.002 * step, 3) for step in range(-6, 7))
"""How many times as fast as it was marked sound may be played, pitch and all, and still be found."""
MESSAGES = 1 << (VERSION_BITS + JOB_BITS)
"""How many messages there are."""
SHORTEST_SECONDS = 1.0
"""Below this nothing is found."""

Matrix = npt.NDArray[np.float64]

_LENGTH = 512
_HOP = 128
_STEP = _HOP / SAMPLE_RATE
_HALF = round(HOLD * 0.016 / _STEP)
_SLOT = 2 * _HALF
_PERIOD = SLOTS * _SLOT
_WINDOW = 5 * _PERIOD
_FLOOR = 10**-3.5
_QUIET = 10**-6.0
_LIMIT = 0.7
_NOISE = 1.0
_BENTKUS = 3.178


@dataclass(frozen=True)
class Sighting:
    """The best try of one window: from `start` to `end` seconds, at `speed`.

    `pilot` is the score of the pilot; `whole` that of pilot and message together, 0 where no message is read.
    """

    start: float
    end: float
    speed: float
    pilot: float
    whole: float
    mark: Mark | None
    """What this window alone says."""
    soft: tuple[float, ...]
    """What speaks for a one in each coded bit of the message."""

    def chance(self, tries: int) -> float:
        """How probable a sighting as good is at most, as the best of `tries` on sound that knows nothing of the key."""
        return min(1.0, chance_of(self.pilot, 2 * tries), chance_of(self.whole, 2 * tries * MESSAGES))


@dataclass(frozen=True)
class Detection:
    """What a search found. `chance` is how probable a score as high is, at most, anywhere in unmarked sound."""

    found: bool
    score: float
    chance: float
    mark: Mark | None
    """What the watermark says, if it was found and its CRC is right."""
    spans: tuple[tuple[float, float], ...] = ()
    """From where to where, in seconds, it was found: windows of up to 10 s, joined."""
    speed: float = 1.0


class WatermarkSearch:
    """Finds the watermark of one key. Built once, used for any number of recordings."""

    def __init__(self, key: bytes = PUBLIC_KEY) -> None:
        """The key is the one that the mark was made with."""
        plan = grid(key)
        pilot = plan.carries == PILOT
        turns = [np.roll(np.where(pilot, plan.signs, 0), turn, axis=0) for turn in range(SLOTS)]
        self._pilots = np.stack(turns).reshape(SLOTS, -1)
        self._signs, self._carries, self._pilot = plan.signs, plan.carries, pilot

    def detect(self, audio: Audio, false_alarms: float = FALSE_ALARMS) -> Detection:
        """Look for the mark in all of `audio`, mono at any rate. `found` if `chance` is at most `false_alarms`."""
        samples = audio.samples
        if audio.rate != SAMPLE_RATE:
            samples = soxr.resample(samples, audio.rate, SAMPLE_RATE)
        return self.detect_in([samples], false_alarms)

    def detect_in(self, pieces: Iterable[Samples], false_alarms: float = FALSE_ALARMS) -> Detection:
        """The same for sound at 16 kHz in pieces `[N]` of any lengths, one after the other. No more of it is held than
        the longest piece and a window."""
        sightings = list(self._sightings(pieces))
        if not sightings:
            return Detection(False, 0.0, 1.0, None)
        tries = len(sightings) * len(SPEEDS) * _PERIOD
        best = min(sightings, key=lambda one: (one.chance(tries), -one.pilot))
        chance = best.chance(tries)
        if chance > false_alarms:
            return Detection(False, best.pilot, chance, None)
        sure = [one for one in sightings if one.chance(tries) <= false_alarms]
        mark = decode(np.array([one.soft for one in sure]).sum(axis=0)) or best.mark
        return Detection(True, best.pilot, chance, mark, tuple(_joined(sure)), best.speed)

    def _sightings(self, pieces: Iterable[Samples]) -> Iterator[Sighting]:
        """A try of each window, which begin half a window apart; the last is shorter, and of more than half a window
        unless it is the only one."""
        held = np.zeros(0, np.float32)
        start = 0
        whole = (_WINDOW - 1) * _HOP + _LENGTH
        for piece in pieces:
            piece = np.asarray(piece, np.float32)
            held = np.concatenate([held, piece]) if len(held) else piece
            while len(held) >= whole:
                yield from self._sighting(held[:whole], start)
                held = held[_WINDOW // 2 * _HOP :]
                start += _WINDOW // 2
            held = held.copy()  # no view that keeps what it is of
        frames = (len(held) - _LENGTH) // _HOP + 1
        if frames > _WINDOW // 2 or (start == 0 and len(held) >= SHORTEST_SECONDS * SAMPLE_RATE):
            yield from self._sighting(held[: (frames - 1) * _HOP + _LENGTH], start)

    def _sighting(self, samples: Samples, start: int) -> Iterator[Sighting]:
        """The best try of one window that begins at the frame `start`; none of silence."""
        found = self._best(samples)
        if found is None:
            return
        pilot, speed, aligned = found
        data = ~self._pilot
        soft = np.bincount(self._carries[data], (self._signs * aligned)[data], CODED).astype(np.float64)
        mark = decode(soft)
        whole = 0.0 if mark is None else self._whole(aligned, mark)
        last = (start * _HOP + len(samples)) / SAMPLE_RATE
        yield Sighting(start * _STEP, last, speed, pilot, whole, mark, tuple(soft))

    def _whole(self, aligned: Matrix, mark: Mark) -> float:
        """The score of all cells together, were `mark` what they say."""
        bits = 2.0 * encode(mark) - 1
        signs = self._signs * np.where(self._pilot, 1.0, bits[self._carries])
        return float((signs * aligned).sum() / max(np.sqrt((aligned**2).sum()), 1e-9))

    def _best(self, samples: Samples) -> tuple[float, float, Matrix] | None:
        """The best score of the pilot over speeds and offsets, its speed, and the period there `[32, 52]`."""
        gathered = _gathered(samples)
        if not gathered.any():
            return None
        best: tuple[float, float, Matrix, int, int] | None = None
        for speed in SPEEDS:
            folded = _folded(_contrasts(*_levels(gathered, speed)))
            by_phase = folded.reshape(SLOTS, _SLOT, BANDS).transpose(0, 2, 1).reshape(SLOTS * BANDS, _SLOT)
            norm = np.sqrt((self._pilots**2) @ (by_phase**2))
            scores = self._pilots @ by_phase / np.maximum(norm, 1e-9)
            turn, phase = divmod(int(scores.argmax()), _SLOT)
            if best is None or scores[turn, phase] > best[0]:
                best = float(scores[turn, phase]), speed, folded, turn, phase
        if best is None:
            return None
        score, speed, folded, turn, phase = best
        return score, speed, np.roll(folded.reshape(SLOTS, _SLOT, BANDS)[:, phase], -turn, axis=0)


def detect(audio: Audio, false_alarms: float = FALSE_ALARMS) -> Detection:
    """Look for Babelmesh's watermark in all of `audio`."""
    return WatermarkSearch().detect(audio, false_alarms)


def chance_of(score: float, tries: int) -> float:
    """How probable a score this high is at most, in `tries` tries on sound that knows nothing of the key."""
    return min(1.0, tries * _BENTKUS * math.erfc(score / math.sqrt(2)) / 2)


def _gathered(samples: Samples) -> Matrix:
    """Power up to each bin `[T, 258]`, so that the power between any two frequencies is a difference."""
    window = np.sin(np.pi * (np.arange(_LENGTH) + 0.5) / _LENGTH) ** 2
    frames = np.lib.stride_tricks.sliding_window_view(samples, _LENGTH)[::_HOP]
    spectrum = np.fft.rfft(frames * window)
    power = spectrum.real**2 + spectrum.imag**2
    return np.pad(np.cumsum(power, axis=1), ((0, 0), (1, 0)))


def _levels(gathered: Matrix, speed: float) -> tuple[Matrix, Matrix]:
    """dB by frame and band `[T', 52]` as they were before the sound was played `speed` times as fast, and their trust.

    A band's noise is taken for what it is in its quietest tenth; a level is trusted by the share that is not noise.
    """
    place = np.clip(EDGES * speed * _LENGTH / SAMPLE_RATE + 0.5, 0, gathered.shape[1] - 1)
    below = np.minimum(place.astype(np.intp), gathered.shape[1] - 2)
    at_edges = gathered[:, below] + (place - below) * (gathered[:, below + 1] - gathered[:, below])
    energy = np.maximum(np.diff(at_edges, axis=1), 0)
    mean = _running_mean(energy, round(1 / _STEP))
    level = 10 * np.log10(energy + _FLOOR * mean + _QUIET * mean.mean(axis=1, keepdims=True) + 1e-14)
    noise = _NOISE * np.quantile(energy, 0.1, axis=0)
    trust = np.clip(1 - (noise + 1e-14) / (energy + 1e-14), 0, 1)
    if speed == 1:
        return level, trust
    times = np.arange(int((len(level) - 1) * speed) + 1) / speed
    before = np.minimum(times.astype(np.intp), len(level) - 2)
    share = (times - before)[:, None]
    between, trusted = (part[before] * (1 - share) + part[before + 1] * share for part in (level, trust))
    return between, trusted


def _contrasts(level: Matrix, trust: Matrix) -> Matrix:
    """First half of a slot against the second, begun at each frame `[T, 52]`: whitened over bands, limited to +-1, and
    weighed by the trust in the less sure half."""
    half, sure = (_sums(part)[_HALF:] - _sums(part)[:-_HALF] for part in (level, trust))
    contrast = half[:-_HALF] - half[_HALF:]
    weight = np.minimum(sure[:-_HALF], sure[_HALF:]) / _HALF
    spread = contrast.T @ contrast / len(contrast)
    spread += np.eye(BANDS) * (0.05 * np.trace(spread) / BANDS + 1e-12)
    values, vectors = np.linalg.eigh(spread)
    white = contrast @ (vectors / np.sqrt(values)) @ vectors.T
    limited: Matrix = np.tanh(white / _LIMIT) * weight
    return limited


def _folded(contrast: Matrix) -> Matrix:
    """The sum over all periods `[256, 52]`."""
    short = -len(contrast) % _PERIOD
    folded: Matrix = np.pad(contrast, ((0, short), (0, 0))).reshape(-1, _PERIOD, BANDS).sum(axis=0)
    return folded


def _sums(values: Matrix) -> Matrix:
    """Sums up to each row `[T + 1, B]`."""
    return np.pad(np.cumsum(values, axis=0), ((1, 0), (0, 0)))


def _running_mean(values: Matrix, reach: int) -> Matrix:
    """The mean over up to `reach` rows to either side `[T, B]`."""
    sums = _sums(values)
    rows = np.arange(len(values))
    first, last = np.maximum(rows - reach, 0), np.minimum(rows + reach + 1, len(values))
    mean: Matrix = (sums[last] - sums[first]) / (last - first)[:, None]
    return mean


def _joined(sightings: list[Sighting]) -> Iterator[tuple[float, float]]:
    start, end = sightings[0].start, sightings[0].end
    for one in sightings[1:]:
        if one.start > end:
            yield start, end
            start = one.start
        end = one.end
    yield start, end
