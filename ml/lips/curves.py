"""From sounds with their times to how the mouth moves: the curves of a whole speech, or of one that is still going on.

Each sound becomes one gesture or two; vowels open the mouth the further, the louder they are said; what blends them is
`ml.lips.dominance`. A row of curves depends on nothing that is said more than LOOK_AHEAD after the sound it is in, so a
stream gives the same rows as the whole. Knows no text, no engine and no picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ml.lips.dominance import HELD, RATE, REACH, Gesture, Rows, blend
from ml.lips.levels import LEAD, burst, loudness, vowel_level
from ml.lips.types import Curves, Source
from ml.lips.visemes import SILENCE, Viseme, visemes
from ml.types import Audio, Phoneme, Speech

LOOK_AHEAD = REACH + 3 / RATE
"""Seconds that must be known after the end of a sound before its curves are final."""

_BREATH = 0.15
"""Seconds after which a pause is one, and the lips close; in a shorter one they begin to."""
_SEAM = 0.08
"""Seconds between two sounds that an aligner leaves and that are no pause."""
_BURST = 0.7
"""The share of a p or b that is over when the lips part."""
_LOUDNESS_POWER = 0.5
"""Opening follows amplitude to this power: 6 dB less open the mouth to 71 %."""
_QUIET, _LOUD = 0.6, 1.2
"""How far loudness may scale an opening."""
_FOREVER = 1e6


def curves(speech: Speech, source: Source = "phonemes") -> Curves:
    """The curves of a speech whose phonemes are known, from its first sample to its last: `[seconds * 100 + 1, 4]`.

    Raises ValueError for phonemes that are not in order of time.
    """
    stream = CurveStream(loudness(speech))
    return Curves(np.concatenate([stream.add(speech), stream.finish()]), RATE, source)


class CurveStream:
    """Curves of a speech that comes piece by piece, as of a synthesiser that streams.

    Pieces follow one another without a gap and are cut between sounds. Memory does not grow with their number.
    """

    def __init__(self, level: float | None = None) -> None:
        """`level` is the `loudness` at which the mouth opens as far as each vowel's own target; None leaves it there
        however loud a vowel is."""
        self._level = level
        self._gestures = [Gesture(SILENCE, -_FOREVER, 0.0)]
        self._seconds = 0.0
        self._tail = np.zeros(0, np.float32)
        self._rows = 0
        self._finished = False

    @property
    def seconds(self) -> float:
        """How much has been said so far."""
        return self._seconds

    def add(self, speech: Speech) -> Rows:
        """Say a piece more; the rows `[N, 4]` that are final now and were not before. A piece without phonemes is a
        pause. Raises ValueError for phonemes that are not in order of time, and after `finish`."""
        if self._finished:
            raise ValueError("the speech is over: begin another stream")
        begin = self._seconds - len(self._tail) / speech.audio.rate
        heard = Audio(np.concatenate([self._tail, speech.audio.samples]), speech.audio.rate)
        offset = self._seconds - begin
        for phoneme in _filled(speech.phonemes, speech.audio.seconds):
            moved = replace(phoneme, start=phoneme.start + offset, end=phoneme.end + offset)
            self._say(moved, begin, heard)
        self._seconds += speech.audio.seconds
        self._tail = heard.samples[-round(LEAD * heard.rate) :]
        return self._final()

    def finish(self) -> Rows:
        """The rows up to the end of what was said, with the lips closing after it."""
        if self._finished:
            return np.zeros((0, 4), np.float32)
        self._finished = True
        self._gestures.append(Gesture(SILENCE, self._seconds, _FOREVER))
        return self._until(int(self._seconds * RATE + 1e-6) + 1)

    def _say(self, phoneme: Phoneme, begin: float, audio: Audio) -> None:
        start, end = begin + phoneme.start, begin + phoneme.end
        shapes, last = visemes(phoneme.symbol), self._gestures[-1]
        if not shapes or (shapes == (SILENCE,) and last.viseme is SILENCE):
            self._gestures[-1] = _lasting(last, end)
            return
        gain = self._gain(phoneme, audio)
        step = (end - start) / len(shapes)
        for place, shape in enumerate(shapes):
            first = start + place * step
            part = replace(phoneme, start=phoneme.start + place * step, end=phoneme.start + (place + 1) * step)
            gesture = Gesture(shape, first, first + step, (0.0, 0.0), gain if shape.is_vowel else 1.0)
            if shape.press:
                begins, ends = _held(shape, part, audio)
                gesture = replace(gesture, held=(begin + begins, begin + ends))
            self._gestures.append(_lasting(gesture, gesture.end))

    def _gain(self, phoneme: Phoneme, audio: Audio) -> float:
        level = None if self._level is None else vowel_level(phoneme, audio)
        if level is None or self._level is None:
            return 1.0
        return float(np.clip(10 ** ((level - self._level) / 20 * _LOUDNESS_POWER), _QUIET, _LOUD))

    def _final(self) -> Rows:
        last = self._gestures[-1]
        lasting = last.viseme is SILENCE and last.strength == 1.0
        return self._until(int(((self._seconds if lasting else last.start) - REACH) * RATE) - 2)

    def _until(self, row: int) -> Rows:
        rows = blend(self._gestures, self._rows, max(0, row - self._rows))
        self._rows = max(row, self._rows)
        gone = self._rows / RATE - LOOK_AHEAD
        self._gestures = [g for g in self._gestures[:-1] if g.end > gone] + self._gestures[-1:]
        return rows


def _lasting(gesture: Gesture, end: float) -> Gesture:
    """The same until another end; a pause rules the stronger, the longer it is."""
    if gesture.viseme is SILENCE:
        return replace(gesture, end=end, strength=min(1.0, (end - gesture.start) / _BREATH))
    held = (gesture.held[0], end) if gesture.held[1] == gesture.end else gesture.held
    return replace(gesture, end=end, held=held)


def _filled(phonemes: Sequence[Phoneme], seconds: float) -> Iterator[Phoneme]:
    """The same sounds with no time between them and none in which there are two: a short seam goes to the sound before,
    a longer one is a pause, and a sound is over when the next begins."""
    at = 0.0
    for number, phoneme in enumerate(phonemes):
        following = phonemes[number + 1].start if number + 1 < len(phonemes) else seconds
        if following < phoneme.start and number + 1 < len(phonemes):
            raise ValueError("phonemes must be in order of time")
        start, end = max(at, phoneme.start), min(phoneme.end, following, seconds)
        if start > at:
            yield Phoneme("", at, start)
        if end > start:
            at = following if end < following < end + _SEAM else end
            yield replace(phoneme, start=start, end=at)
    if seconds > at:
        yield Phoneme("", at, seconds)


def _held(shape: Viseme, phoneme: Phoneme, audio: Audio) -> tuple[float, float]:
    """From when to when lips are shut or tucked for one sound: a p or b up to its burst, all others as long as they
    sound."""
    if shape.press < 1 or phoneme.symbol.startswith(("m", "ɱ")):
        return phoneme.start, phoneme.end
    parted = burst(phoneme, audio)
    if parted is None:
        parted = phoneme.start + _BURST * (phoneme.end - phoneme.start)
    return min(phoneme.start, parted - HELD), parted
