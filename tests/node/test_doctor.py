from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml.device import Hardware
from ml.engines.protocols import EngineHome, EngineSpec
from ml.engines.registry import Registry
from ml.errors import Unavailable
from node.config import Config
from node.doctor import Finding, examine, is_well
from node.machine import Folder, Machine, SoundDevices
from tests.fakes import TellingAsr, TellingEncoder, TellingMt, TellingTts, absent, spec_of

GIB = 1 << 30
HOME = Folder(Path("/home/me/mesh"), 50 * GIB, True, 0o700)
GOOD = Machine(
    python=(3, 11, 2),
    system="Debian GNU/Linux 12 (bookworm)",
    architecture="x86_64",
    cores=4,
    memory=16 * GIB,
    memory_free=8 * GIB,
    home=HOME,
    voices=replace(HOME, path=HOME.path / "voices"),
    models=Folder(Path("/home/me/.cache/mesh"), 50 * GIB, True, None),
    encoding="utf-8",
    programs={"apertium": Path("/usr/bin/apertium"), "ffmpeg": Path("/usr/bin/ffmpeg"), "espeak-ng": None},
    sound=SoundDevices(("Mic",), ("Speaker",)),
    gpus=("NVIDIA Card, 8192 MiB, 550.1",),
)
EAR = spec_of("ear", "asr", lambda spec: TellingAsr(spec, "the weather"))
WORDS = spec_of("words", "mt", TellingMt)
VOICE = spec_of("voice", "tts", TellingTts)
LIKENESS = spec_of("likeness", "speaker", TellingEncoder)
ALL = (EAR, WORDS, VOICE, LIKENESS)


def findings(machine: Machine = GOOD, specs: tuple[EngineSpec, ...] = ALL, deep: bool = False) -> list[Finding]:
    config = Config(machine.home.path, machine.models.path)
    return examine(config, Registry(specs, EngineHome(config.models)), deep=deep, machine=machine)


def one(found: list[Finding], area: str, name: str) -> Finding:
    return next(finding for finding in found if (finding.area, finding.name) == (area, name))


def test_a_good_machine_can_do_every_job() -> None:
    found = findings()
    jobs = [finding for finding in found if finding.area == "jobs"]
    assert [job.state for job in jobs] == ["ok"] * 4
    assert one(found, "jobs", "translate a recording").detail == "ear -> words -> voice"
    assert {finding.name for finding in found if finding.state != "ok" and finding.area != "data"} == {
        "espeak-ng",
        "system",
    }


@pytest.mark.parametrize("gone", range(4))
def test_a_missing_engine_stops_exactly_the_jobs_that_need_it(gone: int) -> None:
    need = absent("its parts", "apt-get install parts")
    specs = tuple(replace(spec, needs=(need,)) if index == gone else spec for index, spec in enumerate(ALL))
    found = findings(specs=specs)
    task = ALL[gone].task
    stopped = {finding.name for finding in found if finding.area == "jobs" and finding.state == "missing"}
    assert (
        stopped
        == {
            "asr": {"translate a recording"},
            "mt": {"translate a recording", "translate text", "speak a translation"},
            "tts": {"translate a recording", "speak a translation"},
            "speaker": {"measure the likeness of voices"},
        }[task]
    )
    engine = one(found, "engines", ALL[gone].name)
    assert (engine.state, engine.remedy) == ("missing", "apt-get install parts")
    assert "Needs its parts." in engine.detail
    assert not is_well(found)


def test_another_engine_of_the_task_keeps_the_job_going() -> None:
    better = spec_of("better", "asr", lambda spec: TellingAsr(spec, ""), missing=(absent("x", "y"),), rank=9)
    found = findings(specs=(better, *ALL))
    assert one(found, "jobs", "translate a recording").state == "ok"
    assert (one(found, "engines", "better").state, one(found, "engines", "better").remedy) == ("info", "y")


def test_two_needs_give_two_remedies_and_equal_ones_one() -> None:
    needs = (absent("a", "get a"), absent("b", "get b"), absent("c", "get a"))
    found = findings(specs=(spec_of("x", "mt", TellingMt, missing=needs),))
    assert one(found, "engines", "x").remedy == "get a; get b"


def test_a_damaged_model_is_broken_and_no_job_names_it() -> None:
    """Another engine serves; that nobody hears of the damage would still be wrong."""
    damage = replace(absent("whole files of better", "pull it"), gap="the model better is damaged", fault=True)
    better = spec_of("better", "asr", lambda spec: TellingAsr(spec, ""), missing=(damage,), rank=9)
    found = findings(specs=(better, *ALL))
    told = one(found, "engines", "better")
    assert (told.state, told.remedy) == ("broken", "pull it")
    assert "the model better is damaged" in told.detail
    assert "better" not in one(found, "jobs", "translate a recording").detail


@pytest.mark.parametrize(
    ("change", "area", "name", "state", "detail", "remedy"),
    [
        ({"python": (3, 10, 9)}, "machine", "Python", "broken", "3.10.9", "PYTHON=python3.11"),
        ({"python": (3, 14, 0)}, "machine", "Python", "broken", "3.14.0", "PYTHON=python3.11"),
        ({"python": (3, 13, 1)}, "machine", "Python", "ok", "3.13.1", ""),
        ({"memory_free": GIB // 2}, "machine", "memory", "info", "512 MiB of 16.0 GiB free", "Close other"),
        ({"encoding": "ascii"}, "machine", "terminal", "info", "encoding is ascii", "PYTHONUTF8=1"),
        ({"encoding": ""}, "machine", "terminal", "info", "encoding is unknown", "PYTHONUTF8=1"),
        ({"encoding": "UTF8"}, "machine", "terminal", "ok", "UTF-8", ""),
        ({"cores": 1}, "machine", "system", "info", "1 core", ""),
        ({"programs": {}}, "programs", "apertium", "missing", "not installed", "apt-get install apertium"),
        ({"programs": {}}, "programs", "ffmpeg", "info", "not needed", ""),
        ({"gpus": ()}, "accelerator", "GPU", "info", "run on the CPU", ""),
        (
            {"gpus": (), "gpu_trouble": "no driver"},
            "accelerator",
            "GPU",
            "info",
            "nvidia-smi fails: no driver",
            "driver",
        ),
        ({"gpus": ("Card",)}, "accelerator", "GPU", "ok", "Card", ""),
        ({"loopback_trouble": "no route"}, "network", "loopback", "info", "no route", "ip link set lo up"),
        ({"sound": SoundDevices()}, "sound", "microphone", "info", "none on this machine", ""),
        ({"sound": SoundDevices(("A", "B"))}, "sound", "microphone", "ok", "A, B", ""),
        (
            {"sound": SoundDevices(trouble="OSError: PortAudio library not found")},
            *("sound", "devices", "info", "PortAudio library not found", "apt-get install libportaudio2"),
        ),
        (
            {"sound": SoundDevices(trouble="ModuleNotFoundError: No module named 'sounddevice'")},
            *("sound", "devices", "info", "No module named", "pip install 'babelmesh[microphone]'"),
        ),
        ({"home": replace(HOME, writable=False)}, "storage", "home", "broken", "cannot be written", "--home FOLDER"),
        ({"home": replace(HOME, free=1 << 20)}, "storage", "home", "info", "only 1 MiB free", "Free some space"),
        ({"voices": replace(HOME, mode=0o755)}, "storage", "voices", "info", "mode 755", "chmod 700"),
        ({"home": replace(HOME, mode=None)}, "storage", "home", "ok", "made when first needed", ""),
        (
            {"models": replace(GOOD.models, writable=False)},
            *("storage", "models", "broken", "cannot be written", "BABELMESH_MODELS=FOLDER"),
        ),
    ],
)
def test_each_fact_has_its_finding(
    change: dict[str, Any], area: str, name: str, state: str, detail: str, remedy: str
) -> None:
    found = one(findings(replace(GOOD, **change)), area, name)
    assert found.state == state
    assert detail in found.detail
    assert remedy in found.remedy
    assert bool(found.remedy) == bool(remedy)
    assert found.as_dict() == {
        "area": area,
        "name": name,
        "state": state,
        "detail": found.detail,
        "remedy": found.remedy,
        "chosen": [],
    }


def test_private_voices_are_not_mentioned() -> None:
    assert not [finding for finding in findings() if finding.name == "voices"]


def test_whatever_stops_something_has_a_remedy() -> None:
    bad = replace(GOOD, programs={}, python=(3, 9, 0), home=replace(HOME, writable=False))
    found = findings(bad, specs=())
    stops = [finding for finding in found if finding.state in {"missing", "broken"}]
    assert len(stops) >= 6
    assert all(finding.remedy for finding in stops)


def test_deep_tries_what_is_there() -> None:
    found = findings(deep=True)
    assert one(found, "engines", "ear (tried)").state == "ok"
    assert one(found, "accelerator", "torch (tried)").state in {"ok", "broken"}
    deaf = spec_of("ear", "asr", lambda spec: TellingAsr(spec, ""))
    assert one(findings(specs=(deaf, VOICE), deep=True), "engines", "ear (tried)").state == "broken"


def test_a_package_that_does_not_import_is_a_finding() -> None:
    config = Config(HOME.path, GOOD.models.path)
    broken = (Unavailable("The engine package 'x' does not import: no y.", "pip uninstall x, or mend it."),)
    found = examine(config, Registry(ALL, EngineHome(config.models)), broken=broken, machine=GOOD)
    finding = one(found, "engines", "package")
    assert (finding.state, finding.remedy) == ("broken", "pip uninstall x, or mend it.")
    assert "'x' does not import" in finding.detail


def test_is_well_bears_what_stops_nothing() -> None:
    assert is_well([Finding("machine", "a", "ok", ""), Finding("machine", "b", "info", "")])
    assert not is_well([Finding("machine", "a", "ok", ""), Finding("machine", "b", "broken", "", "mend")])


def test_looking_at_this_machine_finds_every_area(tmp_path: Path) -> None:
    config = Config(tmp_path, tmp_path)
    found = examine(config, Registry(ALL, EngineHome(tmp_path)))
    assert {finding.area for finding in found} == {
        *("jobs", "choice", "engines", "data", "programs", "sound", "accelerator", "machine", "storage", "network")
    }


def test_models_that_could_be_fetched_are_one_line_and_nothing_is_wrong(tmp_path: Path) -> None:
    """A model of the catalogue that is not here is no fault of the machine."""
    config = Config(tmp_path, tmp_path / "models")
    names = ("whisper-huge", "whisper-vast")
    needs = [replace(absent(f"the model {name}", f"node models pull {name}"), model=name) for name in names]
    far = tuple(replace(EAR, name=need.model, needs=(need,)) for need in needs)
    found = examine(config, Registry((*far, *ALL), EngineHome(config.models)), machine=GOOD)
    (told,) = [one for one in found if one.name == "models" and one.area == "engines"]
    assert (told.state, told.detail) == ("info", "2 models can be fetched: node models list")
    assert not [one for one in found if one.name in names]
    assert next(one for one in found if one.name == "translate a recording").detail == "ear -> words -> voice"


def test_engines_in_a_process_of_their_own_are_told() -> None:
    found = findings(specs=(*ALL[:1], replace(WORDS, isolation="process"), *ALL[2:]))
    assert one(found, "engines", "words").detail.endswith("(in a process of its own)")
    assert "process" not in one(found, "engines", "voice").detail


def test_what_only_fetched_models_do_is_told_where_one_is_here() -> None:
    assert not [found for found in findings() if "voice" in found.name and "node voice" in found.name]
    sounds, gone = (
        spec_of("sounds", "vocoder", TellingTts),
        spec_of("far", "align", TellingTts, missing=(absent("x", "y"),)),
    )
    found = findings(specs=(*ALL, sounds, gone))
    told = one(found, "jobs", "hear the voice model through a vocoder (node voice reconstruct)")
    assert (told.state, told.detail) == ("ok", "sounds")
    assert not [finding for finding in found if finding.area == "jobs" and "far" in finding.detail]


def test_each_engine_of_a_job_is_told_with_why_and_where() -> None:
    heavy = replace(EAR, name="model", rank=9, memory={"int8": GIB, "float32": 2 * GIB})
    unfree = replace(VOICE, name="unfree", rank=9, use="non-commercial")
    vast = replace(WORDS, name="vast", rank=9, memory={"float32": 900 * GIB})
    config = Config(GOOD.home.path, GOOD.models.path)
    registry = Registry((heavy, unfree, vast, *ALL), EngineHome(config.models), lambda: Hardware(8 * GIB))
    found = examine(config, registry, machine=GOOD)
    job = one(found, "jobs", "translate a recording").as_dict()
    assert [(line["task"], line["engine"], line["device"], line["dtype"]) for line in job["chosen"]] == [
        ("asr", "model", "cpu", "int8"),
        ("mt", "words", "", ""),
        ("tts", "voice", "", ""),
    ]
    assert one(found, "choice", "asr model").detail == "the best that is installed on cpu in int8 (no accelerator)"
    assert "its licence, GPL" not in one(found, "engines", "voice").detail
    told = one(found, "engines", "unfree")
    assert told.state == "info"
    assert "Not chosen by itself: its licence" in told.detail
    assert "it needs 1159.64 GB in float32, and 8.59 GB are free" in one(found, "engines", "vast").detail
    assert is_well(job for job in found if job.area in {"jobs", "choice", "engines"})


def test_the_settings_names_and_target_are_the_ones_that_are_told() -> None:
    german = replace(VOICE, name="german", rank=9, languages=("de",))
    plain = replace(VOICE, name="plain", rank=-1)
    said = Config(GOOD.home.path, GOOD.models.path).with_(translate={"to": "es"}, engines={"mt": "auto"})
    registry = Registry((german, replace(VOICE, languages=("es",)), plain, *ALL[:2], LIKENESS), EngineHome(said.models))
    detail = "ear -> words -> voice"
    assert one(examine(said, registry, machine=GOOD), "jobs", "translate a recording").detail == detail
    named = said.with_(engines={"tts": "plain"})
    found = examine(named, registry, machine=GOOD)
    assert one(found, "choice", "tts plain").detail == "asked for by name"
    gone = examine(said.with_(engines={"tts": "nonesuch"}), registry, machine=GOOD)
    assert one(gone, "jobs", "translate a recording").state == "missing"
