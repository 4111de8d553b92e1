"""A translator of one's own, in a folder: listed, chosen by name, given a glossary, and put into a process of its own,
all by the commands that its owner types."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from ml.engines.choice import Wish
from ml.engines.protocols import BatchMt
from node.app import build
from node.config import load
from tests.conftest import ROOT
from tests.e2e.nodes import NODE
from tests.ml.engines.tiny import checkpoint

pytestmark = pytest.mark.slow

CATALOGUE = """
[[model]]
name = "ears"
task = "asr"
engine = "whisper"
summary = "my own recogniser"
licence = "CC0-1.0"
languages = ["en", "es"]
source = {{ at = "folder", path = "ears" }}
files = [{{ path = "model.safetensors" }}, {{ path = "config.json" }}]

[[model]]
name = "mine"
task = "mt"
engine = "marian"
summary = "my own translator"
licence = "CC0-1.0"
pairs = ["en-es"]
memory = {{ float32 = 1000000 }}
source = {{ at = "folder", path = "{folder}" }}
files = [{{ path = "model.safetensors" }}, {{ path = "config.json" }}]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose catalogue names a folder beside it."""
    home = tmp_path_factory.mktemp("home")
    (home / "mine").symlink_to(checkpoint("tiny-marian").folder)
    (home / "ears").symlink_to(checkpoint("tiny-whisper").folder)
    (home / "catalogue.toml").write_text(CATALOGUE.format(folder="mine"))
    return home


def node(home: Path, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BABELMESH_HOME": str(home), "BABELMESH_MODELS": str(home / "models")}
    done = subprocess.run(
        [*NODE, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False, cwd=home
    )
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


def translated(home: Path, *arguments: str) -> dict[str, object]:
    text = "Good morning, my friend.\nThe cat is small."
    done = node(home, "translate", "--text", text, "--to", "es", "--mt", "mine", "--json", *arguments)
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_a_folder_in_ones_own_catalogue_is_a_model_like_others(home: Path) -> None:
    listed = json.loads(node(home, "models", "list", "--json").stdout)
    (line,) = [line for line in listed["models"] if line["name"] == "mine"]
    assert (line["state"], line["task"], line["used_by"]) == ("present", "mt", ["the mt engine mine"])
    told = translated(home)
    assert told["text"] == "Buenos días, amigo mío.\nEl gato es pequeño."
    assert (told["engine"], told["route"]) == ("mine", ["en", "es"])


def test_it_keeps_to_a_glossary(home: Path) -> None:
    (home / "terms.csv").write_text("small,diminuto\nfriend,amigo\n")
    told = translated(home, "--glossary", "terms.csv")
    assert str(told["text"]).startswith("Buenos días, amigo mío.")
    missed = told["missed_terms"]
    assert ("diminuto" in str(told["text"])) == (missed == [])
    assert missed in ([], ["diminuto"])


def test_the_language_of_a_recording_is_heard(home: Path, repository: Path) -> None:
    sound = str(repository / "examples" / "audio" / "lj.flac")
    chosen = ("--asr", "ears", "--mt", "mine", "--no-own-voice")
    done = node(home, "translate", sound, "--to", "es", *chosen, "-o", str(home / "out.wav"), "--json")
    (report,) = json.loads(done.stdout)["reports"]
    assert report["source"] == "en"
    assert report["source_note"] == "The input is taken as 'en': ears heard it in most of the first utterances."
    assert {line["language"] for line in report["utterances"] if line["source_text"]} >= {"en"}
    assert {line["name"]: line["route"] for line in report["engines"]}["mine"] == ["en", "es"]


def test_in_a_process_of_its_own_it_says_the_same(home: Path) -> None:
    (home / "babelmesh.toml").write_text('[engines]\nisolation = ["mine"]\n')
    try:
        assert translated(home)["text"] == "Buenos días, amigo mío.\nEl gato es pequeño."
        with build(load(home, {"BABELMESH_MODELS": str(home / "models")})) as household:
            engine = household.registry.pick(Wish("mt", "en", "es"), "mine").engine
            assert isinstance(engine, BatchMt)
            assert engine.capabilities().version.endswith("in a process of its own")
            texts = ["Good afternoon.", "The dog drinks milk."]
            assert [one.text for one in engine.translate_many(texts, "en", "es")] == [
                "Buenas tardes.",
                "El perro bebe leche.",
            ]
        found = json.loads(node(home, "doctor", "--json", code=None).stdout)["findings"]
        (mine,) = [one for one in found if one["name"] == "mine"]
        assert mine["state"] == "ok"
        assert "in a process of its own" in mine["detail"]
        (home / "babelmesh.toml").write_text('[engines]\nisolation = ["min"]\n')
        told = node(home, "translate", "--text", "x", "--to", "es", code=2)
        assert "engines.isolation: 'min' is no engine" in told.stderr
    finally:
        (home / "babelmesh.toml").unlink()


def dubbed_while_killing(home: Path, when: Callable[[psutil.Process], bool]) -> tuple[dict[str, Any], str]:
    """The report of a recording whose recogniser's process is killed once, as soon as `when` says so, and what was said
    on standard error meanwhile."""
    environment = {**os.environ, "BABELMESH_HOME": str(home), "BABELMESH_MODELS": str(home / "models")}
    recording = ROOT / "examples" / "audio" / "demo.flac"
    names = ["--asr", "ears", "--mt", "mine", "--isolate", "ears", "--no-own-voice", "--from", "en"]
    command = [*NODE, "translate", str(recording), "--to", "es", "-o", str(home / "out.wav"), "--json", *names]
    with subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True, cwd=home) as job:
        watched = psutil.Process(job.pid)
        while job.poll() is None:
            workers = [one for one in watched.children() if "ml.engines.isolated_worker" in one.cmdline()]
            if workers and when(workers[0]):
                workers[0].kill()
                break
            time.sleep(0.005)
        out, err = job.communicate(timeout=300)
    assert job.returncode == 0, out + err
    (report,) = json.loads(out)["reports"]
    return report, err


@pytest.mark.parametrize("moment", ["while it loads", "in the middle"])
def test_a_recogniser_whose_process_is_killed_costs_no_utterance_and_is_told_once(home: Path, moment: str) -> None:
    def loading(worker: psutil.Process) -> bool:
        return worker.is_running()

    def working(worker: psutil.Process) -> bool:
        return (home / "jobs").is_dir() and any((home / "jobs").iterdir())

    report, said = dubbed_while_killing(home, loading if moment == "while it loads" else working)
    assert len(report["utterances"]) == 3
    assert all(line["engines"]["asr"] == "ears" for line in report["utterances"])
    (told,) = [warning for warning in report["warnings"] if "SIGKILL" in warning]
    assert said.count(told) == 1
