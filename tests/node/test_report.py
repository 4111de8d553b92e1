"""The report keeps words and figures, never sound."""

import json
from dataclasses import replace

import pytest

from ml.speech.translate import UNCHANGED
from node.report import Tally, counted, median_of, remarks, utterance_line
from tests.node.reports import filled, report


def test_a_line_tells_words_figures_and_time():
    line = utterance_line(filled(), {"recognise": 0.25, "translate": 0.01}, ["recognise"])
    assert (line.source_text, line.target_text) == ("hello", "hola")
    assert line.words == ({"text": "hello", "start": 1.1, "end": 1.9, "confidence": 0.7},)
    assert line.recognition_confidence == 0.812
    assert line.engines == {"asr": "sphinx", "mt": "apertium", "tts": "espeak"}
    assert line.fit["spill"] == pytest.approx(0.2)
    assert line.latency == 0.26
    assert line.resumed == ("recognise",)


def test_an_utterance_without_words_is_told_too():
    bare = replace(filled(), transcript=None, translation=None, speech=None, fit=None, likeness=None)
    line = utterance_line(bare, {}, [])
    assert (line.source_text, line.fit, line.recognition_confidence, line.latency) == ("", None, None, 0)


def test_the_whole_is_json_without_sound():
    text = json.dumps(report().as_dict())
    assert "pcm" not in text
    assert "samples" not in text
    assert json.loads(text)["voice"]["ceiling"] == 0.87


def test_the_tally_adds_up_by_stage_and_utterance():
    tally = Tally()
    tally.add("listen", object(), 0.5)
    tally.add("recognise", filled(), 0.25)
    tally.add("recognise", filled(), 0.25)
    assert tally.by_stage == {"listen": 0.5, "recognise": 0.5}
    assert tally.by_utterance == {2: {"recognise": 0.5}}


def test_medians_leave_out_what_is_unknown():
    assert median_of([None, 1.0, 3.0, None, 2.0]) == 2.0
    assert median_of([None]) is None


def test_remarks_are_about_utterances_unlike_the_recording_and_about_terms():
    plain = utterance_line(filled(), {}, [])
    assert plain.language == "en"
    assert remarks([plain, replace(plain, source_text="", language="", route=())], "es", "en") == ()
    lost = replace(plain, language="fr", route=(), start=2.0)
    kept = replace(plain, language="es", route=("es",), engines={"mt": UNCHANGED})
    own = replace(plain, language="de", route=("de", "es"), missed_terms=("par",))
    assert remarks([plain, lost, lost, kept, own], "es", "en") == (
        "2 utterances in 'fr' (first at 2.0 s): left untranslated, the translator has no way from there to 'es'.",
        "1 utterance in 'es' (first at 1.0 s): said again as it was.",
        "1 utterance in 'de' (first at 1.0 s): translated from there and not from 'en'.",
        "Terms of the glossary that the translation has not: par.",
    )


def test_one_thing_is_one():
    assert [counted(number, "utterance") for number in (0, 1, 2)] == ["0 utterances", "1 utterance", "2 utterances"]
