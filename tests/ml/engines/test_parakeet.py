"""Parakeet beyond the contract: transformers' own tokens and times, an end for every sound, and files that fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ml.device import Placement
from ml.engines.loading import load_network
from ml.engines.parakeet import ParakeetEar
from ml.engines.protocols import AsrOptions
from ml.errors import ModelDamaged
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples
from tests.conftest import ROOT
from tests.ml.engines.tiny import checkpoint


@pytest.fixture(scope="module")
def lj() -> Samples:
    return soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0]


def load(dtype: str = "float32") -> ParakeetEar:
    return ParakeetEar.load(checkpoint("tiny-parakeet"), Placement("cpu", dtype), ("en",))


@pytest.mark.parametrize("seconds", [8.1, 3.0])
def test_tokens_and_times_are_those_of_transformers_own_loop(lj: Samples, seconds: float) -> None:
    samples, ear = lj[: round(seconds * SAMPLE_RATE)], load()
    theirs = load_network("ParakeetForTDT", checkpoint("tiny-parakeet"), Placement())
    inputs = ear._extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
    theirs.generation_config.decoder_start_token_id = ear._blank
    made = theirs.generate(**inputs, max_new_tokens=1000)
    begins = (made.durations.cumsum(-1) - made.durations)[0].tolist()
    wanted = [
        (token, at)
        for token, at in zip(made.sequences[0].tolist()[1:], begins[1:], strict=True)
        if token not in (ear._blank, ear._tokenizer.pad_token_id)
    ]
    assert [(piece.token, piece.first) for piece in ear._pieces(samples)] == wanted
    assert len(wanted) > 5
    text = ear._tokenizer.decode([token for token, _ in wanted], group_tokens=False, skip_special_tokens=True)
    assert " ".join(word.text for word in ear.hear(samples, AsrOptions()).words) == text


def test_words_lie_where_they_were_taught_to(lj: Samples) -> None:
    words = load().hear(lj, AsrOptions()).words
    assert (words[1].text, words[-1].text) == ("invention", "printing.")
    assert words[1].start == pytest.approx(0.3, abs=0.25)
    assert words[-1].start == pytest.approx(7.4, abs=0.4)


def test_other_numbers_hear_the_beginning_too(lj: Samples) -> None:
    assert [word.text for word in load("bfloat16").hear(lj, AsrOptions()).words][:2] == ["The", "invention"]


def test_a_network_that_never_goes_on_is_led_on(lj: Samples) -> None:
    ear = load()
    with torch.inference_mode():
        ear._network.joint.head.bias[ear._size] = 1e4  # the duration 0
        ear._network.joint.head.bias[5] = 1e4  # and always the same token
    pieces = ear._pieces(lj[:SAMPLE_RATE])
    assert len(pieces) == ear._network.config.max_symbols_per_step * len({piece.first for piece in pieces})


@pytest.mark.parametrize("samples", [1, 160, 1600])
def test_very_short_sound_is_heard(samples: int) -> None:
    assert load().hear(np.full(samples, 0.1, np.float32), AsrOptions()).language == "en"


def test_files_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    whole = checkpoint("tiny-parakeet")
    shutil.copytree(whole.folder, tmp_path / "copy")
    told = json.loads((tmp_path / "copy" / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps({**told, "blank_token_id": 9999}))
    with pytest.raises(ModelDamaged, match="contradicts"):
        ParakeetEar.load(Checkpoint(whole.entry, tmp_path / "copy", "1"), Placement(), ("en",))
