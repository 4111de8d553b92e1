"""Sounds and their times for speech of any voice whose text is known.

A voice that tells its sounds says the same text, unheard; what it says is laid along the speech, and its times are
carried over. Or an aligner tells where the words lie, and the sounds are carried over within each. Knows no curves and
no engine by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ml.engines.protocols import Alignment, Tts
from ml.errors import BadAudio, BadText
from ml.lips.dtw import features, lay
from ml.types import SAMPLE_RATE, Audio, Delivery, Phoneme, Speech, Word

MOST_COST = 0.645
"""Cost of a `ml.lips.dtw.Path` above which the speech does not say the text. Voices of espeak-ng among each other have
0.14 to 0.49, read English 0.51 to 0.61, with noise or long pauses up to 0.64; with another text 0.64 to 0.80, and of
espeak-ng 0.61 to 0.68: a text that is not said is noticed mostly, not always."""

_SLOWEST, _QUICKEST = 0.4, 2.5
"""Paces, relative to the voice's own, beyond which nobody says the text."""
_NEAR_ENOUGH = 0.08
_SILENT_DB = 35.0
"""dB below the loud parts of a speech at which it is silent."""
_PAUSE = 0.15
"""Seconds of silence that are a pause, and no closure of a stop."""
_LEAST = 0.02
"""Seconds that every sound lasts."""
_HOP = 160
_UNSAID = "The speech does not seem to say its text."


def laid(speech: Speech, voice: Tts) -> tuple[Phoneme, ...]:
    """The sounds of a speech with their times in it, as `voice` says them and when they are heard.

    Raises BadAudio where nothing is heard; BadText where the speech does not say its text, or the voice does not say
    which sounds it makes of it; what `voice.speak` raises.
    """
    begin, end = _heard(speech.audio)
    spoken, first, last = _paced(speech, voice, end - begin)
    path = lay(
        features(spoken.audio.cut(first, last).samples),
        features(speech.audio.cut(begin, end).samples),
    )
    if path.cost > MOST_COST:
        raise BadText(_UNSAID, "Give the text that is said, in its language.")
    edges = [
        (p.symbol, begin + path(max(0.0, p.start - first)), begin + path(max(0.0, p.end - first)))
        for p in spoken.phonemes
        if p.symbol
    ]
    return tuple(_without_pauses(_lasting(edges, speech.audio.seconds), _pauses(speech.audio)))


def told(alignment: Alignment) -> tuple[Phoneme, ...]:
    """The sounds of an alignment with no time between those of a word: networks tell of a sound where it is clearest,
    and say nothing until the next; the one ends and the other begins half way."""
    sounds = [p for p in alignment.phonemes if p.symbol]
    owners = [next((w for w in alignment.words if w.start - 1e-6 <= p.start < w.end), None) for p in sounds]
    found: list[Phoneme] = []
    for number, (sound, owner) in enumerate(zip(sounds, owners, strict=True)):
        if owner is not None and number and owners[number - 1] is owner:
            edge = (found[-1].end + sound.start) / 2
            found[-1] = replace(found[-1], end=edge)
            sound = replace(sound, start=edge)
        elif owner is not None:
            sound = replace(sound, start=min(sound.start, owner.start))
        last = number + 1 == len(sounds) or owners[number + 1] is not owner
        found.append(replace(sound, end=max(sound.end, owner.end)) if owner is not None and last else sound)
    return tuple(found)


def within_words(speech: Speech, words: Sequence[Word], voice: Tts) -> tuple[Phoneme, ...]:
    """The sounds of a speech whose words lie where an aligner found them; within a word their times are as `voice`
    has them. Raises BadText where voice and aligner see different words, and what `voice.speak` raises."""
    spoken = voice.speak(speech.text, speech.language, Delivery())
    if len(spoken.words) != len(words) or not words or not spoken.phonemes:
        raise BadText("The voice and the aligner do not see the same words.", "Use an aligner that tells sounds.")
    here = [t for word in spoken.words for t in (word.start, word.end)]
    there = np.maximum.accumulate([t for word in words for t in (word.start, word.end)])
    edges = [
        (p.symbol, float(np.interp(p.start, here, there)), float(np.interp(p.end, here, there)))
        for p in spoken.phonemes
        if p.symbol
    ]
    return tuple(_lasting(edges, speech.audio.seconds))


def _paced(speech: Speech, voice: Tts, seconds: float) -> tuple[Speech, float, float]:
    """The text said by `voice` in about that many seconds, and from when to when it is heard."""
    spoken = voice.speak(speech.text, speech.language, Delivery())
    first, last = _heard(spoken.audio)
    if not spoken.phonemes:
        raise BadText("The voice does not say which sounds it makes.", "Use espeak-ng.")
    if abs((last - first) / seconds - 1) > _NEAR_ENOUGH:
        speed = (last - first) / seconds
        if not _SLOWEST <= speed <= _QUICKEST:
            raise BadText(_UNSAID, "Give the text that is said, in its language.")
        spoken = voice.speak(speech.text, speech.language, Delivery(speed=speed))
        first, last = _heard(spoken.audio)
    return spoken, first, last


def _loud(audio: Audio) -> npt.NDArray[np.bool_]:
    """Whether something is heard in each 10 ms `[N // 160]`. Raises BadAudio for another rate, or where nothing is."""
    if audio.rate != SAMPLE_RATE:
        raise BadAudio(f"Speech is laid at {SAMPLE_RATE} Hz, not {audio.rate} Hz.", "Read it with ml.audio.read.")
    blocks = audio.samples[: len(audio.samples) // _HOP * _HOP].reshape(-1, _HOP).astype(np.float64)
    power = np.mean(blocks**2, axis=1) if len(blocks) else np.zeros(1)
    if power.max() < 1e-9:
        raise BadAudio("There is nothing to be heard.", "Give a recording of speech.")
    return np.asarray(power > np.percentile(power, 95) * 10 ** (-_SILENT_DB / 10))


def _heard(audio: Audio) -> tuple[float, float]:
    """From when to when something is heard, in seconds."""
    places = np.flatnonzero(_loud(audio))
    return float(places[0]) * _HOP / SAMPLE_RATE, float(places[-1] + 1) * _HOP / SAMPLE_RATE


def _pauses(audio: Audio) -> list[tuple[float, float]]:
    """Where speech pauses, in seconds."""
    silent = np.concatenate([[0], (~_loud(audio)).astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(silent)).reshape(-1, 2) * (_HOP / SAMPLE_RATE)
    return [(start, end) for start, end in edges.tolist() if end - start >= _PAUSE]


def _lasting(edges: Sequence[tuple[str, float, float]], seconds: float) -> list[Phoneme]:
    """The sounds with at least _LEAST seconds each, in order, as far as there is time for them."""
    if not edges:
        return []
    least = min(_LEAST, seconds / len(edges))
    starts = [start for _, start, _ in edges]
    for number, start in enumerate(starts):
        starts[number] = max(start, starts[number - 1] + least if number else 0.0)
    until = seconds
    for number in reversed(range(len(starts))):
        until = starts[number] = min(starts[number], until - least)
    nexts = [*starts[1:], seconds]
    return [
        Phoneme(symbol, start, min(max(end, start + least), following))
        for (symbol, _, end), start, following in zip(edges, starts, nexts, strict=True)
    ]


def _without_pauses(sounds: Sequence[Phoneme], pauses: Sequence[tuple[float, float]]) -> Iterator[Phoneme]:
    """The sounds as far as they are not in a pause; of two parts on both sides of one, the longer. One that is all in a
    pause is a quiet one, and stays."""
    for sound in sounds:
        start, end = sound.start, sound.end
        for first, last in pauses:
            if start < last and end > first:
                start, end = (start, first) if first - start >= end - last else (last, end)
        yield replace(sound, start=start, end=end) if end - start > 1e-3 else sound
