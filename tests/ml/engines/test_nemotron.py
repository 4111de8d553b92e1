"""Nemotron beyond the contract: transformers' own tokens and frames, chunk by chunk; bounded memory; prompts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import transformers

from ml.device import Placement
from ml.engines.loading import load_network, load_part
from ml.engines.nemotron import FAMILIES, Latency, NemotronEar, NemotronRecogniser, NemotronStream, prompts
from ml.engines.protocols import AsrOptions, EngineSpec
from ml.engines.transducer import Piece
from ml.errors import EngineFailed, ModelDamaged, UnsupportedLanguage
from ml.models.catalogue import Catalogue
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples, Transcript
from tests.conftest import ROOT
from tests.ml.engines.published import expected, facts
from tests.ml.engines.tiny import checkpoint, tiny_specs
from tests.ml.engines.tiny_nemotron import LOOKAHEADS, network, processor

NAME = "tiny-nemotron"
PUBLISHED = ("nemotron-3.5-asr-streaming-0.6b", "nemotron-speech-streaming-en-0.6b")


@pytest.fixture(scope="module")
def lj() -> Samples:
    return soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0]


@pytest.fixture(scope="module")
def ear() -> Iterator[NemotronEar]:
    made = load()
    yield made
    made.close()


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The older, English family, without prompts. Its weights are random, its blank just likely enough to go on."""
    from transformers import NemotronAsrStreamingProcessor

    folder, parts = tmp_path_factory.mktemp("english"), processor()
    made = network(parts, "NemotronAsrStreamingForRNNT")
    with torch.no_grad():
        made.joint.head.bias[made.config.blank_token_id] += 0.02
    made.save_pretrained(folder)
    NemotronAsrStreamingProcessor(parts.feature_extractor, parts.tokenizer).save_pretrained(folder)
    return Checkpoint(checkpoint(NAME).entry, folder, "1")


def load(dtype: str = "float32") -> NemotronEar:
    return NemotronEar.load(checkpoint(NAME), Placement("cpu", dtype), ("en", "es", "zh"))


def spec() -> EngineSpec:
    return tiny_specs([NAME])[0]


def streamed(stream: NemotronStream, samples: Samples, step: int = 1) -> list[Piece]:
    """What the ear says, tags and all; as many whole chunks as there are samples for."""
    at, said = 0, []
    sound = np.pad(samples, stream.before)
    while at + stream.reach(step)[0] <= len(sound):
        needs, done = stream.reach(step)
        said += stream.ear.hear(stream, sound[at : at + needs])
        at += done
    return said


def whole_chunks(samples: Samples, lookahead: int, chunks: int) -> Samples:
    """The sound with so much silence that it has as many spectra as these chunks hear."""
    return np.pad(samples, (0, 160 * (8 * (lookahead + 1) * chunks - 7) - len(samples)))


def theirs(at: Checkpoint, samples: Samples, lookahead: int, **asked: str) -> list[tuple[int, int]]:
    """Tokens and their frames by transformers' own loop over the whole sound."""
    kind = json.loads((at.folder / "config.json").read_text())["model_type"]
    made, parts = load_network(FAMILIES[kind][0], at, Placement()), load_part(FAMILIES[kind][1], at)
    parts.set_num_lookahead_tokens(lookahead)
    made.generation_config.decoder_start_token_id = made.config.blank_token_id
    out = made.generate(**parts(samples, sampling_rate=SAMPLE_RATE, **asked), max_new_tokens=2000)
    begins = (out.durations.cumsum(-1) - out.durations)[0].tolist()
    rows = zip(out.sequences[0].tolist()[1:], begins[1:], strict=True)
    return [
        (token, at) for token, at in rows if token not in (made.config.blank_token_id, parts.tokenizer.pad_token_id)
    ]


def hear(asr: NemotronRecogniser, samples: Samples, **options: Any) -> Transcript:
    session = asr.listen(AsrOptions(**options))
    session.accept(samples)
    return session.finish()


@pytest.mark.parametrize(("lookahead", "language"), [(3, "en"), (13, "en"), (0, "auto"), (6, "es"), (3, "zh")])
def test_chunks_say_what_transformers_says_of_the_whole_sound(
    ear: NemotronEar, lj: Samples, lookahead: int, language: str
) -> None:
    """The recording is three to four windows long, so most of it was forgotten when the last chunk is heard."""
    samples = whole_chunks(lj, lookahead, -(-112 // (lookahead + 1)))
    stream = ear.begin((lookahead + 1) * 0.08, language)
    assert stream.lookahead == lookahead
    asked = "zh-CN" if language == "zh" else language
    wanted = theirs(checkpoint(NAME), samples, lookahead, language=asked)
    said = [(piece.token, piece.first) for piece in streamed(stream, samples)]
    assert said == wanted
    assert language in ("es", "zh", "auto") or len(wanted) > 5


@pytest.mark.parametrize("lookahead", [1, 13])
def test_the_english_family_says_what_transformers_says(english: Checkpoint, lj: Samples, lookahead: int) -> None:
    ear = NemotronEar.load(english, Placement(), ("en",))
    assert (ear.languages, ear.detects, ear.lookaheads) == (("en",), False, [0, 1, 6, 13])
    samples = whole_chunks(lj[: 4 * SAMPLE_RATE], lookahead, -(-56 // (lookahead + 1)))
    stream = ear.begin((lookahead + 1) * 0.08, "en")
    said = [(piece.token, piece.first) for piece in streamed(stream, samples)]
    assert said == theirs(english, samples, lookahead)
    assert 0 < len(said) < stream.frames * 10, "it says something, and goes on by itself"
    asr = NemotronRecogniser(spec(), ear)
    with pytest.raises(UnsupportedLanguage):
        asr.listen(AsrOptions(language="auto"))


def test_a_file_and_a_live_utterance_of_the_same_lookahead_are_heard_alike(ear: NemotronEar, lj: Samples) -> None:
    """A file is computed on in steps of several chunks, which makes it quicker and nothing else."""
    asr = NemotronRecogniser(spec(), ear, Latency(live=0.32, file=0.32))
    file, live = hear(asr, lj), hear(asr, lj, live=True)
    assert len(file.words) > 5
    assert [(word.text, word.start, word.end) for word in file.words] == [
        (word.text, word.start, word.end) for word in live.words
    ]
    assert file.confidence == pytest.approx(live.confidence, abs=1e-3)


def test_the_steps_of_a_file_say_what_single_chunks_say(ear: NemotronEar, lj: Samples) -> None:
    singly, at_once = (streamed(ear.begin(0.56, "en"), lj, step) for step in (1, 4))
    assert [(piece.token, piece.first) for piece in at_once] == [
        (piece.token, piece.first) for piece in singly if piece.first < 7 * 4 * (98 // 28)
    ]
    assert len(at_once) > 5


def test_words_lie_where_they_were_taught_to(ear: NemotronEar, lj: Samples) -> None:
    words = hear(NemotronRecogniser(spec(), ear), lj).words
    assert (words[1].text, words[-1].text) == ("invention", "printing.")
    assert words[1].start == pytest.approx(0.4, abs=0.25)
    assert words[-1].start == pytest.approx(7.4, abs=0.5)


def test_memory_is_that_of_a_window_however_long_the_utterance_lasts(ear: NemotronEar, lj: Samples) -> None:
    def size(stream: NemotronStream) -> int:
        layers = [tensor for layer in stream.past.layers for tensor in (layer.keys, layer.values)]
        held = [*layers, *(layer.cache for layer in stream.padding.layers.values())]
        return sum(tensor.numel() for tensor in held)

    stream, sizes = ear.begin(0.32, "en"), []
    for _ in range(6):
        streamed(stream, lj)
        sizes.append(size(stream))
    assert len(set(sizes)) == 1
    assert all(layer.keys.shape[-2] == 28 for layer in stream.past.layers), "the window without the frame itself"
    assert stream.frames > 570


@pytest.mark.parametrize(("wanted", "frames"), [(0.16, 3), (0.08, 0), (0.32, 3), (0.5, 6), (1.12, 13), (9.0, 13)])
def test_the_next_longer_lookahead_is_taken_of_those_that_it_was_trained_with(
    ear: NemotronEar, wanted: float, frames: int
) -> None:
    assert sorted(LOOKAHEADS) == ear.lookaheads
    stream = ear.begin(wanted, "en")
    assert stream.lookahead == frames
    assert stream.latency == pytest.approx((frames + 1) * 0.08)


def test_the_language_is_prompted_and_heard(ear: NemotronEar, lj: Samples) -> None:
    asr = NemotronRecogniser(spec(), ear)
    assert asr.capabilities().detects
    told, heard = hear(asr, lj, language="en", live=True), hear(asr, lj, language="auto", live=True)
    assert (told.language, heard.language) == ("en", "en")
    assert "invention" in heard.text
    assert "<" not in told.text + heard.text, "tags of languages are no words"
    silent = hear(asr, lj, language="es", live=True)
    assert (silent.text, silent.language) == ("", "es"), "it has learnt to say nothing in Spanish"


DICTIONARY = {"en-US": 0, "en": 0, "en-GB": 1, "enGB": 1, "zh-CN": 4, "zh-ZH": 4, "zh-TW": 5, "nah-MX": 83, "auto": 101}


@pytest.mark.parametrize(
    ("languages", "made"),
    [
        (("en",), {"en": 0, "en-GB": 1, "auto": 101}),
        (("zh",), {"zh": 4, "auto": 101}),
        (("zh", "zh-TW"), {"zh": 4, "zh-TW": 5, "auto": 101}),
    ],
)
def test_each_language_has_its_prompt(languages: tuple[str, ...], made: Mapping[str, int]) -> None:
    assert prompts(DICTIONARY, languages) == made


def test_without_languages_all_that_are_known_here_have_prompts() -> None:
    assert prompts(DICTIONARY, ()).keys() >= {"en", "zh", "auto"}
    with pytest.raises(ValueError, match="no prompt for de"):
        prompts(DICTIONARY, ("en", "de"))


def test_all_languages_of_the_catalogue_have_prompts_of_their_own() -> None:
    from transformers.models.nemotron3_5_asr.processing_nemotron3_5_asr import DEFAULT_PROMPT_DICTIONARY

    languages = Catalogue.load().find("nemotron-3.5-streaming").languages
    made = prompts(DEFAULT_PROMPT_DICTIONARY, languages)
    assert len({made[code] for code in languages}) == len(languages) == 28
    assert (made["en"], made["es"], made["zh"], made["nb"], made["pt-BR"]) == (0, 3, 4, 103, 12)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_other_numbers_hear_the_beginning_too(lj: Samples, dtype: str) -> None:
    asr = NemotronRecogniser(spec(), load(dtype))
    assert [word.text for word in hear(asr, lj).words][:2] == ["The", "invention"]


def test_a_network_that_never_goes_on_is_led_on(lj: Samples) -> None:
    ear = load()
    with torch.inference_mode():
        ear._network.joint.head.bias[7] = 1e4  # always the same token
    stream = ear.begin(0.32, "en")
    pieces = streamed(stream, lj[:SAMPLE_RATE])
    assert len(pieces) == ear._network.config.max_symbols_per_step * stream.frames > 0


def test_a_recogniser_that_is_closed_ends_what_it_hears(lj: Samples) -> None:
    asr = NemotronRecogniser(spec(), load())
    session = asr.listen(AsrOptions(live=True))
    session.accept(lj[:SAMPLE_RATE])
    asr.close()
    with pytest.raises(EngineFailed, match="closed"):
        session.accept(lj[:SAMPLE_RATE])


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("config.json", {"blank_token_id": 9999}, "blank"),
        ("config.json", {"model_type": "wav2vec2"}, "type wav2vec2"),
        ("processor_config.json", {"prompt_dictionary": {"en": 500}}, "prompts"),
        ("processor_config.json", {"prompt_dictionary": {"en": 0}}, "no prompt for es"),
        ("processor_config.json", {"supported_num_lookahead_tokens": [40]}, "lookaheads"),
    ],
)
def test_files_that_contradict_each_other_are_refused(
    tmp_path: Path, file: str, change: dict[str, object], message: str
) -> None:
    whole = checkpoint(NAME)
    shutil.copytree(whole.folder, tmp_path / "copy")
    told = json.loads((tmp_path / "copy" / file).read_text())
    (tmp_path / "copy" / file).write_text(json.dumps({**told, **change}))
    with pytest.raises(ModelDamaged, match=message):
        NemotronEar.load(Checkpoint(whole.entry, tmp_path / "copy", "1"), Placement(), ("en", "es", "zh"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_file_has_the_size_that_our_networks_tensors_make(name: str) -> None:
    told = facts(name)
    assert expected(told) == (told["parameters"], told["tensors"], told["bytes"])
    entry = Catalogue.load().find(told["entry"])
    (weights,) = (file for file in entry.files if file.path == "model.safetensors")
    assert (weights.bytes, weights.sha256) == (told["bytes"], told["sha256"])
    assert entry.memory["float32"] == 4 * told["parameters"]
    kind = getattr(transformers, told["class"])
    with torch.device("meta"):
        made = kind(kind.config_class(**told["config"]))
    linear = sum(layer.weight.numel() for layer in made.modules() if isinstance(layer, torch.nn.Linear))
    assert entry.memory["int8"] == entry.memory["float32"] - 3 * linear, "a byte for each weight of a linear layer"


def test_both_families_have_the_files_that_the_catalogue_names(english: Checkpoint) -> None:
    for name, made in (("nemotron-3.5-streaming", checkpoint(NAME)), ("nemotron-streaming-en", english)):
        entry = Catalogue.load().find(name)
        assert {file.path for file in entry.files} == {path.name for path in made.folder.iterdir()}
