"""Sound of a video: at its time to the sample, at any rate, whatever the pieces."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.read import read
from ml.video.mux import Extras
from ml.video.remux import remux
from ml.video.sound import Sound, SoundTrack
from tests.ml.video.clips import Recipe, beep, make, onset


def written(path, sound, pieces):
    with av.open(path, "w") as out:
        track = SoundTrack(out, sound)
        for piece in pieces:
            out.mux(track.encode(piece))
        out.mux(track.flush())
        assert track.seconds == pytest.approx(sound.start + sum(map(len, pieces)) / sound.rate, abs=1e-3)
    return read(path)


@settings(max_examples=12, deadline=None)
@given(
    rate=st.sampled_from([8000, 16000, 22050, 24000, 44100, 48000, 96000]),
    cut=st.integers(1, 5000),
    name=st.sampled_from(["mp4", "mkv"]),
)
def test_a_tone_is_heard_when_it_was_given(tmp_path_factory, rate, cut, name):
    samples = beep(0.8, 0.4, rate)
    path = tmp_path_factory.mktemp("sound") / f"a.{name}"
    audio = written(path, Sound(rate=rate), [samples[:cut], samples[cut:]])
    assert onset(audio) == pytest.approx(0.4, abs=0.002)
    assert audio.seconds == pytest.approx(0.8, abs=0.13)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("rate", [16000, 22050])
def test_sound_may_begin_later_than_the_pictures(tmp_path, name, rate):
    make(tmp_path / "pictures.mp4", Recipe(count=50))
    sound = Sound(rate=rate, start=0.7)
    remux(tmp_path / "pictures.mp4", tmp_path / name, Extras(sound=sound), [beep(0.5, 0.2, rate)])
    assert onset(read(tmp_path / name)) == pytest.approx(0.9, abs=0.002)


def test_too_loud_is_bent_and_counted(tmp_path):
    with av.open(tmp_path / "a.mp4", "w") as out:
        track = SoundTrack(out, Sound())
        out.mux(track.encode(3 * beep(0.3, 0.1)))
        out.mux(track.flush())
    assert 400 < track.clipped < 1600


def test_what_is_not_sound_is_refused(tmp_path):
    with av.open(tmp_path / "a.mp4", "w") as out:
        with pytest.raises(ValueError, match="begins at 0"):
            SoundTrack(out, Sound(start=-0.1))
        track = SoundTrack(out, Sound())
        with pytest.raises(ValueError, match="finite"):
            track.encode(np.array([np.nan], np.float32))
        out.mux(track.encode(beep(0.2)))
        out.mux(track.flush())
