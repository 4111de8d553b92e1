"""The decoder itself: what it loads, what it leaves out of its answers, and what it forgets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ml.engines.sphinx_decoder import Search, SphinxDecoder, model_folder
from ml.engines.sphinx_session import CEPSTRAL_MEAN
from ml.errors import EngineFailed

HEAD = "#JSGF V1.0;\ngrammar test;\n"


@pytest.fixture(scope="module")
def folder() -> Path:
    found = model_folder()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def pcm(repository: Path) -> bytes:
    """The last sentence of the demo recording: he might even have been made amiable himself."""
    samples, _ = soundfile.read(repository / "examples" / "audio" / "demo.flac", dtype="int16")
    return np.asarray(samples[-57_600:], "<i2").tobytes()


def hear(decoder: SphinxDecoder, pcm: bytes, offset: float = 0.0) -> list[tuple[str, float, float, float]]:
    decoder.start(CEPSTRAL_MEAN)
    decoder.feed(pcm)
    decoder.end()
    return [(word.text, word.start, word.end, word.confidence) for word in decoder.words(offset)]


def test_words_have_no_fillers_and_no_marks_of_pronunciation(folder: Path, pcm: bytes) -> None:
    sentence = "he might even have been made amiable himself"
    decoder = SphinxDecoder(folder, Search(passes=1, grammar=f"{HEAD}public <x> = {sentence};"))
    assert " ".join(word[0] for word in hear(decoder, pcm)) == sentence
    raw = {segment.word for segment in decoder._decoder.seg()}
    assert any(name.startswith("<") or name.endswith(")") for name in raw), raw
    later = hear(decoder, pcm, offset=10.0)
    assert all(start >= 10.0 and end <= 10.0 + len(pcm) / 32_000 + 0.1 for _, start, end, _ in later)


def test_an_utterance_is_heard_the_same_after_any_other(folder: Path, pcm: bytes) -> None:
    decoder = SphinxDecoder(folder, Search(passes=1))
    first = hear(decoder, pcm[:48_000])
    assert first
    hear(decoder, np.random.default_rng(0).normal(0, 9000, 16_000).astype("<i2").tobytes())
    assert hear(decoder, pcm[:48_000]) == first
    assert all(0.0 <= word[3] <= 1.0 for word in first)


def test_nothing_heard_is_nothing_said(folder: Path) -> None:
    decoder = SphinxDecoder(folder, Search(passes=1))
    decoder.start(CEPSTRAL_MEAN)
    assert decoder.words() == ()
    decoder.feed(b"")
    decoder.end()
    assert decoder.words() == ()


def test_new_words_need_a_pronunciation(folder: Path) -> None:
    grammar = HEAD + "public <x> = zorblax;"
    with pytest.raises(EngineFailed, match="PocketSphinx does not load"):
        SphinxDecoder(folder, Search(passes=1, grammar=grammar))
    SphinxDecoder(folder, Search(passes=1, grammar=grammar, pronunciations={"zorblax": ("Z", "AO", "R", "B", "L")}))


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="does not load") as caught:
        SphinxDecoder(tmp_path, Search(passes=1))
    assert "doctor" in caught.value.remedy
