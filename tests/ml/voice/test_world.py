from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from ml.errors import Unavailable
from ml.types import Audio
from ml.voice.cepstra import ORDER
from ml.voice.converter import EnvelopeShift
from ml.voice.envelope import Envelopes
from ml.voice.world import World, WorldConverter

needs_pyworld = pytest.mark.skipif(
    importlib.util.find_spec("pyworld") is None, reason="needs pyworld: pip install 'babelmesh[world]'"
)


def test_without_pyworld_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(Unavailable) as caught:
        World()
    assert caught.value.remedy == "pip install 'babelmesh[world]'"


@needs_pyworld
@pytest.mark.filterwarnings("ignore:pkg_resources is deprecated")
def test_it_moves_envelopes_and_keeps_length_and_pitch(woman: Audio) -> None:
    world = World()
    source = Envelopes.of([woman.samples], world.take_apart)
    assert source is not None
    darker = np.zeros(ORDER, np.float32)
    darker[1] = 4.0
    shift = EnvelopeShift(source, lambda z: source.voiced.restore(z) + darker, source.unvoiced.restore)
    result = WorldConverter(world, shift)(woman.samples)
    assert result.shape == woman.samples.shape
    assert result.dtype == np.float32
    after = Envelopes.of([result], world.take_apart)
    assert after is not None
    assert after.voiced.mean[1] - source.voiced.mean[1] == pytest.approx(4.0, abs=1.2)
    f0 = [np.median(frames.f0[frames.voiced]) for frames in map(world.take_apart, (woman.samples, result))]
    assert f0[1] == pytest.approx(f0[0], rel=0.03)
