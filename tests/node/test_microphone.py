"""Hearing the owner: what a sound driver gives becomes 16 kHz samples, and its troubles become words."""

import sys

import numpy as np
import pytest

from ml.errors import Unavailable
from ml.types import SAMPLE_RATE
from node.microphone import Microphone, microphone
from tests.fakes import FakeSoundDriver


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_what_is_spoken_arrives_at_16_khz_and_at_full_length(rate):
    driver = FakeSoundDriver(rates=(rate,))
    blocks = list(Microphone(driver).record(2.0))
    sound = np.concatenate(blocks)
    assert len(sound) == pytest.approx(2 * SAMPLE_RATE, abs=2)
    assert {block.dtype for block in blocks} == {np.dtype(np.float32)}
    assert len(blocks) >= 20
    spectrum = np.abs(np.fft.rfft(sound[:SAMPLE_RATE] * np.hanning(SAMPLE_RATE)))
    assert spectrum.argmax() == pytest.approx(driver.hertz, abs=1)
    assert driver.open == 0


def test_16_khz_is_preferred_when_the_device_can():
    driver = FakeSoundDriver(rates=(48_000, 16_000))
    list(Microphone(driver).record(0.5))
    assert driver.opened == [16_000]


def test_lost_sound_is_counted():
    heard = Microphone(FakeSoundDriver(overflow_every=4))
    list(heard.record(2.0))
    assert heard.lost == 5


def test_a_recording_that_is_given_up_closes_the_device():
    driver = FakeSoundDriver()
    stream = Microphone(driver).record(60.0)
    next(stream)
    assert driver.open == 1
    stream.close()
    assert driver.open == 0


def test_no_such_microphone():
    with pytest.raises(Unavailable, match="'studio'"):
        Microphone(FakeSoundDriver(names=("built-in",)), "studio")


def test_a_microphone_that_is_unplugged_says_so():
    with pytest.raises(Unavailable, match="stopped working"):
        list(Microphone(FakeSoundDriver(breaks_after=3)).record(5.0))


def test_without_the_package_the_remedy_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(Unavailable) as caught:
        microphone()
    assert "babelmesh[microphone]" in caught.value.remedy


def test_without_portaudio_the_remedy_names_the_library(monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(Unavailable) as caught:
        microphone()
    assert "libportaudio2" in caught.value.remedy
