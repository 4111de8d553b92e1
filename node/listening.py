"""Finds the speech in a recording, for getting to know a voice.

Knows nothing of words.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
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


def utterances(sound: Iterable[Samples], network: SileroNetwork) -> Iterator[Audio]:
    """The utterances in a stream of 16 kHz samples, each as soon as it is over; holds no more than one."""
    segmenter = Segmenter(SileroActivity(network), Endpointer())
    for block in sound:
        yield from (event.audio for event in segmenter.process(block) if isinstance(event, SpeechClosed))
    yield from (event.audio for event in segmenter.flush() if isinstance(event, SpeechClosed))


def speech_in(path: Path, network: SileroNetwork, heard: Callable[[float], None]) -> Generator[Audio, None, None]:
    """The utterances of a recording; `heard` is told how far it has been read. Raises BadAudio while iterating."""
    counted = Heard()
    with blocks(path) as sound:
        yield from utterances(_telling(counted, sound, heard), network)


def speech_of(path: Path, network: SileroNetwork, enough: float, heard: Callable[[float], None]) -> list[Audio]:
    """The first utterances of a recording, `enough` seconds of speech in all, or fewer if it has no more.

    `heard` is told how far it has been read. Raises BadAudio.
    """
    found: list[Audio] = []
    with closing(speech_in(path, network, heard)) as speech:
        for audio in speech:
            found.append(audio)
            if sum(one.seconds for one in found) >= enough:
                break
    return found


def _telling(counted: Heard, sound: Iterable[Samples], heard: Callable[[float], None]) -> Iterator[Samples]:
    for block in counted.through(sound):
        yield block
        heard(counted.seconds)
