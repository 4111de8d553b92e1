"""What an engine gets of a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.errors import ModelDamaged
from ml.models.checkpoint import Checkpoint
from tests.ml.engines.tiny import entry


def test_its_files_are_found_or_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    made = Checkpoint(entry("one", "asr", "whisper"), tmp_path, "0123456789abcdef")
    assert made.version == "one 0123456789ab"
    assert made.file("config.json") == tmp_path / "config.json"
    with pytest.raises(ModelDamaged, match="weights") as caught:
        made.file("weights")
    assert caught.value.remedy == "node models pull one"
