"""Moonshine beyond the contract: the tokens of transformers' own loop, the bound on what is said, loops, and damaged
files."""

from __future__ import annotations

import json
import logging
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import MoonshineConfig
from transformers.models.moonshine.modeling_moonshine import MoonshineRotaryEmbedding

from ml.device import Placement
from ml.engines.interpreting import cuts
from ml.engines.loading import load_network
from ml.engines.moonshine import AT_LEAST, WINDOW, MoonshineEar, unlooped
from ml.engines.protocols import AsrOptions, EngineHome
from ml.engines.window import shifted
from ml.errors import EngineFailed, ModelDamaged, UnsupportedLanguage
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples
from tests.conftest import ROOT
from tests.ml.engines.published import expected, facts
from tests.ml.engines.tiny import checkpoint, tiny_specs
from tests.ml.engines.tiny_moonshine import END, ROTARY, START, pieces
from tests.ml.engines.tiny_whisper import SAID


@pytest.fixture(scope="module")
def lj() -> Samples:
    return soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0]


@pytest.fixture(scope="module")
def ear():
    made = MoonshineEar.load(checkpoint("tiny-moonshine"), Placement())
    yield made
    made.close()


@pytest.fixture
def copy(tmp_path: Path) -> Checkpoint:
    whole = checkpoint("tiny-moonshine")
    shutil.copytree(whole.folder, tmp_path / "copy")
    return Checkpoint(whole.entry, tmp_path / "copy", whole.revision)


def text(heard) -> str:
    return " ".join(word.text for word in heard.words)


def change(folder: Path, name: str, **values: object) -> None:
    told = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({k: v for k, v in {**told, **values}.items() if v is not None}))


@pytest.mark.parametrize("seconds", [9.0, 5.0, 2.5])
def test_words_are_those_of_transformers_own_loop(ear: MoonshineEar, lj: Samples, seconds: float) -> None:
    plain = load_network("MoonshineForConditionalGeneration", checkpoint("tiny-moonshine"), Placement())
    samples = lj[: round(seconds * SAMPLE_RATE)]
    made = plain.generate(torch.from_numpy(samples)[None], max_new_tokens=100)[0].tolist()
    assert (made[0], made[-1]) == (START, END)
    heard = ear.hear(samples, AsrOptions())
    assert text(heard) == pieces().decode(made)
    assert len(heard.words) > 3


def test_the_whole_recording_is_heard(ear: MoonshineEar, lj: Samples) -> None:
    heard = ear.hear(lj, AsrOptions())
    assert [word.text for word in heard.words] == SAID.split()
    assert all(0 < word.confidence <= 1 for word in heard.words)
    assert all(0 <= word.start <= word.end <= len(lj) / SAMPLE_RATE + 0.1 for word in heard.words)
    assert all(a.end <= b.start for a, b in pairwise(heard.words))


def test_frames_are_as_far_apart_as_its_times_take_them_to_be(ear: MoonshineEar, lj: Samples) -> None:
    frames = ear._encode(lj).last_hidden_state.shape[1]
    assert frames * ear._frame == pytest.approx(len(lj) / SAMPLE_RATE, abs=0.06)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_other_numbers_hear_the_same(lj: Samples, dtype: str) -> None:
    ear = MoonshineEar.load(checkpoint("tiny-moonshine"), Placement("cpu", dtype))
    assert text(ear.hear(lj, AsrOptions())).startswith("The invention of movable metal letters")


def test_the_bound_is_that_of_the_model_cards_with_room_for_a_short_word(ear: MoonshineEar) -> None:
    assert ear.limit(10.0) == 65 + 1
    assert ear.limit(0.1) == AT_LEAST
    assert ear.limit(10.0, "ja") == 130 + 1
    assert ear.limit(WINDOW * 10) == 193, "never more than the decoder has places for, its start among them"


def test_a_window_is_heard_without_a_word_on_the_terminal(ear: MoonshineEar, lj: Samples) -> None:
    said: list[str] = []
    listening = logging.Handler()
    listening.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    library = logging.getLogger("transformers")
    library.addHandler(listening)
    try:
        ear.hear(lj[: 2 * SAMPLE_RATE], AsrOptions())
    finally:
        library.removeHandler(listening)
    assert said == []


def loop(ear: MoonshineEar, monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[int]:
    """Let the network say "e" for ever to more than so much sound; how many tokens it was given each time."""
    word = pieces().token_to_id("e")
    asked: list[int] = []

    def endless(ids, scores):
        asked.append(ids.shape[1])
        return torch.full_like(scores, -9.0).index_fill(1, torch.tensor([word]), 0.0)

    plain = ear._network.generate

    def generate(**options):
        long = options["encoder_outputs"].last_hidden_state.shape[1] * ear._frame > seconds
        return plain(**options, logits_processor=[endless] if long else [])

    monkeypatch.setattr(ear._network, "generate", generate, raising=False)
    return asked


def test_what_never_ends_stops_at_the_bound_and_is_said_once(
    ear: MoonshineEar, lj: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = loop(ear, monkeypatch, 0.0)
    heard = ear.hear(lj[: 2 * SAMPLE_RATE], AsrOptions())
    assert len(asked) == ear.limit(2.0) == 14
    assert text(heard) == "e"


def test_a_window_in_which_it_loses_itself_is_heard_again_in_two(
    ear: MoonshineEar, lj: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = np.concatenate([lj[: 2 * SAMPLE_RATE], np.zeros(SAMPLE_RATE, np.float32), lj[: 2 * SAMPLE_RATE]])
    (_, middle), (_, end) = cuts(sound, 3.0)
    assert (2 * SAMPLE_RATE <= middle <= 3 * SAMPLE_RATE, end) == (True, len(sound)), "it is cut in the silence"
    halves = [ear.hear(part, AsrOptions()).words for part in np.split(sound, [middle])]
    asked = loop(ear, monkeypatch, 4.0)
    heard = ear.hear(sound, AsrOptions()).words
    assert len(asked) == ear.limit(5.0), "only the whole went wrong"
    assert heard == (*halves[0], *shifted(halves[1], middle / SAMPLE_RATE))
    assert all(halves)


@given(st.lists(st.integers(0, 9), max_size=12), st.lists(st.integers(0, 9), min_size=1, max_size=6), st.data())
@settings(deadline=None)
def test_a_cycle_at_the_end_is_said_once(said: list[int], cycle: list[int], data: st.DataObject) -> None:
    more = data.draw(st.integers(0, len(cycle) - 1))
    row = [*said, *cycle * 4, *cycle[:more]]
    left = unlooped(row)
    assert left <= len(said) + len(cycle)
    assert unlooped(row[:left]) == left, "once is enough"


@given(st.lists(st.integers(0, 999), max_size=30, unique=True))
@settings(deadline=None)
def test_what_does_not_repeat_is_left_alone(row: list[int]) -> None:
    assert unlooped(row) == len(row)
    assert unlooped([*row, *row]) == 2 * len(row), "what is said twice is not yet a loop"


def test_sound_that_is_hardly_there_breaks_nothing(ear: MoonshineEar) -> None:
    for length in (1, 100, 894, 895, 1600):
        heard = ear.hear(np.full(length, 0.1, np.float32), AsrOptions())
        assert sum(len(word.text) for word in heard.words) < 60


def test_bytes_and_marks_become_text_or_nothing(ear: MoonshineEar) -> None:
    from ml.engines.moonshine import Decoded

    ids = pieces().encode("the café").ids[1:]
    assert any(pieces().id_to_token(number).startswith("<0x") for number in ids)
    found = ear._words(Decoded(tuple(ids), (0.0,) * len(ids)), np.linspace(0, 1, len(ids) + 1))
    assert [word.text for word in found] == ["the", "café"]
    assert {pieces().token_to_id("<<ST_3>>"), START, END} <= ear._marks


def test_long_speech_is_heard_in_windows_and_said_once(lj: Samples) -> None:
    (spec,) = tiny_specs(["tiny-moonshine"])
    engine = spec.factory(EngineHome(Path("nowhere")))
    asked: list[int] = []
    hear = engine._ear.hear
    engine._ear.hear = lambda samples, *more: (asked.append(len(samples)), hear(samples, *more))[1]
    session = engine.listen(AsrOptions())
    for _ in range(4):
        session.accept(np.concatenate([lj, np.zeros(SAMPLE_RATE, np.float32)]))
    heard = session.finish()
    assert len(asked) == 3
    assert max(asked) <= WINDOW * SAMPLE_RATE
    assert heard.end == pytest.approx(4 * (len(lj) / SAMPLE_RATE + 1))
    assert "invention" in heard.text
    engine.close()


def test_it_hears_what_its_entry_says(lj: Samples) -> None:
    (spec,) = tiny_specs(["tiny-moonshine"])
    engine = spec.factory(EngineHome(Path("nowhere")))
    assert engine.capabilities().languages == ("en",)
    for language in ("auto", "de"):
        with pytest.raises(UnsupportedLanguage):
            engine.listen(AsrOptions(language=language))
    session = engine.listen(AsrOptions())
    session.accept(lj)
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        session.finish()


def test_attention_is_given_back_as_it_was(ear: MoonshineEar, lj: Samples) -> None:
    before = ear._network.config._attn_implementation
    ear.hear(lj, AsrOptions())
    assert ear._network.config._attn_implementation == before != "eager"
    assert all(not parameter.requires_grad for parameter in ear._network.parameters())


def test_old_settings_without_a_start_begin_with_the_beginning_of_a_text(copy: Checkpoint, lj: Samples) -> None:
    change(copy.folder, "generation_config.json", decoder_start_token_id=None, eos_token_id=[END])
    assert text(MoonshineEar.load(copy, Placement()).hear(lj, AsrOptions())) == SAID.strip()


def test_files_that_contradict_each_other_are_refused(copy: Checkpoint) -> None:
    change(copy.folder, "preprocessor_config.json", sampling_rate=8000)
    with pytest.raises(ModelDamaged, match="8000 Hz"):
        MoonshineEar.load(copy, Placement())
    change(copy.folder, "preprocessor_config.json", sampling_rate=SAMPLE_RATE)
    more = pieces().from_str(pieces().to_str())
    more.add_tokens([f"word{number}" for number in range(999)])
    more.save(str(copy.folder / "tokenizer.json"))
    with pytest.raises(ModelDamaged, match="more tokens"):
        MoonshineEar.load(copy, Placement())


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_file_that_is_cut_short_is_refused(copy: Checkpoint, name: str) -> None:
    path = copy.folder / name
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelDamaged):
        MoonshineEar.load(copy, Placement())


@pytest.mark.parametrize(("name", "turned"), [("moonshine-tiny", 32), ("moonshine-base", 32)])
def test_the_published_settings_turn_as_much_of_each_head_as_they_say(name: str, turned: int) -> None:
    config = MoonshineConfig(**facts(name)["config"], rope_theta=10000.0, rope_scaling=None)
    network = MoonshineRotaryEmbedding(config)
    assert 2 * len(network.inv_freq) == turned, "int(0.9 * 36) and int(0.62 * 52); the size of a file does not tell"


def test_the_share_that_old_settings_name_is_kept(ear: MoonshineEar) -> None:
    for half in (ear._network.model.encoder, ear._network.model.decoder):
        assert len(half.rotary_emb.inv_freq) == len(range(0, int(24 * ROTARY), 2))


@pytest.mark.parametrize("name", ["moonshine-tiny", "moonshine-base"])
def test_the_published_files_have_the_size_that_our_networks_tensors_make(name: str) -> None:
    told = facts(name)
    assert expected(told) == (told["parameters"], told["tensors"], told["bytes"])
