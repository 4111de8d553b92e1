from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.endpoint import EndpointOptions, utterances
from ml.audio.vad import FRAME, EnergyActivity, SileroActivity, SileroNetwork, VoiceActivity, silero_model
from ml.errors import Unavailable

Samples = np.ndarray


@pytest.fixture(scope="session")
def network() -> SileroNetwork:
    return SileroNetwork.load()


@pytest.fixture(params=["silero", "energy"])
def activity(request: pytest.FixtureRequest, network: SileroNetwork) -> VoiceActivity:
    return SileroActivity(network) if request.param == "silero" else EnergyActivity()


def made_sound(seed: int, length: int) -> Samples:
    """Noise whose level and colour wander: not speech, but a network has to do some work on it."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(length + 8)
    smooth = np.convolve(noise, np.ones(8) / 8)[4 : length + 4]
    return (smooth * np.repeat(rng.uniform(0, 0.5, length // 1000 + 1), 1000)[:length]).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 5), length=st.integers(0, 9000), cuts=st.lists(st.integers(0, 9000), max_size=8))
def test_how_the_sound_is_chunked_changes_no_probability(network, seed, length, cuts):
    sound = made_sound(seed, length)
    bounds = [0, *sorted(min(cut, length) for cut in cuts), length]
    for whole, piecewise in [(SileroActivity(network), SileroActivity(network)), (EnergyActivity(), EnergyActivity())]:
        expected = np.concatenate([whole.feed(sound), whole.flush()])
        parts = [piecewise.feed(sound[a:b]) for a, b in itertools.pairwise(bounds)]
        np.testing.assert_array_equal(np.concatenate([*parts, piecewise.flush()]), expected)
        assert len(expected) == -(-length // FRAME)


def test_probabilities_are_those_of_the_published_stepwise_network(network, speech):
    """The sequence form in the package against `silero_vad.onnx`, run frame by frame as its authors do."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(silero_model().with_name("silero_vad.onnx")), providers=["CPUExecutionProvider"]
    )
    speech = speech[: 3 * 16_000]
    state, context, expected = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32), []
    for first in range(0, len(speech) - FRAME + 1, FRAME):
        frame = speech[first : first + FRAME]
        feed = {"input": np.concatenate([context, frame])[None], "state": state, "sr": np.array(16_000)}
        output, state = session.run(None, feed)
        expected.append(output[0, 0])
        context = frame[-64:]
    np.testing.assert_allclose(SileroActivity(network).feed(speech), expected, atol=1e-5)


def test_speech_is_found_between_silences(activity, speech):
    """One second of a little noise, speech, one second of noise: the utterances lie inside the speech."""
    rng = np.random.default_rng(0)
    noise = lambda: (rng.standard_normal(16_000) * 3e-4).astype(np.float32)  # noqa: E731
    sound = np.concatenate([noise(), speech, noise()])
    probabilities = np.concatenate([activity.feed(sound), activity.flush()])
    found = utterances(probabilities, EndpointOptions(pad=0.0))
    assert found
    assert found[0].start > 0.8
    assert found[-1].end < len(sound) / 16_000 - 0.7
    assert sum(u.end - u.start for u in found) > 0.5 * len(speech) / 16_000


def test_silence_and_steady_noise_are_not_speech(activity):
    rng = np.random.default_rng(0)
    for sound in (np.zeros(48_000, np.float32), (rng.standard_normal(48_000) * 0.01).astype(np.float32)):
        activity.reset()
        assert activity.feed(sound).max() < 0.3


def test_flush_resets(activity, speech):
    first = activity.feed(speech)
    activity.flush()
    np.testing.assert_array_equal(activity.feed(speech), first)


def test_one_network_serves_streams_in_many_threads(network, speech):
    expected = SileroActivity(network).feed(speech)
    results: list[Samples] = []
    threads = [
        threading.Thread(target=lambda: results.append(SileroActivity(network).feed(speech.copy()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(np.array_equal(result, expected) for result in results)


def test_a_missing_network_is_unavailable_with_the_command_that_gets_it(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_loader("silero_vad", loader=None, is_package=True)
    assert spec is not None
    spec.submodule_search_locations = [str(tmp_path)]
    for found in (None, spec):
        monkeypatch.setattr("ml.audio.vad.find_spec", lambda name, found=found: found)
        with pytest.raises(Unavailable) as caught:
            SileroNetwork.load()
        assert caught.value.remedy.startswith("pip install")


def test_loading_brings_no_torch_and_is_quick():
    """In a fresh interpreter: neither torch nor the silero_vad package, and few milliseconds."""
    program = (
        "import sys, time, onnxruntime\n"
        "from ml.audio.vad import SileroActivity, SileroNetwork\n"
        "start = time.process_time(); SileroActivity(SileroNetwork.load()); print(time.process_time() - start)\n"
        "assert not {'torch', 'silero_vad'} & set(sys.modules)\n"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.1  # about 0.005 on an idle machine


def test_a_second_of_sound_costs_few_milliseconds(network):
    sound = made_sound(1, 16_000 * 4)
    costs = []
    for _ in range(3):
        activity = SileroActivity(network)
        start = time.thread_time()
        for first in range(0, len(sound), 320):  # 20 ms packets, as a microphone gives them
            activity.feed(sound[first : first + 320])
        costs.append((time.thread_time() - start) / 4)
    assert min(costs) < 0.02  # about 0.003 s per second
