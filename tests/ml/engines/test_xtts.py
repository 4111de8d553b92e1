"""XTTS beyond the contract: sound while it is made, as the package itself would make it; voices; languages and lengths.

The package coqui-tts is no part of the project's environment. Where it is not installed, what needs it is skipped.
"""

from __future__ import annotations

import hashlib
import shutil
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from ml.device import Placement
from ml.engines.protocols import EngineHome, StreamingTts
from ml.engines.speaking import PAUSE, seeded
from ml.engines.xtts import REMEMBERED, SEED, XttsVoice
from ml.errors import BadAudio, BadText, EngineFailed, ModelDamaged, Unavailable, UnsupportedLanguage
from ml.models.catalogue import Catalogue
from ml.models.checkpoint import Checkpoint
from ml.models.entry import HubSource
from ml.types import SAMPLE_RATE, Audio, Delivery
from tests.conftest import ROOT
from tests.ml.engines.published import facts
from tests.ml.engines.tiny import checkpoint, tiny_specs

(SPEC,) = tiny_specs(["tiny-xtts"])
TEXT = "The quick brown fox jumps over the lazy dog."
(NEED, *_) = [need for need in SPEC.needs if need.name == "TTS"]
pytestmark = pytest.mark.skipif(find_spec("TTS") is None, reason=f"coqui-tts is not installed: {NEED.remedy}")


@pytest.fixture(scope="module")
def engine():
    made = SPEC.factory(EngineHome(Path("nowhere")))
    yield made
    made.close()


def recording(name: str, seconds: float = 3.0) -> Audio:
    samples = soundfile.read(ROOT / "examples" / "audio" / name, dtype="float32")[0]
    return Audio(samples[: round(seconds * SAMPLE_RATE)])


def whole(pieces) -> np.ndarray:
    return np.concatenate([piece.samples for piece in pieces])


@pytest.mark.parametrize("tokens", [0, 20])
def test_it_says_what_the_package_says_with_the_same_noise(engine, tokens: int) -> None:
    """Loaded and drawn step by step here, against the package's own stream in one go."""
    from TTS.tts.models.xtts import Xtts

    network = engine._network
    assert isinstance(network, Xtts)
    latents, embedding = engine._voices["Claribel Dervla"]
    told = engine._settings
    draw = {"temperature": told.temperature, "top_k": told.top_k, "top_p": told.top_p}
    draw |= {"repetition_penalty": told.repetition_penalty, "length_penalty": told.length_penalty}
    draw |= {"stream_chunk_size": tokens}
    with torch.inference_mode(), seeded(SEED):
        made = [piece.numpy() for piece in network.inference_stream("why, fox?", "en", latents, embedding, **draw)]
    wanted = soxr.resample(np.concatenate(made), told.model_args.output_sample_rate, SAMPLE_RATE)
    given = ("Why, fox?", "en", Delivery(voice="Claribel Dervla"))
    said = whole(engine.stream(*given)) if tokens else engine.speak(*given).audio.samples
    assert len(said) == len(wanted) > 0.5 * SAMPLE_RATE
    np.testing.assert_allclose(said, wanted, atol=2e-4)


def test_it_can_be_heard_before_it_is_ready(engine) -> None:
    assert isinstance(engine, StreamingTts)
    decoder, decoded = engine._network.hifigan_decoder, []
    hook = decoder.register_forward_hook(lambda module, given, made: decoded.append(given[0].shape[1]))
    pieces = engine.stream(TEXT, "en", Delivery())
    first = next(pieces)
    assert decoded == [20], "tokens that were sounded for the first piece"
    rest = list(pieces)
    hook.remove()
    assert 0.5 < first.seconds < 1.0
    streamed, said = whole([first, *rest]), engine.speak(TEXT, "en", Delivery()).audio.samples
    assert len(streamed) == len(said)
    assert np.corrcoef(streamed, said)[0, 1] > 0.95, "the same but for the joints"


def test_streams_do_not_disturb_each_other(engine) -> None:
    """The package keeps the text under way inside the network."""
    alone = whole(engine.stream(TEXT, "en", Delivery()))
    given_up = engine.stream("Buenos días", "es", Delivery())
    next(given_up)
    given_up.close()
    one = engine.stream(TEXT, "en", Delivery())
    first = next(one)
    other = engine.stream("one two three, one two three", "en", Delivery(voice="Viktor Menelaos"))
    next(other)
    np.testing.assert_array_equal(whole([first, *one]), alone)


def test_voices_are_chosen_by_name_or_by_a_recording(engine) -> None:
    def said(**how: object) -> np.ndarray:
        return engine.speak("The fox", "en", Delivery(**how)).audio.samples  # type: ignore[arg-type]

    np.testing.assert_array_equal(said(), said(voice="Claribel Dervla"))
    ways = [said(), said(voice="Viktor Menelaos"), *(said(reference=recording(n)) for n in ("lj.flac", "demo.flac"))]
    for index, one in enumerate(ways):
        for other in ways[index + 1 :]:
            assert len(one) != len(other) or np.abs(one - other).max() > 1e-4
    with pytest.raises(BadText, match="nobody") as failure:
        said(voice="nobody")
    assert "Claribel Dervla" in failure.value.remedy
    for bad in (recording("lj.flac", 0.5), Audio(np.zeros(SAMPLE_RATE, np.float32)), Audio(np.ones(9000), 8000)):
        with pytest.raises(BadAudio):
            said(reference=bad)


def test_a_voice_is_listened_to_once(engine, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []
    original = engine._network.get_speaker_embedding
    monkeypatch.setattr(engine._network, "get_speaker_embedding", lambda *a: heard.append(1) or original(*a))
    engine._known.clear()
    for part in (1.0, 1.0, 1.5, 1.0):
        engine._voice(Delivery(reference=recording("lj.flac", part)))
    assert len(heard) == 2
    for part in range(2 * REMEMBERED):
        engine._voice(Delivery(reference=recording("demo.flac", 1 + part / 8)))
    assert len(engine._known) == REMEMBERED


def test_long_texts_are_cut_at_sentences_under_the_languages_limit(engine) -> None:
    long = f"{TEXT} " * 20 + "fox and " * 60 + "dog."
    for code, limit in (("en", 250), ("es", 239), ("it", 213)):
        pieces = engine._pieces(long.strip(), code)
        assert max(map(len, pieces)) <= limit
        assert all(len(f"{one} {two}") > limit for one, two in pairwise(pieces))
        assert " ".join(pieces).split() == long.split()
    heard = list(engine.stream(f"{TEXT} " * 6, "en", Delivery()))
    rest = round(PAUSE * SAMPLE_RATE)
    assert sum(len(piece.samples) == rest and not piece.samples.any() for piece in heard) == 1


def test_languages_are_those_of_its_settings(engine) -> None:
    assert engine.capabilities().languages == ("en", "es", "fr", "de", "it", "pt", "zh", "ja")
    assert engine.speak("Olá", "pt-BR", Delivery()).language == "pt-BR"
    for code in ("ru", "xx"):
        with pytest.raises(UnsupportedLanguage):
            engine.stream("hola", code, Delivery())


def test_what_the_package_cannot_turn_into_words_is_refused(engine) -> None:
    with pytest.raises(BadText, match="cannot say that") as failure:
        engine.stream("9" * 60, "es", Delivery())
    assert failure.value.remedy
    assert engine.speak("999", "es", Delivery()).audio.seconds > 0


@pytest.mark.skipif(find_spec("pypinyin") is None, reason="pypinyin is not installed")
def test_chinese_is_cut_and_joined_without_spaces(engine) -> None:
    assert engine._pieces("你好。你好。" + "你好,我的朋友," * 12, "zh")[0].startswith("你好。你好。你好")
    assert max(map(len, engine._pieces("你好,我的朋友," * 40, "zh"))) <= 82
    assert engine.speak("你好。", "zh", Delivery()).audio.seconds > 0


@pytest.mark.skipif(find_spec("cutlet") is not None, reason="cutlet is installed")
def test_a_language_whose_package_is_missing_says_so(engine) -> None:
    with pytest.raises(Unavailable) as failure:
        engine.stream("こんにちは", "ja", Delivery())
    assert "coqui-tts[ja]" in failure.value.remedy


def test_a_closed_voice_ends_its_streams() -> None:
    engine = SPEC.factory(EngineHome(Path("nowhere")))
    pieces = engine.stream(TEXT, "en", Delivery())
    next(pieces)
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        list(pieces)


def copied(to: Path) -> Checkpoint:
    found = checkpoint("tiny-xtts")
    shutil.copytree(found.folder, to / "copy")
    return Checkpoint(found.entry, to / "copy", found.revision)


def test_the_published_file_is_read_and_never_written(tmp_path: Path) -> None:
    """The package's own loader saves model.pth anew when it holds a settings object."""
    made = copied(tmp_path)
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made.folder.iterdir()}
    XttsVoice.load(SPEC, made, Placement()).close()
    assert before == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made.folder.iterdir()}


def test_a_checkpoint_is_loaded_whole_or_refused_by_name(tmp_path: Path) -> None:
    made = copied(tmp_path)
    from ml.engines.xtts_files import tensors_of

    tensors = {key: value.clone() for key, value in tensors_of(made).items()}
    key = "gpt.mel_head.bias"
    spoilt = {
        f"lacks {key}": {k: v for k, v in tensors.items() if k != key},
        "too many: stray": {**tensors, "stray": torch.zeros(1)},
        f"size mismatch for {key}": {**tensors, key: torch.zeros(3)},
    }
    for said, model in spoilt.items():
        torch.save({"model": model}, made.folder / "model.pth")
        with pytest.raises(ModelDamaged, match=said) as failure:
            XttsVoice.load(SPEC, made, Placement())
        assert failure.value.remedy
    names = {f"xtts.{k}": v for k, v in tensors.items()} | {"xtts.gpt.gpt.wte.weight": torch.zeros(1)}
    torch.save({"config": {}, "model": names | {"dvae.codebook": torch.zeros(2)}}, made.folder / "model.pth")
    (made.folder / "speakers_xtts.pth").unlink()
    voiceless = XttsVoice.load(SPEC, made, Placement("cpu", "bfloat16"))
    assert "float32" in voiceless.capabilities().version
    with pytest.raises(BadText, match="no voice of its own"):
        voiceless.speak("fox", "en", Delivery())
    (made.folder / "vocab.json").write_text("{}")
    with pytest.raises(ModelDamaged, match=r"vocab\.json"):
        XttsVoice.load(SPEC, made, Placement())


@pytest.mark.slow
def test_the_network_of_published_sizes_fills_the_published_file() -> None:
    """A saved dictionary is its tensors and, for each, 300 to 350 bytes of names and padding: the published file has
    room for these tensors and no others of more than some kilobytes."""
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.models.xtts import Xtts

    told = facts("xtts-v2")
    made = Xtts(XttsConfig(model_args=XttsArgs(**told["model_args"]))).state_dict()
    assert len(made) == told["tensors"]
    assert sum(tensor.numel() * tensor.element_size() for tensor in made.values()) == told["tensor_bytes"]
    assert 300 < (told["bytes"] - told["tensor_bytes"]) / told["tensors"] < 350


def test_what_the_catalogue_says_is_what_is_published() -> None:
    told, published = facts("xtts-v2"), Catalogue.load().find("xtts-v2")
    assert published.source == HubSource("coqui/XTTS-v2", told["revision"])
    assert {file.path: file.bytes for file in published.files}["model.pth"] == told["bytes"]
    assert set(published.languages) == {code.partition("-")[0] for code in told["languages"]}
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

    assert set(VoiceBpeTokenizer().char_limits) == set(published.languages)
