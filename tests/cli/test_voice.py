"""`node voice` as its user sees it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cli.app import run
from cli.voice import advice
from ml.audio.read import read
from ml.audio.write import AudioWriter
from node import microphone
from node.microphone import Microphone
from tests.fakes import FakeSoundDriver
from tests.ml.engines.tiny import catalogue


def test_an_empty_shelf_tells_how_to_fill_it(capsys):
    assert run(["voice", "list"]) == 0
    assert "node voice add" in capsys.readouterr().out
    assert run(["voice", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"voices": []}


def test_a_voice_from_add_to_remove(capsys, repository, models_dir, monkeypatch):
    monkeypatch.setenv("BABELMESH_MODELS", str(models_dir))
    recording = str(repository / "examples" / "audio" / "demo.flac")
    assert run(["voice", "add", "reader", recording, "--keep-recordings", "--json"]) == 0
    added = json.loads(capsys.readouterr().out)
    assert added["trusted"]
    assert added["recordings_kept"] == 3
    assert added["training_utterances"] == 3
    assert 0.6 < added["ceiling"] <= 1
    assert run(["voice", "add", "reader", recording]) == 2
    assert "--more" in capsys.readouterr().err
    more = str(repository / "examples" / "audio" / "lj.flac")
    assert run(["voice", "add", "reader", more, "--more", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["training_seconds"] > added["training_seconds"] + 5
    assert run(["voice", "show", "reader"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "statistics, no sound" in shown
    assert "turned back into sound" in shown
    assert "never leave this machine" in shown
    assert "Hz" in shown
    assert run(["voice", "list"]) == 0
    assert "reader" in capsys.readouterr().out
    assert run(["voice", "remove", "reader", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"removed": "reader"}
    assert run(["voice", "show", "reader"]) == 2


def test_a_voice_without_training_says_nothing_of_frames(capsys, repository, models_dir, monkeypatch):
    monkeypatch.setenv("BABELMESH_MODELS", str(models_dir))
    recording = str(repository / "examples" / "audio" / "demo.flac")
    assert run(["voice", "add", "reader", recording, "--no-training"]) == 0
    shown = capsys.readouterr().out
    assert "turned back" not in shown
    assert "none" in shown


def test_a_voice_from_the_microphone(capsys, repository, models_dir, monkeypatch):
    monkeypatch.setenv("BABELMESH_MODELS", str(models_dir))
    driver = FakeSoundDriver(heard=read(repository / "examples" / "audio" / "demo.flac").samples, overflow_every=50)
    monkeypatch.setattr(microphone, "microphone", lambda name: Microphone(driver, name))
    assert run(["voice", "record", "me", "--seconds", "12"]) == 0
    said = capsys.readouterr()
    assert "Read this aloud" in said.out
    assert "in 3 utterances" in said.out
    assert "sound was lost 2 times" in said.err
    driver.heard = read(repository / "examples" / "audio" / "lj.flac").samples
    assert run(["voice", "record", "me", "--seconds", "10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["training_utterances"] > 3, "the same voice has more speech"
    assert run(["voice", "record", "me", "--seconds", "10", "--no-training"]) == 2
    assert "--replace" in capsys.readouterr().err


def test_a_machine_without_a_microphone_says_what_to_do(capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert run(["voice", "record", "me"]) == 2
    assert "babelmesh[microphone]" in capsys.readouterr().err
    assert run(["voice", "record", "me", "--seconds", "2"]) == 2
    assert "--seconds" in capsys.readouterr().err


def test_a_person_can_hear_what_the_model_does(capsys, repository, in_folder):
    recording = str(repository / "examples" / "audio" / "lj.flac")
    assert run(["voice", "reconstruct", recording, "out.wav"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "learned nothing yet" in said
    assert "Griffin-Lim" in said
    assert run(["voice", "reconstruct", recording, "out.flac", "--model", "genesis", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["model"] == "genesis"
    assert facts["rmse_db"] == facts["genesis_rmse_db"] < 2.5
    assert f"{facts['rmse_db']:.2f} dB" in said
    assert read(in_folder / "out.flac").seconds == pytest.approx(facts["seconds"], abs=0.01)
    assert run(["voice", "reconstruct", recording, "out.flac", "--layout", "b4h80", "--json"]) == 0
    blocks = json.loads(capsys.readouterr().out)
    assert (facts["layout"], blocks["layout"]) == ("res64", "b4h80")
    assert blocks["rmse_db"] < facts["rmse_db"]
    assert run(["voice", "reconstruct", recording, "out.wav", "--model", "odd"]) == 2


def test_a_vocoder_makes_the_model_sound_where_one_is_installed(capsys, repository, babelmesh_home, in_folder):
    recording = str(repository / "examples" / "audio" / "lj.flac")
    assert run(["voice", "reconstruct", recording, "plain.wav"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Sounded by griffin-lim: no vocoder is installed" in said
    assert "node models pull speecht5-hifigan" in said
    assert run(["voice", "reconstruct", recording, "out.wav", "--vocoder", "speecht5-hifigan"]) == 2
    assert "node models pull speecht5-hifigan" in capsys.readouterr().err
    (babelmesh_home / "catalogue.toml").write_text(catalogue(["tiny-hifigan"]))
    assert run(["voice", "reconstruct", recording, "out.wav", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["vocoder"], facts["warnings"]) == ("tiny-hifigan", [])
    assert "tiny-hifigan" in facts["vocoder_version"]
    assert facts["rmse_db"] < facts["sound_rmse_db"] < 12
    sound, plain = read(in_folder / "out.wav"), read(in_folder / "plain.wav")
    assert np.abs(sound.samples - plain.samples).max() > 0.01
    assert sound.seconds == pytest.approx(facts["seconds"], abs=0.01)
    assert run(["voice", "reconstruct", recording, "named.wav", "--vocoder", "tiny-hifigan"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Sounded by tiny-hifigan: asked for by name" in said
    assert "metallic" not in said
    assert np.array_equal(read(in_folder / "named.wav").samples, sound.samples)
    assert run(["voice", "reconstruct", recording, "again.wav", "--vocoder", "griffin-lim"]) == 0
    assert "griffin-lim: asked for by name" in " ".join(capsys.readouterr().out.split())
    assert np.array_equal(read(in_folder / "again.wav").samples, read(in_folder / "plain.wav").samples)


def test_a_recording_without_speech_makes_no_voice(capsys, in_folder, models_dir, monkeypatch):
    monkeypatch.setenv("BABELMESH_MODELS", str(models_dir))
    with AudioWriter(in_folder / "silence.wav") as writer:
        writer.write(np.zeros(32000, np.float32))
    assert run(["voice", "add", "nobody", str(in_folder / "silence.wav")]) == 2
    assert "no speech" in capsys.readouterr().err
    assert run(["voice", "show", "nobody"]) == 2


def test_a_mixture_is_noted_beside_the_facts(capsys):
    from cli.common import Common
    from cli.voice import _show
    from node.enrolment import VoiceFacts

    facts = VoiceFacts("us", 30.0, True, 120.0, 0.3, 4.0, None, 0.7, "us.voice", 1, 0, 0.0, 0, 0, mixed=True)
    _show(facts, Common())
    assert "more than one voice" in capsys.readouterr().err
    _show(facts, Common(json=True))
    assert json.loads(capsys.readouterr().out)["mixed"] is True


def test_advice_goes_with_the_amount_of_speech():
    assert len({advice(seconds) for seconds in (1, 8, 20, 45, 600)}) >= 4
    assert advice(1, "b4h80") == advice(1)
    assert "less than 1 %" in advice(45, "b4h80")
    assert "5 s" in advice(0)
    assert all("squared error" in advice(seconds) for seconds in (8, 45)), "the same unit as node train"
    assert advice(600) == "Plenty to learn from."


@pytest.mark.parametrize("model", ["res64", "b4h80"])
def test_one_utterance_is_not_enough_however_long_it_is(capsys, model):
    from cli.common import Common
    from cli.voice import _show
    from node.enrolment import VoiceFacts

    one = VoiceFacts("solo", 8.1, False, 120.0, 0.3, 4.0, None, None, "solo.voice", 1, 0, 8.1, 1, 0)
    _show(one, Common(), model)
    said = " ".join(capsys.readouterr().out.split())
    assert "Enough" not in said
    assert "two utterances" in said
    assert "--more" in said
    assert "8.1 s in 1 utterance" in said
    assert "1 utterances" not in said
    _show(replace(one, training_utterances=2), Common(), model)
    assert "Enough to begin with" in capsys.readouterr().out


def test_a_damaged_voice_hides_no_other(capsys, repository, models_dir, monkeypatch, babelmesh_home):
    monkeypatch.setenv("BABELMESH_MODELS", str(models_dir))
    recording = str(repository / "examples" / "audio" / "demo.flac")
    assert run(["voice", "add", "reader", recording]) == 0
    shelf = next(babelmesh_home.rglob("reader.voice")).parent
    (shelf / "broken.voice").write_bytes(b"junk")
    capsys.readouterr()
    assert run(["voice", "list"]) == 0
    shown = capsys.readouterr().out
    assert "reader" in shown
    assert "broken" in shown
    assert "damaged" in shown
    assert run(["voice", "list", "--json"]) == 0
    broken, reader = json.loads(capsys.readouterr().out)["voices"]
    assert (broken["name"], reader["name"]) == ("broken", "reader")
    assert "'broken' cannot be used" in broken["error"]
    assert "node voice add broken" in broken["remedy"]
    assert reader["seconds"] > 0
