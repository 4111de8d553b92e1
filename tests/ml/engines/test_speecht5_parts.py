"""The parts of a SpeechT5 checkpoint and the loop that makes its spectrum: what is lacking or wrong is said by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.device import Placement
from ml.engines.protocols import EngineHome
from ml.engines.speecht5 import SpeechT5Voice
from ml.engines.speecht5_parts import SEEDS, spectrum
from ml.errors import EngineFailed, ModelDamaged, Unavailable
from ml.models.checkpoint import Checkpoint
from tests.ml.engines import tiny_xvector
from tests.ml.engines.tiny import checkpoint, tiny_specs

(SPEC,) = tiny_specs(["tiny-speecht5"])


def without_speaker(folder: Path) -> None:
    shutil.rmtree(folder / "speaker")


def without_vocoder(folder: Path) -> None:
    shutil.rmtree(folder / "vocoder")


def without_voices(folder: Path) -> None:
    without_speaker(folder)
    shutil.rmtree(folder / "voices")


def short_voice(folder: Path) -> None:
    np.save(folder / "voices" / "anna.npy", np.ones(5, np.float32))


def running_voice(folder: Path) -> None:
    np.save(folder / "voices" / "anna.npy", np.array([Path("/")], dtype=object), allow_pickle=True)


def other_speaker(folder: Path) -> None:
    tiny_xvector.build(folder / "speaker", size=8)


def loaded(to: Path, spoil: Callable[[Path], None]) -> SpeechT5Voice:
    found = checkpoint("tiny-speecht5")
    shutil.copytree(found.folder, to / "copy")
    spoil(to / "copy")
    return SpeechT5Voice.load(SPEC, Checkpoint(found.entry, to / "copy", found.revision), Placement())


def test_without_a_speaker_network_it_speaks_but_does_not_clone(tmp_path: Path) -> None:
    voice = loaded(tmp_path, without_speaker)
    assert not voice.capabilities().clones


@pytest.mark.parametrize(
    ("spoil", "kind", "sentence"),
    [
        (without_vocoder, Unavailable, "no vocoder"),
        (without_voices, Unavailable, "no voice"),
        (short_voice, ModelDamaged, "anna.npy"),
        (running_voice, ModelDamaged, "anna.npy"),
        (other_speaker, ModelDamaged, "8 numbers"),
    ],
)
def test_what_is_lacking_or_wrong_is_said(
    tmp_path: Path, spoil: Callable[[Path], None], kind: type, sentence: str
) -> None:
    with pytest.raises(kind, match=sentence) as failure:
        loaded(tmp_path, spoil)
    assert failure.value.remedy


def test_a_network_that_comes_to_no_end_is_tried_again_and_then_given_up() -> None:
    engine = SPEC.factory(EngineHome(Path("nowhere")))
    network = engine._network
    tried = []
    original = network.generate_speech
    with torch.no_grad():
        network.speech_decoder_postnet.prob_out.bias.fill_(-50.0)

    def counted(*given: object, **more: object) -> object:
        tried.append(1)
        return original(*given, **more)

    network.generate_speech = counted
    with pytest.raises(EngineFailed, match="did not come to the end"):
        spectrum(network, torch.tensor([[5, 6, 2]]), np.ones(16, np.float32), 3, (1.0, 4.0), "it")
    assert len(tried) == len(SEEDS)
