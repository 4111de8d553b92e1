"""Made people for simulations of any size: real recordings, heard through other throats, rooms and telephones.

They are made, not real: results on them show how methods compare under differences that we drew, never how much
anybody gains. Everybody says what the recordings say, in parts of a second: those of a made person's training, held-out
and test speech come from different parts of the recordings, but those of two people may be the same. What differs
between people, drawn from the seed and their number alone:

* the vocal tract: a factor of 0.85 to 1.18 on all frequencies (as in vocal tract length perturbation, Jaitly and Hinton
  2013), in dialects around a common factor;
* tilt (dB an octave, around a dialect's own) and level of the speech;
* the room: noise 25 to 60 dB below the speech, white to brown; it is new in every frame, and no model can know it;
* the telephone: none, a cheap microphone (120 to 6,500 Hz) or a line (300 to 3,400 Hz), falling 24 dB an octave beyond.

Knows nothing of models, rounds or files beyond the two short recordings that ship with the package.
"""

from __future__ import annotations

import bz2
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ml.audio.logmel import F_MAX, HOP, HOP_SECONDS, MELS, LogMel, log_mel, mel_filters
from ml.federated.crowd import PARTS, Counts, Part, Person
from ml.voice.training import Split

FILE = "voices.bz2"
STEP, LOWEST = 0.1, -11.6
"""Shipped recordings are log-mel spectra in steps of 0.1 (0.9 dB): 0.25 dB of rounding, a tenth of genesis's error."""

SHARES: dict[Part, float] = {"train": 0.68, "held_out": 0.15, "test": 0.17}
"""Of a person's speech, and of each recording."""

UTTERANCE = 64
"""Frames of an utterance: 1.02 s."""

_NOISE = 2048
"""Frames of white noise that everybody's rooms are made of."""

_TELEPHONES = (((0.0, F_MAX), 0.6), ((120.0, 6500.0), 0.8), ((300.0, 3400.0), 1.0))
"""Limits in Hz, and the share of people up to them."""

_FLOOR = 1e-10
"""The square of the least magnitude of a log-mel spectrum."""


@dataclass(frozen=True)
class Traits:
    """How somebody sounds. `stretch` of frequencies, `tilt` in dB an octave, `level` and `noise` (below the speech) in
    dB, `colour` of the noise in dB an octave, `limits` of the telephone in Hz."""

    group: int
    voice: int
    stretch: float
    tilt: float
    level: float
    noise: float
    colour: float
    limits: tuple[float, float]


@dataclass(frozen=True)
class ImaginedOptions:
    """`seconds` of speech of the median person, all parts together; people differ by up to `spread` octaves either
    way, and every part is a whole number of utterances. `groups` are the dialects."""

    seconds: float = 12.0
    spread: float = 1.0
    groups: int = 4


class Imagined:
    """A crowd of made people (`ml.federated.crowd.Crowd`), of whom nothing is kept."""

    def __init__(
        self, voices: Sequence[Sequence[LogMel]], count: int, seed: int = 0, options: ImaginedOptions | None = None
    ) -> None:
        """`voices` are people's utterances `[T, 80]`. Raises ValueError without voices long enough to be cut in three,
        and for options that make no sense."""
        self._options = options or ImaginedOptions()
        if not voices or any(sum(map(len, one)) < 3 * UTTERANCE for one in voices):
            raise ValueError(f"made people need real voices, each of {3 * UTTERANCE * HOP_SECONDS:.0f} s or more")
        if (
            count < 1
            or not 0 <= seed < 2**64
            or self._options.seconds <= 0
            or self._options.spread < 0
            or self._options.groups < 1
        ):
            raise ValueError(f"these options make no sense: {count} people, seed {seed}, {self._options}")
        self._given, self._count, self._seed = voices, count, seed
        self._voices = [_cut(np.concatenate([one for one in voice if len(one)])) for voice in voices]
        self._loudness = [_loudness(np.concatenate(list(parts.values()))) for parts in self._voices]
        self._hertz = _centres()
        self._octaves = np.log2(self._hertz / 1000)
        rng = np.random.default_rng(0)
        self._noise = np.exp(2 * log_mel(rng.normal(0, 1, HOP * _NOISE).astype(np.float32)))
        self._noise /= self._noise.mean(axis=0)
        drawn = self._chance(2**64 - 1).random((count, 6))
        self._drawn, self._normal = drawn[:, 1:], self._chance(2**64 - 2).standard_normal((count, 3))
        self._dialects = self._chance(2**64 - 3).uniform((-0.1, -2.0), (0.1, 2.0), (self._options.groups, 2))
        seconds = self._options.seconds * 2 ** (self._options.spread * (2 * drawn[:, 0] - 1))
        self._frames: dict[Part, Counts] = {
            part: UTTERANCE * np.maximum(np.rint(seconds * share / HOP_SECONDS / UTTERANCE), 1).astype(np.int64)
            for part, share in SHARES.items()
        }

    def __reduce__(
        self,
    ) -> tuple[type[Imagined], tuple[Sequence[Sequence[LogMel]], int, int, ImaginedOptions]]:
        """Travels as the voices that it is made of and some numbers, however many people there are."""
        return Imagined, (self._given, self._count, self._seed, self._options)

    def __len__(self) -> int:
        """How many people."""
        return self._count

    def __getitem__(self, at: int, /) -> Person:
        """One of them. Raises IndexError when there is no such one."""
        if not 0 <= at < self._count:
            raise IndexError(f"there are {self._count} people, and none of number {at}")
        train, held_out, test = (self.utterances(part, at) for part in PARTS)
        return Person(f"made {at}", f"dialect {self.traits(at).group}", Split(train, held_out), test)

    def lengths(self, part: Part) -> Counts:
        """Frames of everybody's utterances, `[people, utterances]`: seconds each, and what is left over."""
        frames = self._frames[part]
        begins = UTTERANCE * np.arange(-(-int(frames.max()) // UTTERANCE))
        lengths: Counts = np.clip(frames[:, None] - begins, 0, UTTERANCE)
        return lengths

    def utterances(self, part: Part, at: int) -> tuple[LogMel, ...]:
        """Somebody's speech, of the lengths that were told."""
        traits, draw = self.traits(at), self._chance(at, PARTS.index(part))
        source = self._voices[traits.voice][part]
        frames = int(self._frames[part][at])
        count = -(-frames // UTTERANCE)
        begins = draw.integers(0, len(source) - UTTERANCE + 1, count)
        places = (begins[:, None] + np.arange(UTTERANCE)).ravel()[:frames]
        noise = self._noise[draw.integers(0, _NOISE, frames)]
        through, room = self._hearing(traits)
        power = source[places] @ through
        power += noise * room
        heard = np.log(np.maximum(power, _FLOOR, out=power), out=power)
        heard *= np.float32(0.5)
        return tuple(heard[first : first + UTTERANCE] for first in range(0, frames, UTTERANCE))

    def traits(self, at: int) -> Traits:
        """What makes a person sound as they do."""
        group, voice, telephone, noise, colour = self._drawn[at].tolist()
        stretch, tilt, level = self._normal[at].tolist()
        dialect = int(group * self._options.groups)
        centre, slope = self._dialects[dialect].tolist()
        return Traits(
            dialect,
            int(voice * len(self._voices)),
            stretch=math.exp(min(max(centre + 0.04 * stretch, math.log(0.85)), -math.log(0.85))),
            tilt=slope + tilt,
            level=4 * level,
            noise=25 + 35 * noise,
            colour=-6 * colour,
            limits=next(limits for limits, share in _TELEPHONES if telephone < share),
        )

    def _chance(self, stream: int, part: int = 0) -> np.random.Generator:
        """Chance that depends on the seed, the stream and the part alone (counter-based: Salmon et al. 2011)."""
        return np.random.Generator(
            np.random.Philox(
                key=np.array([self._seed, stream], np.uint64), counter=np.array([0, 0, 0, part], np.uint64)
            )
        )

    def _hearing(self, traits: Traits) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """What turns a voice's powers into those that are heard, `[80, 80]`, and the power of the noise `[80]`."""
        hertz, octaves = self._hertz, self._octaves
        low, high = traits.limits
        beyond = np.maximum(np.log2(low / hertz) if low else 0.0, 0) + np.maximum(np.log2(hertz / high), 0)
        gain = traits.level + traits.tilt * octaves - 24 * beyond
        places = np.interp(hertz / traits.stretch, hertz, np.arange(MELS))
        whole = np.minimum(places.astype(int), MELS - 2)
        through = np.zeros((MELS, MELS))
        through[whole, np.arange(MELS)] = 1 - (places - whole)
        through[whole + 1, np.arange(MELS)] = places - whole
        through *= _power(gain)
        room = self._loudness[traits.voice] + traits.level - traits.noise + traits.colour * octaves
        return through.astype(np.float32), _power(room - 24 * beyond).astype(np.float32)


def imagined(
    voices: Sequence[Sequence[LogMel]] | None, count: int, seed: int = 0, options: ImaginedOptions | None = None
) -> Imagined:
    """`count` made people out of real voices, by default the two that ship with the package."""
    return Imagined(shipped_voices() if voices is None else voices, count, seed, options)


def shipped_voices() -> tuple[tuple[LogMel, ...], ...]:
    """The two public-domain readers of `examples/audio` (13.8 and 8.1 s), as log-mel spectra in steps of 0.9 dB."""
    return unpacked((resources.files("ml.federated") / "data" / FILE).read_bytes())


def packed(voices: Sequence[LogMel]) -> bytes:
    """Spectra in 8 bits, as differences from frame to frame: the shipped file is that of `examples/audio`."""
    body = [len(voices).to_bytes(2, "little"), *(len(one).to_bytes(4, "little") for one in voices)]
    for one in voices:
        steps = np.clip(np.rint((one - LOWEST) / STEP), 0, 255).astype(np.uint8)
        body.append(np.diff(steps, axis=0, prepend=np.zeros((1, MELS), np.uint8)).tobytes())
    return bz2.compress(b"".join(body))


def unpacked(data: bytes) -> tuple[tuple[LogMel, ...], ...]:
    """The spectra that `packed` was given, one utterance each."""
    body = bz2.decompress(data)
    count = int.from_bytes(body[:2], "little")
    sizes = np.frombuffer(body, "<u4", count, 2).astype(int)
    begins = np.cumsum([2 + 4 * count, *(MELS * sizes)])
    steps = [
        np.frombuffer(body[begin:end], np.uint8).reshape(-1, MELS).cumsum(axis=0, dtype=np.uint8)
        for begin, end in pairwise(begins.tolist())
    ]
    return tuple((one.astype(np.float32) * np.float32(STEP) + np.float32(LOWEST),) for one in steps)


def _cut(frames: LogMel) -> dict[Part, npt.NDArray[np.float32]]:
    """A recording's powers in three parts one after another, none shorter than an utterance."""
    left = len(frames) - len(PARTS) * UTTERANCE
    train, held_out = (UTTERANCE + int(SHARES[part] * left) for part in PARTS[:2])
    pieces = np.split(np.exp(2 * frames), [train, train + held_out])
    return dict(zip(PARTS, pieces, strict=True))


def _centres() -> npt.NDArray[np.float64]:
    """Middle frequencies of the mel bands, in Hz."""
    filters = mel_filters()
    centres: npt.NDArray[np.float64] = filters @ np.linspace(0, F_MAX, filters.shape[1]) / filters.sum(axis=1)
    return centres


def _power(decibels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = 10 ** (decibels / 10)
    return found


def _loudness(power: npt.NDArray[np.float32]) -> float:
    """How loud the louder half of the frames is in the mean, in dB."""
    levels = np.sort(power.mean(axis=1))
    return float(10 * np.log10(levels[len(levels) // 2 :].mean()))
