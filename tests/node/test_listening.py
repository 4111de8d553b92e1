"""Speech is found in a recording, as much as is asked for."""

import pytest

from ml.audio.read import read
from ml.audio.vad import SileroNetwork
from node.listening import Heard, speech_of


def test_all_utterances_or_enough_of_them(repository):
    demo, network, places = repository / "examples" / "audio" / "demo.flac", SileroNetwork.load(), []
    speech = speech_of(demo, network, 100.0, places.append)
    assert len(speech) == 3
    assert 9 < sum(audio.seconds for audio in speech) < read(demo).seconds
    assert places == sorted(places)
    assert places[-1] == pytest.approx(read(demo).seconds, abs=1e-3)
    assert len(speech_of(demo, network, 1.0, places.append)) == 1


def test_what_passes_is_counted():
    heard = Heard()
    assert [len(block) for block in heard.through([b"x" * 8000, b"y" * 8000])] == [8000, 8000]
    assert heard.seconds == 1.0
