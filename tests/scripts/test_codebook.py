"""The maker of the codebook counts what is there, and says what is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from ml.audio.write import write
from ml.types import Audio
from ml.voice.codec.codebook import Codebook, genesis_codebook
from tests.ml.voice.codec.conftest import made_speech


@pytest.fixture
def maker(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    monkeypatch.delitem(sys.modules, "codebook", raising=False)
    import codebook

    return codebook


@pytest.fixture
def pool(maker, tmp_path: Path):
    write(tmp_path / "a.flac", Audio(made_speech(6.0)))
    cuts = [{"start": 0, "end": 48_000}, {"start": 48_000, "end": 96_000}]
    (tmp_path / "manifest.json").write_text(json.dumps([{"file": "a.flac", "segments": cuts}]))
    return maker.utterances(tmp_path)


def test_utterances_are_whole_blocks_with_pitch(pool) -> None:
    assert [len(mel) for mel, _ in pool] == [184, 184]
    assert all(len(mel) == len(f0) and f0.any() for mel, f0 in pool)


def test_pitch_tables_follow_the_pool(maker, pool) -> None:
    flat = Codebook({**genesis_codebook().tensors, "pitch": np.ones(64, np.uint16)})
    heights = maker.with_pitches(flat, pool).tensors["pitch"]
    asked = round(np.log(120 / 60) / np.log(400 / 60) * 63)
    assert abs(int(heights.argmax()) - asked) < 10
    assert heights[0] < heights.max() / 10


def test_rates_fall_as_the_step_grows(maker, pool, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(maker, "say", lines.append)
    rates = maker.with_rates(genesis_codebook(), pool).tensors["rates"]
    assert len(lines) == len(rates) == 9
    assert (np.diff(rates[:, 1].astype(int)) < 0).all()


def test_without_speech_it_says_so(maker, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no speech"):
        maker.utterances(tmp_path / "nothing")
