"""The main job with the real engines, in real processes: a recording goes in, the same person speaks Spanish."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from ml.audio.prosody import measure
from ml.audio.read import read
from tests.e2e.nodes import NODE


@pytest.fixture
def environment(babelmesh_home: Path, models_dir: Path) -> dict[str, str]:
    return {**os.environ, "BABELMESH_HOME": str(babelmesh_home), "BABELMESH_MODELS": str(models_dir)}


@pytest.fixture
def demo(repository: Path) -> Path:
    return repository / "examples" / "audio" / "demo.flac"


def node(environment: dict[str, str], *arguments: object, code: int = 0, **options) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [*NODE, *map(str, arguments)], env=environment, capture_output=True, timeout=300, check=False, **options
    )
    assert done.returncode == code, done.stderr.decode()[-2000:]
    return done


def test_a_recording_becomes_spanish_in_a_voice_nearer_to_the_speakers(environment, demo, tmp_path):
    out = tmp_path / "demo.es.wav"
    done = node(environment, "translate", demo, "--to", "es", "-o", out, "--srt", "--vtt", "--json")
    (report,) = json.loads(done.stdout)["reports"]
    assert report["source"] == "en"
    said = " ".join(line["target_text"] for line in report["utterances"]).lower()
    assert re.search(r"\b(hombre|joven|mujer|amable|respetable)\b", said)
    assert len(report["utterances"]) == 3

    dub, source = read(out), read(demo)
    assert dub.seconds == pytest.approx(source.seconds, abs=0.05)
    for line in report["utterances"]:
        start, end = (round(line[key] * 16000) for key in ("start", "end"))
        assert np.abs(dub.samples[start:end]).max() > 0.05, "a dub is not heard in its slot"
        assert line["fit"]["final"] <= line["fit"]["room"] + 1e-3
    voice = report["voice"]
    assert voice["trusted"]
    assert voice["similarity_after"] > voice["similarity_before"] + 0.02
    assert voice["similarity_after"] < voice["ceiling"]
    f0 = measure(source).f0_median
    assert measure(dub).f0_median == pytest.approx(f0, rel=0.08)
    assert voice["f0_dub_hz"] == pytest.approx(voice["f0_hz"], rel=0.05)
    assert {"listen", "recognise", "translate", "speak", "voice"} <= set(report["compute"])
    for language in ("en", "es"):
        assert "-->" in (tmp_path / f"demo.{language}.srt").read_text()
        assert (tmp_path / f"demo.{language}.vtt").read_text().startswith("WEBVTT")
    kept = json.loads((tmp_path / "demo.es.wav.json").read_text())
    assert kept["utterances"] == report["utterances"]


def test_an_interrupted_job_goes_on_where_it_stopped(environment, demo, tmp_path):
    out = tmp_path / "out.wav"
    kept = Path(environment["BABELMESH_HOME"]) / "jobs"
    job = subprocess.Popen(
        [*NODE, "translate", str(demo), "--to", "es", "-o", str(out)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while not (kept.is_dir() and any(not path.name.startswith(".") for path in kept.iterdir())):
        assert job.poll() is None, "the job ended before anything was kept"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert not out.exists()
    done = node(environment, "translate", demo, "--to", "es", "-o", out, "--json")
    (report,) = json.loads(done.stdout)["reports"]
    assert report["resumed"] >= 1
    assert out.exists()
    assert list(kept.iterdir()) == []

    again = node(environment, "translate", demo, "--to", "es", "-o", tmp_path / "fresh.wav", "--json")
    (fresh,) = json.loads(again.stdout)["reports"]
    assert fresh["resumed"] == 0
    assert (tmp_path / "fresh.wav").read_bytes() == out.read_bytes()


def test_a_voice_profile_speaks_for_text_and_pipes(environment, demo, repository, tmp_path):
    node(environment, "voice", "add", "lj", repository / "examples" / "audio" / "lj.flac")
    shown = json.loads(node(environment, "voice", "show", "lj", "--json").stdout)
    assert not shown["trusted"]
    assert shown["recordings_kept"] == 0
    assert 150 < shown["f0_median"] < 260
    assert b"lj" in node(environment, "voice", "list").stdout
    node(environment, "voice", "add", "lj", demo, code=2)

    spoken = ("--say", "--voice", "lj", "-o", tmp_path / "say.flac", "--json")
    result = node(environment, "translate", "--text", "Good morning. Where is the station?", "--to", "es", *spoken)
    text = json.loads(result.stdout)["text"]
    assert "Buenos días" in text
    assert "estación" in text
    assert measure(read(tmp_path / "say.flac")).f0_median == pytest.approx(shown["f0_median"], rel=0.05)

    piped = node(environment, "translate", "-", "-o", "-", "--to", "es", "--voice", "lj", input=demo.read_bytes())
    (tmp_path / "piped.wav").write_bytes(piped.stdout)
    dub = read(tmp_path / "piped.wav")
    assert dub.seconds == pytest.approx(read(demo).seconds, abs=0.05)
    assert measure(dub).f0_median == pytest.approx(shown["f0_median"], rel=0.08)
    node(environment, "voice", "remove", "lj")
    assert json.loads(node(environment, "voice", "list", "--json").stdout) == {"voices": []}


def test_text_goes_through_pipes(environment):
    done = node(
        environment, "translate", "--text", "-", "--to", "es", input=b"thank you very much\n\nsee you tomorrow\n"
    )
    assert done.stdout.decode().splitlines() == ["Muchas gracias.", "", "Hasta mañana."]


def test_a_batch_goes_on_after_a_broken_file(environment, demo, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a-broken.wav").write_bytes(b"RIFF this is no sound")
    (folder / "b.flac").write_bytes(demo.read_bytes())
    done = node(environment, "translate", folder, "--to", "es", "-o", tmp_path / "out", "--json", code=2)
    told = json.loads(done.stdout)
    assert [Path(report["output"]).name for report in told["reports"]] == ["b.es.flac"]
    assert [Path(error["input"]).name for error in told["errors"]] == ["a-broken.wav"]
    assert told["errors"][0]["remedy"]
    assert (tmp_path / "out" / "b.es.flac").exists()


def test_the_background_is_kept_when_asked(environment, demo, tmp_path):
    node(environment, "translate", demo, "--to", "es", "-o", tmp_path / "out.wav", "--keep-background")
    with_room, source = read(tmp_path / "out.wav").samples, read(demo).samples
    gap = slice(round(3.2 * 16000), round(3.5 * 16000))
    assert np.abs(source[gap]).max() > 0
    np.testing.assert_allclose(with_room[gap], source[gap], atol=2e-4)
