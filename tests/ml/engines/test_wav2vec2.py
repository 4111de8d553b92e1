"""wav2vec 2.0 beyond the contract: transformers' own numbers and spelling, long sound, and vocabularies."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ml.device import Placement
from ml.engines.loading import load_network
from ml.engines.protocols import AsrOptions, EngineHome
from ml.engines.wav2vec2 import CONTEXT, UNUSED, WINDOW, CtcEar, CtcNetwork, Symbols, Wav2Vec2Recogniser
from ml.errors import ModelDamaged
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples
from tests.conftest import ROOT
from tests.ml.engines.published import expected, facts
from tests.ml.engines.tiny import checkpoint, tiny_specs
from tests.ml.engines.tiny_wav2vec2 import LETTERS, PHONES
from tests.ml.engines.tiny_whisper import SAID

HEARD = SAID.strip().rstrip(".").lower()


@pytest.fixture(scope="module")
def lj() -> Samples:
    return soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0]


@pytest.fixture(scope="module")
def network():
    made = CtcNetwork.load(checkpoint("tiny-wav2vec2"), Placement())
    yield made
    made.close()


@pytest.fixture
def copy(tmp_path: Path) -> Checkpoint:
    whole = checkpoint("tiny-wav2vec2")
    shutil.copytree(whole.folder, tmp_path / "copy")
    return Checkpoint(whole.entry, tmp_path / "copy", whole.revision)


def test_probabilities_and_spelling_are_transformers_own(network: CtcNetwork, lj: Samples) -> None:
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

    folder = checkpoint("tiny-wav2vec2").folder
    theirs = load_network("Wav2Vec2ForCTC", checkpoint("tiny-wav2vec2"), Placement())
    inputs = Wav2Vec2FeatureExtractor.from_pretrained(folder)(lj, sampling_rate=SAMPLE_RATE, return_tensors="pt")
    with torch.inference_mode():
        logits = theirs(inputs.input_values).logits[0]
    np.testing.assert_allclose(network.likely(lj), logits.log_softmax(-1).numpy(), atol=1e-4)
    text = Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).decode(logits.argmax(-1))
    heard = CtcEar(network, ("en",)).hear(lj, AsrOptions())
    assert " ".join(word.text for word in heard.words) == text.lower() == HEARD


def test_words_lie_where_their_letters_are(network: CtcNetwork, lj: Samples) -> None:
    words = CtcEar(network, ("en",)).hear(lj, AsrOptions()).words
    for word in words:  # it was taught that all letters take as long
        at = HEARD.index(word.text) / len(HEARD) * 8.11
        if HEARD.count(word.text) == 1:
            assert word.start == pytest.approx(at, abs=0.15)


def test_long_sound_is_heard_in_windows_of_one_grid(network: CtcNetwork, lj: Samples) -> None:
    long = np.tile(lj, 5)
    found = network.likely(long)
    assert len(found) == network.grid.frames(len(long))
    sound = ((long - long.mean(dtype=np.float64)) / long.std(dtype=np.float64)).astype(np.float32)
    first, around = round(WINDOW * network.grid.rate), round(CONTEXT * network.grid.rate)  # of the second window
    start = (first - around) * network.grid.stride
    end = (2 * first + around - 1) * network.grid.stride + network.grid.reach
    alone = network._run(sound[start:end])
    np.testing.assert_allclose(found[first : first + 300], alone[around : around + 300], atol=1e-3)


def test_live_words_are_those_of_the_whole_and_never_change(lj: Samples) -> None:
    (spec,) = tiny_specs(["tiny-wav2vec2"])
    session = spec.factory(EngineHome(Path("nowhere"))).listen(AsrOptions(live=True))  # type: ignore[attr-defined]
    rows = [()]
    for first in range(0, len(lj), 4000):
        session.accept(lj[first : first + 4000])
        rows.append(tuple(word.text for word in session.committed))
    assert all(b[: len(a)] == a for a, b in pairwise(rows))
    assert len({len(row) for row in rows}) > 4, "words are committed while the speaker goes on"
    assert session.finish().text == HEARD


def test_very_short_sound_gives_a_frame(network: CtcNetwork) -> None:
    assert network.likely(np.ones(5, np.float32) * 0.1).shape == (1, len(LETTERS))


def test_int8_spells_the_same(lj: Samples) -> None:
    made = CtcNetwork.load(checkpoint("tiny-wav2vec2"), Placement("cpu", "int8"))
    heard = " ".join(word.text for word in CtcEar(made, ("en",)).hear(lj, AsrOptions()).words)
    assert sum(a == b for a, b in zip(heard.split(), HEARD.split(), strict=False)) > 20


def test_symbols_spell_the_longest_first_and_leave_out_what_they_lack() -> None:
    letters = Symbols({name: i for i, name in enumerate(LETTERS)})
    assert [letters.names[i] for i in letters.spell("it's é7!")] == ["I", "T", "'", "S"]
    phones = Symbols({name: i for i, name in enumerate(PHONES)})
    assert [phones.names[i] for i in phones.spell("dʒoʊtʃ")] == ["dʒ", "oʊ", "tʃ"]
    assert phones.delimiter is None
    assert not phones.upper


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"a": 0}, "blank"),
        ({}, "no table"),
        ([], "no table"),
        ({"<pad>": "x"}, "no table"),
        ({"eng": {"<pad>": 0}}, "adapters"),
        ({"<pad>": 0, "a": 999}, "more symbols"),
    ],
)
def test_vocabularies_that_do_not_fit_are_refused(copy: Checkpoint, told: object, why: str) -> None:
    (copy.folder / "vocab.json").write_text(json.dumps(told))
    with pytest.raises(ModelDamaged, match=why):
        CtcNetwork.load(copy, Placement())


def test_a_network_that_tells_phones_is_no_recogniser() -> None:
    (spec,) = tiny_specs(["tiny-wav2vec2"])
    with pytest.raises(ModelDamaged, match="phones"):
        Wav2Vec2Recogniser.load(spec, checkpoint("tiny-phones"), Placement())


def test_the_published_file_has_the_size_that_our_networks_tensors_make() -> None:
    told = facts("wav2vec2-base-960h")
    assert expected(told) == (told["parameters"], told["tensors"], told["bytes"])
    assert set(told["absent"]) <= set(UNUSED), "and what it lacks is what we do without"


def test_the_published_names_of_tensors_are_read(copy: Checkpoint, lj: Samples) -> None:
    from safetensors.torch import load_file, save_file

    told = facts("wav2vec2-base-960h")
    tensors = {}
    for key, tensor in load_file(copy.folder / "model.safetensors").items():
        for new, old in told["renamed"].items():
            key = key.replace(new, old)
        if key not in told["absent"]:
            tensors[key] = tensor
    assert any(key.endswith("weight_g") for key in tensors)
    save_file(tensors, copy.folder / "model.safetensors", {"format": "pt"})
    ear = CtcEar(CtcNetwork.load(copy, Placement()), ("en",))
    assert " ".join(word.text for word in ear.hear(lj, AsrOptions()).words) == HEARD
