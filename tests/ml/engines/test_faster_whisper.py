"""Whisper by CTranslate2 beyond the contract: what it hears, how it is asked, and that nothing is ever fetched."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from ml.device import Placement
from ml.engines.faster_whisper import FasterWhisperEar
from ml.engines.protocols import AsrOptions
from ml.engines.whisper_decoding import DecodingOptions
from ml.errors import EngineFailed, ModelDamaged, Unavailable
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples
from tests.conftest import ROOT
from tests.ml.engines.tiny import checkpoint
from tests.ml.engines.tiny_whisper import SAID

package = pytest.importorskip("faster_whisper")
GREEDY = DecodingOptions(temperatures=(0.0,))


@pytest.fixture(scope="module")
def lj() -> Samples:
    return soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0]


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_it_hears_what_it_learnt(lj: Samples, dtype: str) -> None:
    ear = FasterWhisperEar.load(checkpoint("tiny-faster-whisper"), Placement("cpu", dtype), GREEDY)
    heard = ear.hear(lj, AsrOptions())
    assert " ".join(word.text for word in heard.words) == SAID.strip()
    assert all(0 <= word.start <= word.end <= len(lj) / SAMPLE_RATE for word in heard.words)
    assert dtype in ear.version


@pytest.mark.parametrize("name", ["tokenizer.json", "model.bin", "config.json"])
def test_a_missing_file_is_named_and_not_fetched(tmp_path: Path, name: str) -> None:
    whole = checkpoint("tiny-faster-whisper")
    shutil.copytree(whole.folder, tmp_path / "copy")
    (tmp_path / "copy" / name).unlink()
    with pytest.raises(ModelDamaged, match=name):
        FasterWhisperEar.load(Checkpoint(whole.entry, tmp_path / "copy", "1"), Placement(), GREEDY)
    with pytest.raises(Unavailable):
        FasterWhisperEar.load(Checkpoint(whole.entry, tmp_path / "nowhere", "1"), Placement(), GREEDY)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    whole = checkpoint("tiny-faster-whisper")
    shutil.copytree(whole.folder, tmp_path / "copy")
    (tmp_path / "copy" / "model.bin").write_bytes(b"nothing")
    with pytest.raises(ModelDamaged):
        FasterWhisperEar.load(Checkpoint(whole.entry, tmp_path / "copy", "1"), Placement(), GREEDY)


def test_devices_that_ctranslate2_lacks_are_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not compute"):
        FasterWhisperEar.load(checkpoint("tiny-faster-whisper"), Placement("mps"), GREEDY)


class Package:
    """Stands where the package's model stands, and remembers what it was asked."""

    feature_extractor = SimpleNamespace(chunk_length=30)
    supported_languages = ("en", "jw")

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def transcribe(self, samples: Samples, **asked: Any) -> Any:
        self.asked.append(asked)
        if asked["beam_size"] == 9:
            raise RuntimeError("too many beams")
        words = [SimpleNamespace(word=" hi", start=0.0, end=99.0, probability=0.5)]
        told = SimpleNamespace(language=asked["language"] or "jw")
        return iter([SimpleNamespace(words=words), SimpleNamespace(words=None)]), told


def test_options_reach_the_package() -> None:
    model = Package()
    ear = FasterWhisperEar(model, "1", DecodingOptions(beams=4))
    second = np.ones(SAMPLE_RATE, np.float32)
    assert (ear.languages, ear.detects) == (("en", "jv"), True)
    heard = ear.hear(second, AsrOptions(language="auto", notes="a " * 500), "before")
    assert (heard.language, heard.words[0].text, heard.words[0].end) == ("jv", "hi", 1.0)
    ear.hear(second, AsrOptions(language="jv", live=True))
    first, live = model.asked
    assert (first["language"], live["language"]) == (None, "jw")
    assert (len(first["temperature"]), len(live["temperature"])) == (6, 1)
    assert len(first["initial_prompt"].split()) == 101
    assert live["initial_prompt"] is None
    assert first["beam_size"] == 4


def test_what_stops_it_is_one_sentence() -> None:
    ear = FasterWhisperEar(Package(), "1", DecodingOptions(beams=9))
    with pytest.raises(EngineFailed, match="too many beams"):
        ear.hear(np.ones(SAMPLE_RATE, np.float32), AsrOptions())
    ear.close()
    with pytest.raises(EngineFailed, match="closed"):
        ear.hear(np.ones(SAMPLE_RATE, np.float32), AsrOptions())
