"""The way into the household."""

from pathlib import Path

import pytest

from cli.common import Common, household
from cli.errors import BadUsage
from node.errors import BadConfig


def test_the_home_of_the_command_line_comes_first(tmp_path: Path, babelmesh_home: Path):
    with household(Common(home=tmp_path)) as node:
        assert node.config.home == tmp_path
    with household(Common()) as node:
        assert node.config.home == babelmesh_home
        assert {"asr", "mt", "tts", "speaker"} <= {spec.task for spec in node.registry.specs()}


def test_a_wrong_setting_is_told_before_anything_is_done(tmp_path: Path):
    (tmp_path / "babelmesh.toml").write_text("[translate]\ntoo = 'es'\n")
    with pytest.raises(BadConfig, match="too"), household(Common(home=tmp_path)):
        pass


def test_engines_are_isolated_for_this_run_beside_those_of_the_settings(tmp_path: Path):
    (tmp_path / "babelmesh.toml").write_text('[engines]\nisolation = ["opus-mt-en-es"]\n')
    with household(Common(home=tmp_path), ("whisper-small", "opus-mt-en-es")) as node:
        apart = {spec.name for spec in node.registry.specs() if spec.isolation == "process"}
    assert {"whisper-small", "opus-mt-en-es"} <= apart
    assert not {"whisper-tiny", "opus-mt-es-en"} & apart
    with pytest.raises(BadUsage, match="--isolate whisper-smal: only engines of fetched models") as caught:
        household(Common(home=tmp_path), ("whisper-smal",)).__enter__()
    assert "Did you mean whisper-small" in caught.value.remedy


def test_isolating_an_engine_that_the_job_does_not_use_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with household(Common(home=tmp_path), ("whisper-small",)):
        pass
    assert "--isolate whisper-small had no effect" in " ".join(capsys.readouterr().err.split())
