"""Finished translations are remembered, and a memory that fails spoils no translation."""

from pathlib import Path

import pytest

from node.config import Config
from node.history import note_job
from node.report import Report, VoiceLine
from node.store import Store

VOICE = VoiceLine("me", "transport", 9.0, True, None, None, 0.1, 0.7, 0.9)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path / "home", tmp_path)


def report(voice: VoiceLine | None = None) -> Report:
    return Report("/private/folder/talk.wav", "o.wav", "en", "es", 8.0, 2.0, 0.5, (), voice, (), {})


def test_a_translation_is_remembered_without_its_folder(config: Config):
    config.home.mkdir()
    assert note_job(config, report()) is None
    assert note_job(config, report(VOICE), "standard input") is None
    with Store.open(config.store, read_only=True) as store:
        last, first = store.jobs()
    assert (first.source, first.language, first.seconds_in, first.seconds, first.utterances) == (
        "talk.wav",
        "es",
        8.0,
        2.0,
        0,
    )
    assert (first.likeness, last.likeness, last.source) == (None, 0.7, "standard input")
    assert b"private" not in config.store.read_bytes()


def test_a_home_that_is_not_there_is_not_made(config: Config):
    assert note_job(config, report()) is None
    assert not config.home.exists()


def test_it_is_noted_beside_a_running_node(config: Config):
    with Store.open(config.store) as running:
        assert note_job(config, report()) is None
        assert len(running.jobs()) == 1


def test_a_memory_that_fails_is_told_and_left_alone(config: Config):
    config.home.mkdir()
    config.store.write_bytes(b"garbage" * 1000)
    said = note_job(config, report())
    assert said is not None
    assert "is done, but not in the node's history" in said
    assert "damaged" in said
    assert config.store.read_bytes() == b"garbage" * 1000
