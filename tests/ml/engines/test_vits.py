"""VITS beyond the contract: transformers' own sound, words where their letters sound, and what it cannot read."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from ml.device import Placement
from ml.engines.protocols import EngineHome
from ml.engines.speaking import PAUSE, seeded
from ml.engines.vits import SEED, VitsVoice
from ml.errors import BadText, EngineFailed, ModelDamaged, Unavailable
from ml.models.checkpoint import Checkpoint
from ml.types import Delivery
from tests.ml.engines.tiny import checkpoint, tiny_specs

HOME = EngineHome(Path("nowhere"))


@pytest.fixture(scope="module")
def engine():
    (spec,) = tiny_specs(["tiny-vits"])
    made = spec.factory(HOME)
    yield made
    made.close()


def changed(to: Path, **tokenizer: object) -> Checkpoint:
    """The tiny checkpoint with another tokenizer's configuration."""
    found = checkpoint("tiny-vits")
    shutil.copytree(found.folder, to / "copy")
    path = to / "copy" / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | tokenizer))
    return Checkpoint(found.entry, to / "copy", found.revision)


def test_it_sounds_as_transformers_does(engine) -> None:
    folder = checkpoint("tiny-vits").folder
    network = transformers.VitsModel.from_pretrained(folder).eval()
    ids = transformers.VitsTokenizer.from_pretrained(folder)("good morning", return_tensors="pt").input_ids
    with torch.inference_mode(), seeded(SEED):
        wanted = network(ids).waveform[0].numpy()
    made = engine.speak("Good, morning!", "en", Delivery()).audio.samples
    np.testing.assert_allclose(made, wanted, atol=1e-6)


def test_the_times_are_those_of_the_durations(engine) -> None:
    """The last word ends where the sound does but for the last blank, and a longer word takes longer."""
    speech = engine.speak("a banana", "en", Delivery())
    a, banana = speech.words
    assert banana.end - banana.start > 2 * (a.end - a.start)
    assert 0 < speech.audio.seconds - banana.end < 0.4
    assert a.start < 0.4


def test_words_of_later_sentences_count_from_the_beginning(engine) -> None:
    one, two = (engine.speak(text, "en", Delivery()) for text in ("First part.", "Second part."))
    both = engine.speak("First part. Second part.", "en", Delivery())
    assert both.audio.seconds == pytest.approx(one.audio.seconds + PAUSE + two.audio.seconds, abs=1e-3)
    late = one.audio.seconds + PAUSE
    wanted = [*one.words, *two.words]
    assert [w.text for w in both.words] == [w.text for w in wanted]
    np.testing.assert_allclose([w.start for w in both.words[2:]], [w.start + late for w in two.words], atol=1e-6)


def test_a_paragraph_is_spoken_in_pieces(engine) -> None:
    text = "This sentence has a number of words in it, all of them short. " * 12
    speech = engine.speak(text, "en", Delivery())
    assert len(speech.words) == len(text.split())
    assert speech.words[-1].end <= speech.audio.seconds


def test_a_network_that_would_speak_for_minutes_is_stopped(engine) -> None:
    translate = engine._network.duration_predictor.flows[0].translate
    kept = translate.detach().clone()
    with torch.no_grad():
        translate.fill_(-12.0)
    try:
        with pytest.raises(EngineFailed, match="would speak"):
            engine.speak("hello there", "en", Delivery())
    finally:
        with torch.no_grad():
            translate.copy_(kept)


def test_numbers_are_spelt_in_english_and_refused_elsewhere(engine) -> None:
    assert engine.speak("I have 21 cats", "en", Delivery()).words[2].text == "21"
    assert engine.speak("21", "en", Delivery()).audio.seconds > engine.speak("1", "en", Delivery()).audio.seconds
    (spec,) = tiny_specs(["tiny-vits-three"])
    spanish = spec.factory(HOME)
    with pytest.raises(BadText, match="cannot read '2'"):
        spanish.speak("tengo 21 gatos", "es", Delivery())
    spanish.close()


def test_letters_that_it_does_not_know_lose_their_accents_or_are_refused(engine) -> None:
    plain, accented = (engine.speak(text, "en", Delivery()).audio.samples for text in ("the cafe", "the café"))
    np.testing.assert_array_equal(plain, accented)
    with pytest.raises(BadText, match="cannot read"):
        engine.speak("hello 世界", "en", Delivery())


def test_speakers_sound_different() -> None:
    (spec,) = tiny_specs(["tiny-vits-three"])
    engine = spec.factory(HOME)
    first, usual, third = (engine.speak("hola", "es", Delivery(voice=voice)) for voice in ("0", None, "2"))
    np.testing.assert_array_equal(first.audio.samples, usual.audio.samples)
    assert len(first.audio.samples) != len(third.audio.samples) or (first.audio.samples != third.audio.samples).any()
    for voice in ("3", "-1", "x"):
        with pytest.raises(BadText):
            engine.speak("hola", "es", Delivery(voice=voice))
    engine.close()


def test_other_threads_noise_is_not_its_own(engine) -> None:
    alone = engine.speak("hello there", "en", Delivery()).audio.samples
    stop = threading.Event()

    def draw() -> None:
        while not stop.is_set():
            torch.randn(8)

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        np.testing.assert_array_equal(engine.speak("hello there", "en", Delivery()).audio.samples, alone)
    finally:
        stop.set()
        thread.join()


def test_weights_as_older_versions_of_torch_named_them_are_read(tmp_path: Path, engine) -> None:
    """Published VITS checkpoints hold weight norms as `weight_g` and `weight_v`."""
    from safetensors.torch import load_file, save_file

    made = changed(tmp_path)
    tensors = load_file(made.folder / "model.safetensors")
    old = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in tensors.items()
    }
    assert set(old) != set(tensors)
    save_file(old, made.folder / "model.safetensors", metadata={"format": "pt"})
    (spec,) = tiny_specs(["tiny-vits"])
    again = VitsVoice.load(spec, made, Placement()).speak("hello", "en", Delivery())
    np.testing.assert_array_equal(again.audio.samples, engine.speak("hello", "en", Delivery()).audio.samples)
    old.popitem()
    save_file(old, made.folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelDamaged, match="lacks"):
        VitsVoice.load(spec, made, Placement())


def test_phonemes_and_foreign_scripts_are_refused_by_name(tmp_path: Path) -> None:
    (spec,) = tiny_specs(["tiny-vits"])
    with pytest.raises(Unavailable, match="phonemes"):
        VitsVoice.load(spec, changed(tmp_path / "a", phonemize=True), Placement())
    with pytest.raises(Unavailable, match="uroman") as refusal:
        VitsVoice.load(spec, changed(tmp_path / "b", is_uroman=True), Placement())
    assert refusal.value.remedy == "pip install uroman"


def test_other_scripts_go_through_the_romaniser() -> None:
    (spec,), found = tiny_specs(["tiny-vits"]), checkpoint("tiny-vits")
    network = transformers.VitsModel.from_pretrained(found.folder).eval()
    tokenizer = transformers.VitsTokenizer.from_pretrained(found.folder)
    greek = {"α": "a", "β": "v"}  # noqa: RUF001
    voice = VitsVoice(spec, "1", network, tokenizer, Placement(), lambda text: "".join(greek.get(c, c) for c in text))
    read, latin = (voice.speak(text, "en", Delivery()) for text in ("αβα αβ", "ava av"))
    np.testing.assert_array_equal(read.audio.samples, latin.audio.samples)
    assert [word.text for word in read.words] == ["αβα", "αβ"]
