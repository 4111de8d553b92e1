"""The WebRTC detector: generous with sound, sure of silence, and indifferent to how the sound is cut."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.read import read
from ml.audio.webrtc import WebRtcEndpoint, voice_judge


def heard(detector: WebRtcEndpoint, sound: np.ndarray, size: int) -> list[bool]:
    return [detector.in_speech(sound[at : at + size]) for at in range(0, len(sound), size)]


def recording(repository) -> np.ndarray:
    speech = read(repository / "examples" / "audio" / "lj.flac").samples[: 3 * 16000]
    return np.concatenate([np.zeros(8000, np.float32), speech, np.zeros(16000, np.float32)])


def test_speech_is_heard_and_ends_after_the_window(repository):
    sound = recording(repository)
    states = heard(WebRtcEndpoint(0.27, 0.8), sound, 160)
    assert not any(states[:45])
    assert np.mean(states[80:340]) > 0.95
    end = max(n for n, state in enumerate(states) if state) * 0.01
    assert 3.5 < end < 4.1
    assert not any(states[-30:])


def test_a_patient_detector_waits_longer(repository):
    sound = recording(repository)
    quick, patient = (
        max(n for n, state in enumerate(heard(WebRtcEndpoint(*form), sound, 160)) if state)
        for form in ((0.27, 0.8), (0.36, 0.9))
    )
    assert patient > quick + 4


@settings(max_examples=10, deadline=None)
@given(size=st.integers(40, 4000))
def test_pieces_of_any_size_end_in_the_same_state(size):
    rng = np.random.default_rng(0)
    sound = np.concatenate([rng.normal(0, 0.2, 16000), np.zeros(3000)]).astype(np.float32)
    whole, parts = WebRtcEndpoint(0.27, 0.8), WebRtcEndpoint(0.27, 0.8)
    expected = heard(whole, sound, 160)[-1]
    assert heard(parts, sound, size)[-1] == expected


def test_the_judge_knows_silence_and_speech(repository):
    judge = voice_judge(3)
    assert not judge(bytes(320))
    pcm = (read(repository / "examples" / "audio" / "lj.flac").samples[16000:32000] * 32767).astype("<i2").tobytes()
    assert sum(judge(pcm[at : at + 320]) for at in range(0, len(pcm), 320)) > 50
