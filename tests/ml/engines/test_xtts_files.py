"""XTTS's files are read as data, without the package that wrote them; anything else in them is refused."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from ml.device import Placement
from ml.engines.checkpoints import KINDS
from ml.engines.xtts_files import (
    INSTALL,
    SETTINGS_OBJECTS,
    Forgotten,
    Settings,
    network_of,
    settings_of,
    tensors_of,
    voices_of,
)
from ml.errors import ModelDamaged, Unavailable
from ml.models.checkpoint import Checkpoint
from tests.ml.engines.tiny import entry
from tests.ml.engines.tiny_xtts import SIZES

PUBLISHED = (
    "TTS.tts.configs.xtts_config.XttsConfig",
    "TTS.tts.models.xtts.XttsArgs",
    "TTS.tts.models.xtts.XttsAudioConfig",
    "TTS.config.shared_configs.BaseDatasetConfig",
)
"""The classes that coqui-tts 0.28.0 allows when it reads the published pickle."""
ENTRY = entry("some-xtts", "tts", "xtts", languages=("en",))


@pytest.fixture
def made(tmp_path: Path) -> Checkpoint:
    told = {"model_args": SIZES, "languages": ["en", "zh-cn"], "temperature": 0.75, "max_audio_len": float("inf")}
    (tmp_path / "config.json").write_text(json.dumps(told))
    return Checkpoint(ENTRY, tmp_path, "0" * 40)


def objects(monkeypatch: pytest.MonkeyPatch) -> dict[str, type]:
    """Classes of the package's names that can be pickled while they are there."""
    kinds = {}
    for dotted in PUBLISHED:
        module, _, name = dotted.rpartition(".")
        kinds[dotted] = type(name, (), {"__module__": module})
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            parent = ".".join(parts[:end])
            if parent not in sys.modules or end == len(parts):
                monkeypatch.setitem(sys.modules, parent, sys.modules.get(parent) or ModuleType(parent))
        monkeypatch.setattr(sys.modules[module], name, kinds[dotted], raising=False)
    return kinds


def test_tensors_are_read_without_the_settings_object_beside_them(made: Checkpoint) -> None:
    with pytest.MonkeyPatch.context() as patch:
        settings = [kind() for kind in objects(patch).values()]
        for index, one in enumerate(settings):
            one.number, one.inner = index, settings[:index]
        tensors = {"xtts.gpt.a": torch.arange(3.0), "gpt.gpt_inference.b": torch.zeros(1), "dvae.c": torch.zeros(1)}
        torch.save({"config": settings, "model": tensors}, made.folder / "model.pth")
    (name,) = read = tensors_of(made)
    assert name == "gpt.a"
    assert read[name].tolist() == [0, 1, 2]
    assert Forgotten not in torch.serialization.get_safe_globals()
    assert (Forgotten, SETTINGS_OBJECTS[0]) not in torch.serialization.get_safe_globals(), "nothing stays allowed"


class Program:
    """What a pickle may hold besides data."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["model.pth", "speakers_xtts.pth"])
def test_no_program_in_a_pickle_is_run(made: Checkpoint, tmp_path: Path, name: str) -> None:
    torch.save({"config": Program(tmp_path / "ran"), "model": {"a": torch.zeros(1)}}, made.folder / name)
    with pytest.raises(ModelDamaged, match=f"{name} of some-xtts cannot be read"):
        tensors_of(made) if name == "model.pth" else voices_of(made, settings_of(made))
    assert not (tmp_path / "ran").exists()


def test_what_holds_no_tensors_is_refused(made: Checkpoint) -> None:
    with pytest.raises(ModelDamaged, match=r"no file model\.pth"):
        tensors_of(made)
    for found in ([1], {"model": [1]}, {"model": {"a": 1}}, {"model": {1: torch.zeros(1)}}):
        torch.save(found, made.folder / "model.pth")
        with pytest.raises(ModelDamaged, match="no tensors by name"):
            tensors_of(made)
    data = (made.folder / "model.pth").read_bytes()
    for length in (0, 100, len(data) - 30):
        (made.folder / "model.pth").write_bytes(data[:length])
        with pytest.raises(ModelDamaged, match="cannot be read"):
            tensors_of(made)


def test_voices_have_the_shapes_of_the_network(made: Checkpoint) -> None:
    settings = settings_of(made)
    assert voices_of(made, settings) == {}
    latents, embedding = torch.zeros(1, 32, 32), torch.zeros(1, 512, 1)
    good = {"gpt_cond_latent": latents, "speaker_embedding": embedding}
    torch.save({"Ana": good}, made.folder / "speakers_xtts.pth")
    assert list(voices_of(made, settings)) == ["Ana"]
    bad = [{**good, "speaker_embedding": latents}, {**good, "gpt_cond_latent": embedding}, {"gpt_cond_latent": latents}]
    for parts in (*bad, 3):
        torch.save({"Ana": parts}, made.folder / "speakers_xtts.pth")
        with pytest.raises(ModelDamaged, match=r"Ana|something else"):
            voices_of(made, settings)


def test_settings_are_what_the_file_says(made: Checkpoint) -> None:
    found = settings_of(made)
    assert (found.temperature, found.languages, found.top_k) == (0.75, ("en", "zh-cn"), 50)
    assert found.model_args.gpt_layers == SIZES["gpt_layers"]


@pytest.mark.parametrize(
    "told",
    [
        "",
        "[1]",
        "{}",
        '{"languages": ["en"], "model_args": {"gpt_layers": 100000000}}',
        '{"languages": ["en"], "model_args": {"gpt_n_heads": 7}}',
        '{"languages": ["en"], "temperature": "hot"}',
        '{"languages": ["en"], "top_p": Infinity}',
        "[" * 100_000,
    ],
)
def test_settings_of_no_network_are_refused(made: Checkpoint, told: str) -> None:
    (made.folder / "config.json").write_text(told)
    with pytest.raises(ModelDamaged, match=r"config\.json") as failure:
        settings_of(made)
    assert failure.value.remedy


def test_without_the_package_it_says_how_to_get_it(made: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TTS", "TTS.tts.configs", "TTS.tts.layers.xtts.tokenizer", "TTS.tts.models.xtts"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Unavailable, match="coqui-tts does not load") as failure:
        network_of(made, Settings(), Placement())
    assert failure.value.remedy == INSTALL == dict(KINDS["xtts"].packages)["TTS"]
