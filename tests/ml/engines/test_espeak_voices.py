from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.engines import espeak
from ml.engines.espeak_voices import FOLDER, VOICES, lay_out
from ml.engines.protocols import EngineHome
from ml.types import Delivery


def test_the_library_offers_our_voices_beside_its_own(tts: espeak.EspeakTts) -> None:
    assert set(VOICES) | {"f2", "klatt4", "m3"} <= set(tts.variants)


@pytest.mark.parametrize("name", VOICES)
def test_our_voices_reach_the_pitch_they_are_for(tts: espeak.EspeakTts, name: str) -> None:
    for f0 in (160.0, 210.0, 280.0):
        speech = tts.speak("El domingo es la parte mejor de la semana.", "es", Delivery(f0_hz=f0, voice=name))
        measured = espeak.median_f0(speech.audio.samples, speech.audio.rate)
        assert measured == pytest.approx(f0, rel=0.05)
        assert np.sqrt(np.mean(speech.audio.samples**2)) > 0.01


def test_the_folder_leads_to_the_librarys_data_and_changes_nothing_there(tmp_path: Path) -> None:
    files = espeak.find_library()
    assert files is not None
    assert files.data is not None
    own = files.data / FOLDER / "voices" / "!v"
    before = sorted(own.iterdir())
    made = lay_out(files.data, tmp_path) / FOLDER
    assert (made / "phontab").read_bytes() == (files.data / FOLDER / "phontab").read_bytes()
    assert "klatt 3" in (made / "voices" / "!v" / "bm-high").read_text()
    assert sorted(own.iterdir()) == before
    assert {path.name for path in (made / "voices" / "!v").iterdir()} == {path.name for path in before} | set(VOICES)


def test_closing_the_engine_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    engine = espeak.start(EngineHome(tmp_path))
    assert len(list(tmp_path.iterdir())) == 1
    engine.close()
    engine.close()
    assert list(tmp_path.iterdir()) == []
