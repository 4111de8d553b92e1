"""What an engine gets of a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.errors import ModelDamaged
from ml.models.checkpoint import Checkpoint
from ml.models.entry import FolderSource, HubSource
from tests.ml.engines.tiny import entry


def test_its_files_are_found_or_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    made = Checkpoint(entry("one", "asr", "whisper"), tmp_path, "0123456789abcdef")
    assert made.version == "one 0123456789ab"
    assert made.file("config.json") == tmp_path / "config.json"
    with pytest.raises(ModelDamaged, match="weights") as caught:
        made.file("weights")
    assert caught.value.remedy == FolderSource("one").remedy
    fetched = Checkpoint(entry("one", "asr", "whisper", source=HubSource("a/b")), tmp_path, "0123456789abcdef")
    with pytest.raises(ModelDamaged, match="weights") as caught:
        fetched.file("weights")
    assert caught.value.remedy == "node models pull one"


def test_parts_lie_in_its_own_folder_or_are_other_models(tmp_path: Path) -> None:
    (tmp_path / "one" / "vocoder").mkdir(parents=True)
    beside = {"vocoder": tmp_path / "other", "speaker": tmp_path / "ears"}
    made = Checkpoint(entry("one", "tts", "speecht5-tts"), tmp_path / "one", "0123", beside)
    own, other = made.part("vocoder"), made.part("speaker")
    assert own is not None
    assert own.folder == tmp_path / "one" / "vocoder"
    assert other is not None
    assert (other.folder, other.name, other.part("speaker")) == (tmp_path / "ears", "one", None)
    assert made.part("voices") is None
