"""Pieces add up to the whole length and meet in silence."""

from __future__ import annotations

import numpy as np

from ml.audio.griffinlim import InversionOptions
from ml.audio.logmel import log_mel
from ml.voice.codec.stream import Frames
from ml.voice.codec.synthesis import PIECE, sound_of
from tests.ml.voice.codec.conftest import made_speech


def test_long_sound_comes_in_pieces() -> None:
    mel = log_mel(made_speech(12.0))
    mel[400:404] = -11
    pieces = list(sound_of(Frames(mel, np.zeros(len(mel), np.float32)), InversionOptions(iterations=1, shaping=1)))
    assert len(pieces) > 1
    assert sum(map(len, pieces)) == 256 * len(mel)
    assert max(map(len, pieces)) <= 256 * PIECE
    assert len(pieces[0]) in range(256 * 401, 256 * 406), "where it is quietest"


def test_nothing_is_no_sound() -> None:
    assert list(sound_of(Frames(np.zeros((0, 80), np.float32), np.zeros(0, np.float32)))) == []
