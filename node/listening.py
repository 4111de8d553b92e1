"""Finds the speech in a recording, for getting to know a voice.

Knows nothing of words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ml.audio.endpoint import Endpointer
from ml.audio.read import blocks
from ml.audio.vad import SileroActivity, SileroNetwork
from ml.speech.items import SpeechClosed
from ml.speech.segment import Segmenter
from ml.types import SAMPLE_RATE, Audio, Samples


class Heard:
    """Counts the sound that passes."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.samples = 0

    @property
    def seconds(self) -> float:
        """How much has been read."""
        return self.samples / SAMPLE_RATE

    def through(self, source: Iterable[Samples]) -> Iterator[Samples]:
        """The same blocks, counted."""
        for block in source:
            self.samples += len(block)
            yield block


def speech_of(path: Path, network: SileroNetwork, enough: float, heard: Callable[[float], None]) -> list[Audio]:
    """The first utterances of a recording, `enough` seconds of speech in all, or fewer if it has no more.

    `heard` is told how far it has been read. Raises BadAudio.
    """
    segmenter = Segmenter(SileroActivity(network), Endpointer())
    counted = Heard()
    found: list[Audio] = []
    with blocks(path) as sound:
        for block in counted.through(sound):
            found.extend(event.audio for event in segmenter.process(block) if isinstance(event, SpeechClosed))
            heard(counted.seconds)
            if sum(audio.seconds for audio in found) >= enough:
                return found
    found.extend(event.audio for event in segmenter.flush() if isinstance(event, SpeechClosed))
    return found
