"""A whole job with fakes for engines and real files: what is written, kept, told and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.audio.read import read
from ml.audio.write import AudioWriter
from ml.errors import BadAudio, BadText, CannotWrite, EngineCrashed, UnsupportedLanguage
from node.beside import report_path, write_report
from node.dubbing import Dubbing, DubOptions
from node.engines import EngineNames, load_engines
from node.errors import BadRequest
from tests.fakes import CountingAsr, CountingAst, ManyMt, PolyglotAsr, ToneTts, fake_node

PLAIN = DubOptions("es", own_voice=False)


@pytest.fixture
def demo(repository: Path) -> Path:
    return repository / "examples" / "audio" / "demo.flac"


def dub(home: Path, source: Path, output: Path, options: DubOptions = PLAIN, **engines):
    steps: list[tuple[str, float]] = []
    with fake_node(home, **engines) as node:
        dubbing, cold_start = node.dubbing(options)
        report = dubbing.dub(source, output, lambda stage, done, total: steps.append((stage, done)), cold_start)
        dubbing.forget()
    return report, steps


def test_sound_report_and_progress(tmp_path, demo):
    report, steps = dub(tmp_path / "home", demo, tmp_path / "out.wav")
    assert [line.index for line in report.utterances] == [0, 1, 2]
    assert report.source == "en"
    assert report.input_seconds == pytest.approx(read(demo).seconds, abs=1e-3)
    assert read(tmp_path / "out.wav").seconds == pytest.approx(report.input_seconds, abs=1e-3)
    assert {stage for stage, _ in steps} == {"listen", "slots", "recognise", "translate", "speak", "voice"}
    for stage in ("recognise", "voice"):
        done = [at for name, at in steps if name == stage]
        assert done == sorted(done)
        assert len(done) == 3
    assert {engine.task: engine.name for engine in report.engines} == {
        "asr": "counting",
        "mt": "upper",
        "tts": "tone",
        "speaker": "level",
    }
    path = write_report(report)
    assert path == report_path(tmp_path / "out.wav")
    assert json.loads(path.read_text())["utterances"][0]["target_text"].endswith("SECONDS")


def test_the_dubs_sound_where_the_originals_did(tmp_path, demo):
    report, _ = dub(tmp_path / "home", demo, tmp_path / "out.wav", tts=ToneTts(0.02))
    out = np.abs(read(tmp_path / "out.wav").samples) > 0.05
    expected = np.zeros(len(out), bool)
    for line in report.utterances:
        start = round(line.start * 16000)
        expected[start : start + round(line.fit["final"] * 16000)] = True
    assert np.mean(out & ~expected) == 0
    assert np.mean(out[expected]) > 0.8


def test_a_job_that_failed_goes_on_where_it_stopped(tmp_path, demo):
    home, out = tmp_path / "home", tmp_path / "out.wav"
    with pytest.raises(RuntimeError, match="told to fail"):
        dub(home, demo, out, asr=CountingAsr(fail_at=3))
    assert not out.exists()
    assert len(list((home / "jobs").iterdir())) >= 2
    asr = CountingAsr()
    report, _ = dub(home, demo, out, asr=asr)
    assert asr.utterances == 1, "two utterances were recognised already"
    assert report.resumed == 2
    assert report.utterances[0].resumed[0] == "recognise"
    assert list((home / "jobs").iterdir()) == []


def test_other_options_are_other_work(tmp_path, demo):
    home = tmp_path / "home"
    with pytest.raises(RuntimeError):
        dub(home, demo, tmp_path / "out.wav", asr=CountingAsr(fail_at=3))
    asr = CountingAsr()
    dub(home, demo, tmp_path / "out.wav", DubOptions("es", own_voice=False, notes="words"), asr=asr)
    assert asr.utterances == 3


def test_a_silent_recording_is_told_and_leaves_nothing(tmp_path):
    with AudioWriter(tmp_path / "silence.wav") as writer:
        writer.write(np.zeros(48000, np.float32))
    for options in (PLAIN, DubOptions("es")):
        with pytest.raises(BadAudio, match="no speech"):
            dub(tmp_path / "home", tmp_path / "silence.wav", tmp_path / "out.wav", options)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["silence.wav"]


def test_a_tenth_of_a_second_is_told(tmp_path):
    with AudioWriter(tmp_path / "short.wav") as writer:
        writer.write(np.full(1600, 0.1, np.float32))
    with pytest.raises(BadAudio):
        dub(tmp_path / "home", tmp_path / "short.wav", tmp_path / "out.wav")


def test_words_that_nobody_heard_make_a_silent_result_with_a_warning(tmp_path, demo):
    class Deaf(CountingAsr):
        def listen(self, options):
            session = super().listen(options)
            session.accept = lambda samples: None
            return session

    report, _ = dub(tmp_path / "home", demo, tmp_path / "out.wav", asr=Deaf())
    assert any("No words were recognised" in warning for warning in report.warnings)
    assert not read(tmp_path / "out.wav").samples.any()


def test_a_language_without_route_is_refused_before_any_work(tmp_path, demo):
    with pytest.raises(UnsupportedLanguage):
        dub(tmp_path / "home", demo, tmp_path / "out.wav", DubOptions("xx"))
    with pytest.raises(UnsupportedLanguage):
        dub(tmp_path / "home", demo, tmp_path / "out.wav", DubOptions("es", source="de"))


def test_a_stopped_batch_finds_its_finished_recordings_again(tmp_path, demo):
    home, first = tmp_path / "home", CountingAsr()
    with fake_node(home, asr=first) as node:
        dubbing, _ = node.dubbing(PLAIN)
        dubbing.dub(demo, tmp_path / "out.wav", lambda *step: None)
    again = CountingAsr()
    report, _ = dub(home, demo, tmp_path / "out.wav", asr=again)
    assert (first.utterances, again.utterances) == (3, 0)
    assert report.resumed == 3
    assert list((home / "jobs").iterdir()) == []


STRAIGHT = EngineNames(ast="fake-ast")


def test_speech_goes_straight_to_the_other_language(tmp_path, demo):
    ast, asr = CountingAst(), CountingAsr()
    options = DubOptions("es", own_voice=False, srt=True, vtt=True, engines=STRAIGHT)
    report, steps = dub(tmp_path / "home", demo, tmp_path / "out.es.wav", options, ast=ast, asr=asr)
    assert (ast.calls, asr.utterances) == (3, 0)
    assert {stage for stage, _ in steps} == {"listen", "slots", "interpret", "speak", "voice"}
    assert {engine.task: engine.name for engine in report.engines} == {
        "ast": "straight",
        "tts": "tone",
        "speaker": "level",
    }
    assert report.source == "en", "the engine tells it"
    for line in report.utterances:
        assert (line.source_text, line.recognition_confidence) == ("", None)
        assert line.target_text.endswith(" segundos")
        assert line.engines == {"ast": "straight", "tts": "tone"}
        assert line.route == ("en", "es")
    assert [Path(path).name for path in report.subtitles] == ["out.es.srt", "out.es.vtt"]
    assert any("no subtitles of the source" in warning for warning in report.warnings)
    assert sorted(path.name for path in tmp_path.glob("*.srt")) == ["out.es.srt"]


def test_what_the_engine_heard_is_kept_where_it_tells(tmp_path, demo):
    options = DubOptions("es", source="en", own_voice=False, srt=True, engines=STRAIGHT)
    report, _ = dub(tmp_path / "home", demo, tmp_path / "out.es.wav", options, ast=CountingAst(tells=True))
    assert all(line.source_text.endswith(" seconds") for line in report.utterances)
    assert all("asr" not in line.engines and "mt" not in line.engines for line in report.utterances)
    assert [Path(path).name for path in report.subtitles] == ["out.en.srt", "out.es.srt"]
    assert not any("subtitles" in warning for warning in report.warnings)


def test_a_straight_job_goes_on_where_it_stopped(tmp_path, demo):
    home, out = tmp_path / "home", tmp_path / "out.wav"

    class Failing(ToneTts):
        def speak(self, *given):
            if self.calls == 2:
                raise RuntimeError("told to fail")
            return super().speak(*given)

    options = DubOptions("es", own_voice=False, engines=STRAIGHT)
    with pytest.raises(RuntimeError):
        dub(home, demo, out, options, ast=CountingAst(), tts=Failing())
    ast = CountingAst()
    report, _ = dub(home, demo, out, options, ast=ast)
    assert ast.calls <= 1
    assert report.utterances[0].resumed[0] == "interpret"


@pytest.mark.parametrize("guide", ["notes", "grammar"])
def test_what_teaches_a_recogniser_is_refused_without_one(tmp_path, demo, guide):
    options = DubOptions("es", engines=STRAIGHT, **{guide: "words"})
    with pytest.raises(BadText, match="no transcript"):
        dub(tmp_path / "home", demo, tmp_path / "out.wav", options, ast=CountingAst())
    assert not (tmp_path / "out.wav").exists()


def test_the_language_that_is_heard_is_the_jobs(tmp_path, demo):
    asr, mt = PolyglotAsr("de"), ManyMt("en", "de")
    report, _ = dub(tmp_path / "home", demo, tmp_path / "out.wav", replace(PLAIN, srt=True), asr=asr, mt=mt)
    assert set(asr.asked) == {"auto"}
    assert (report.source, report.source_note) == (
        "de",
        "The input is taken as 'de': counting heard it in most of the first utterances.",
    )
    assert [(line.language, line.route) for line in report.utterances] == [("de", ("de", "es"))] * 3
    assert {line.task: line.route for line in report.engines}["mt"] == ("de", "es")
    assert [Path(path).name for path in report.subtitles] == ["out.de.srt", "out.es.srt"]
    assert report.warnings == ()


def test_utterances_in_other_languages_are_dealt_with_and_told(tmp_path, demo):
    home, out = tmp_path / "home", tmp_path / "out.wav"
    longest = dub(home, demo, out)[0].utterances
    times = [line.end - line.start for line in longest]
    spoken = ["fr" if seconds == min(times) else "en" for seconds in times]
    report, _ = dub(home, demo, out, asr=PolyglotAsr(*spoken), mt=ManyMt("en"))
    assert report.source == "en"
    assert [bool(line.target_text) for line in report.utterances] == [code == "en" for code in spoken]
    (told,) = report.warnings
    assert told.startswith("1 utterance in 'fr' (first at ")
    assert "untranslated" in told

    report, _ = dub(home, demo, out, asr=PolyglotAsr(*spoken), mt=ManyMt("en", "fr"))
    assert all(line.target_text for line in report.utterances)
    assert [line.route[0] for line in report.utterances] == spoken
    assert "translated from there and not from 'en'" in report.warnings[0]

    spoken = ["es" if code == "fr" else code for code in spoken]
    report, _ = dub(home, demo, out, asr=PolyglotAsr(*spoken), mt=ManyMt("en"))
    assert [line.target_text == line.source_text for line in report.utterances] == [code == "es" for code in spoken]
    assert "said again as it was" in report.warnings[0]


def test_a_language_without_a_way_ends_the_job_with_what_would_help(tmp_path, demo):
    for spoken in ("fr", "es"):
        with pytest.raises(UnsupportedLanguage):
            dub(tmp_path / "home", demo, tmp_path / "out.wav", asr=PolyglotAsr(spoken), mt=ManyMt("en"))
    assert not (tmp_path / "out.wav").exists()


def test_another_translator_serves_where_the_first_does_not_know_what_is_heard(tmp_path, demo):
    first, second = ManyMt("en"), ManyMt("de")
    second.spec = replace(second.spec, name="german")
    with fake_node(tmp_path / "home", asr=PolyglotAsr("de"), mt=first) as node:
        engines = load_engines(node.registry, EngineNames(), PLAIN.languages)
        engines = replace(engines, translator=lambda heard: second if heard == "de" else first)
        report = Dubbing(PLAIN, engines, node.voices, node.results).dub(demo, tmp_path / "out.wav", lambda *step: None)
    (line,) = [line for line in report.engines if line.task == "mt"]
    assert (line.name, line.route) == ("german", ("de", "es"))
    assert line.why == "the best that translates from 'de', which was heard"
    assert first.calls == 0


def test_two_recordings_may_be_in_two_languages(tmp_path, demo):
    sources = []
    with fake_node(tmp_path / "home", asr=PolyglotAsr("de", "de", "de", "en"), mt=ManyMt("en", "de")) as node:
        dubbing, _ = node.dubbing(PLAIN)
        for name in ("one.wav", "two.wav"):
            sources.append(dubbing.dub(demo, tmp_path / name, lambda *step: None).source)
            dubbing.forget()
    assert sources == ["de", "en"]


def test_a_job_whose_language_was_heard_goes_on_where_it_stopped(tmp_path, demo):
    home, out = tmp_path / "home", tmp_path / "out.wav"
    broken = PolyglotAsr("de")
    broken.fail_at = 3
    with pytest.raises(RuntimeError, match="told to fail"):
        dub(home, demo, out, asr=broken, mt=ManyMt("de"))
    report, _ = dub(home, demo, out, asr=PolyglotAsr("de"), mt=ManyMt("de"))
    assert (report.source, report.resumed) == ("de", 2)


def test_a_glossary_holds_for_a_recording_and_what_it_lost_is_told(tmp_path, demo):
    options = replace(PLAIN, glossary={"seconds": "segundos"})
    report, _ = dub(tmp_path / "home", demo, tmp_path / "out.wav", options, mt=ManyMt())
    assert all(line.target_text.endswith("SEGUNDOS") for line in report.utterances)

    class Losing(ManyMt):
        def translate_many(self, texts, source, target, glossary=None):
            return [replace(one, missed=("segundos",)) for one in super().translate_many(texts, source, target)]

    report, _ = dub(tmp_path / "home", demo, tmp_path / "out.wav", options, mt=Losing())
    assert report.utterances[0].missed_terms == ("segundos",)
    assert report.warnings == ("Terms of the glossary that the translation has not: segundos.",)
    for engines in ({}, {"ast": CountingAst()}):
        names = EngineNames(ast="fake-ast" if engines else None)
        with pytest.raises(BadText, match="takes no glossary"):
            dub(tmp_path / "home", demo, tmp_path / "out.wav", replace(options, engines=names), **engines)


def test_a_process_that_ended_costs_no_job_and_is_told_in_its_report(tmp_path, demo):
    class Fragile(CountingAsr):
        def listen(self, options):
            session = super().listen(options)
            finish = session.finish
            session.finish = lambda: self.fall() if self.falls else finish()
            return session

        def fall(self):
            self.falls -= 1
            raise EngineCrashed("The engine counting stopped (SIGKILL).", "The next request starts it again.")

    for falls, texts, what in ((1, 3, "was done again"), (2, 2, "is left out")):
        asr = Fragile()
        asr.falls = falls
        report, _ = dub(tmp_path / f"home{falls}", demo, tmp_path / "out.wav", asr=asr)
        assert sum(bool(line.target_text) for line in report.utterances) == texts
        assert [what in warning for warning in report.warnings] == [True]


def test_what_engines_say_while_they_work_is_in_the_report_of_that_job(tmp_path, demo):
    said = [("It fell.",), ()]
    with fake_node(tmp_path / "home") as node:
        dubbing, _ = node.dubbing(PLAIN)
        dubbing._engines = replace(dubbing._engines, said=lambda: said.pop(0))
        first, second = (dubbing.dub(demo, tmp_path / f"{n}.wav", lambda *step: None) for n in "ab")
    assert (first.warnings, second.warnings) == (("It fell.",), ())


@pytest.mark.parametrize("asr", [CountingAsr(), PolyglotAsr("en")])
def test_subtitles_never_take_the_place_of_notes_also_in_a_language_that_is_only_heard(tmp_path, demo, asr):
    notes = tmp_path / "out.en.srt"
    notes.write_text("my own words")
    options = replace(PLAIN, srt=True, notes="my own words", kept=(notes,))
    with pytest.raises(BadRequest, match=r"out\.en\.srt would be written over"):
        dub(tmp_path / "home", demo, tmp_path / "out.es.wav", options, asr=asr, mt=ManyMt())
    assert notes.read_text() == "my own words"
    assert (tmp_path / "out.es.wav").exists() == (asr.utterances > 0), "where it is known, nothing is begun"


def test_a_file_beside_the_sound_that_cannot_be_written_is_told(tmp_path, demo):
    (tmp_path / "out.es.srt").mkdir()
    with pytest.raises(CannotWrite, match=r"out\.es\.srt is a folder"):
        dub(tmp_path / "home", demo, tmp_path / "out.wav", replace(PLAIN, srt=True))
    report, _ = dub(tmp_path / "home", demo, tmp_path / "out.wav")
    report_path(tmp_path / "out.wav").mkdir()
    with pytest.raises(CannotWrite, match=r"out\.wav\.json is a folder"):
        write_report(report)


def test_too_little_speech_to_know_the_voice_is_spoken_in_the_engines_own(tmp_path, demo):
    sound = read(demo)
    whole, _ = dub(tmp_path / "home", demo, tmp_path / "whole.wav")
    start = round(whole.utterances[0].start * 16_000)
    short = np.concatenate([np.zeros(8000), sound.samples[start : start + 11_000], np.zeros(16_000)])
    with AudioWriter(tmp_path / "short.wav") as writer:
        writer.write(short.astype(np.float32))
    report, _ = dub(tmp_path / "home", tmp_path / "short.wav", tmp_path / "out.wav", DubOptions("es"))
    assert report.utterances[0].target_text
    assert report.voice is None
    assert any("too little speech to know the voice" in warning for warning in report.warnings)


def test_how_much_speech_a_voice_is_known_from_is_the_same_wherever_it_is_told(tmp_path, demo, monkeypatch):
    import node.dubbing

    made = node.dubbing.build_profile
    monkeypatch.setattr("node.dubbing.build_profile", lambda *given: replace(made(*given), seconds=2.849))
    report, _ = dub(tmp_path / "home", demo, tmp_path / "out.wav", DubOptions("es"))
    (told,) = [warning for warning in report.warnings if "The voice is known from" in warning]
    assert report.voice is not None
    assert f"{report.voice.seconds:.1f} s" in told


def test_a_text_that_the_voice_has_no_sound_for_is_left_unspoken_and_named(tmp_path, demo):
    class Picky(ToneTts):
        left = True

        def speak(self, text, language, delivery):
            if self.left and text.startswith("2."):
                raise BadText(f"tone has no sound for {text!r}.", "Give text with letters in it.")
            return super().speak(text, language, delivery)

    times = [line.target_text for line in dub(tmp_path / "home", demo, tmp_path / "out.wav")[0].utterances]
    picked = [text.startswith("2.") for text in times]
    assert any(picked)
    assert not all(picked)
    report, _ = dub(tmp_path / "home", demo, tmp_path / "out.wav", tts=Picky())
    assert [line.fit is None for line in report.utterances] == picked
    (told,) = [warning for warning in report.warnings if "unspoken" in warning]
    assert repr(times[picked.index(True)]) in told


def test_subtitles_beside_a_late_sound_are_as_late(tmp_path, demo):
    options = replace(PLAIN, srt=True)
    at = []
    for start in (0.0, 100.0):
        with fake_node(tmp_path / "home") as node:
            dubbing, _ = node.dubbing(options)
            dubbing.dub(demo, tmp_path / "out.wav", lambda *step: None, start=start)
        at.append([(tmp_path / f"out.{code}.srt").read_text().splitlines()[1] for code in ("en", "es")])
    assert all(line.startswith("00:00:") for line in at[0])
    assert all(line.startswith("00:01:4") for line in at[1])
