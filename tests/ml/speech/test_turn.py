"""When a turn ends: told from level, recogniser and detectors alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.speech.turn import STEP, FastTurn, Level, SafeTurn, Verdict
from tests.fakes import silence, tone


def steps(sound: np.ndarray) -> list[np.ndarray]:
    return [sound[i : i + STEP] for i in range(0, len(sound) - STEP + 1, STEP)]


def first_over(turn, sound: np.ndarray, pause=lambda: 1.0, spoken: float = 3.0) -> float | None:
    turn.begin()
    for n, step in enumerate(steps(sound)):
        if turn.step(step, spoken, pause) is Verdict.OVER:
            return (n + 1) * 0.01
    return None


class Scripted:
    """A detector that ends `after` seconds of silence."""

    def __init__(self, after: float) -> None:
        self.after, self.quiet = after, 99.0

    def in_speech(self, samples: np.ndarray) -> bool:
        self.quiet = 0.0 if np.abs(samples).max() > 0.01 else self.quiet + len(samples) / 16000
        return self.quiet < self.after - 1e-6


def fast() -> FastTurn:
    return FastTurn(lambda frame: max(frame) > 0)


SPEECH = np.concatenate([tone(1.0), silence(1.0)])


def test_fast_is_over_after_a_tenth_of_a_second_of_quiet():
    assert first_over(fast(), SPEECH) == pytest.approx(1.10, abs=0.011)


def test_fast_waits_while_the_recogniser_is_inside_a_word():
    at = first_over(FastTurn(lambda frame: True), SPEECH, pause=lambda: 0.0)
    assert at == pytest.approx(1.20, abs=0.011)


def test_fast_does_not_stop_at_a_stop_consonant():
    sound = np.concatenate([tone(0.5), silence(0.08), tone(0.5), silence(0.5)])
    assert first_over(fast(), sound) == pytest.approx(1.18, abs=0.011)


def test_fast_says_maybe_before_it_says_over():
    turn = fast()
    verdicts = [turn.step(step, 3.0, lambda: 1.0) for step in steps(SPEECH)]
    maybe, over = verdicts.index(Verdict.MAYBE), verdicts.index(Verdict.OVER)
    assert 0.04 <= (over - maybe) * 0.01 <= 0.06


def test_fast_ends_in_a_noisy_room_by_the_voice_detector():
    rng = np.random.default_rng(1)
    sound = SPEECH + rng.normal(0, 0.03, len(SPEECH)).astype(np.float32)
    turn = FastTurn(lambda frame: np.abs(np.frombuffer(frame, "<i2")).max() > 6000)
    assert first_over(turn, sound) == pytest.approx(1.16, abs=0.03)


def test_safe_lets_short_utterances_wait_for_the_patient_detector():
    def safe() -> SafeTurn:
        return SafeTurn(Scripted(0.3), Scripted(0.4))

    assert first_over(safe(), SPEECH, spoken=3.0) == pytest.approx(1.30, abs=0.011)
    assert first_over(safe(), SPEECH, spoken=1.0) == pytest.approx(1.40, abs=0.011)


def test_safe_bridges_a_pause_that_its_detector_bridges():
    sound = np.concatenate([tone(0.5), silence(0.25), tone(0.5), silence(1.0)])
    assert first_over(SafeTurn(Scripted(0.3), Scripted(0.4)), sound) == pytest.approx(1.55, abs=0.011)


@given(st.floats(-40, 0), st.floats(20, 60))
def test_quiet_is_judged_against_the_speakers_own_level(gain_db: float, drop_db: float):
    gain = 10 ** (gain_db / 20)
    level = Level()
    sound = np.concatenate([tone(1.0), tone(0.3) * 10 ** (-drop_db / 20)]) * gain
    for step in steps(sound.astype(np.float32)):
        level.step(step)
    loud = gain_db + 20 * np.log10(0.3 / np.sqrt(2))
    if drop_db > 32 or loud - drop_db < -88:
        assert level.quiet_for > 0.2
    elif drop_db < 28 and loud > -48:
        assert level.quiet_for == 0.0
