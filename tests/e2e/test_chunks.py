"""With the real engines, too: how the sound comes in does not change a word of what goes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.audio.endpoint import Endpointer
from ml.audio.read import read
from ml.audio.vad import SileroActivity, SileroNetwork
from ml.audio.webrtc import voice_judge
from ml.engines.protocols import AsrOptions, EngineHome
from ml.engines.registry import Registry, discover
from ml.speech.live import Interpreter, LiveTranslator, Said
from ml.speech.recognise import Recognise
from ml.speech.segment import Segmenter, Slots
from ml.speech.stage import Filling, chain
from ml.speech.tint import AsSpoken
from ml.speech.translate import Translate
from ml.speech.turn import FastTurn


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    registry = Registry(discover(), EngineHome(tmp_path_factory.mktemp("models")))
    yield registry
    registry.close()


@pytest.fixture
def sound(repository: Path) -> np.ndarray:
    return read(repository / "examples" / "audio" / "demo.flac").samples


def pieces(sound: np.ndarray, size: int) -> list[np.ndarray]:
    return [sound[at : at + size] for at in range(0, len(sound), size)]


def test_a_file_in_pieces(engines: Registry, sound: np.ndarray) -> None:
    network = SileroNetwork.load()

    def told(size: int) -> list[tuple]:
        stages = [
            Segmenter(SileroActivity(network), Endpointer()),
            Slots(),
            Filling(Recognise(engines.load("asr"), AsrOptions())),
            Filling(Translate(engines.load("mt"), "en", "es")),
        ]
        return [
            (u.start, u.end, u.room, u.key, u.transcript, u.translation) for u in chain(stages, pieces(sound, size))
        ]

    whole = told(len(sound))
    assert len(whole) == 3
    assert told(777) == whole
    assert told(16000) == whole


def test_a_live_stream_in_pieces(engines: Registry, sound: np.ndarray) -> None:
    network = SileroNetwork.load()
    interpreter = Interpreter(engines.load("mt"), engines.load("tts"), AsSpoken(), "en", "es")

    def said(size: int) -> list[tuple]:
        turn = FastTurn(voice_judge(3))
        stream = LiveTranslator(
            engines.load("asr"), AsrOptions(), SileroActivity(network), turn, interpreter, finish=False
        )
        events = [event for piece in pieces(sound, size) for event in stream.push(piece)]
        return [
            (e.transcript.text, e.transcript.start, e.translation.text, e.decided_at)
            for e in [*events, *stream.flush()]
            if isinstance(e, Said)
        ]

    by_ten_milliseconds = said(160)
    assert len(by_ten_milliseconds) >= 3
    assert said(2500) == by_ten_milliseconds
