"""Text in."""

from dataclasses import replace

import pytest

from ml.audio.read import read
from ml.errors import BadText
from node.dubbing import DubOptions
from node.texts import BATCH, LONGEST, say_text, translate_text
from tests.fakes import ManyMt, fake_node

OPTIONS = DubOptions("es")
TERMS = {"one": "uno", "lost": "perdido"}


def test_lines_stay_lines(tmp_path):
    result = translate_text(fake_node(tmp_path), "one\n\n---\ntwo\n", OPTIONS)
    assert result.text == "ONE\n\n\nTWO"
    assert result.as_dict()["route"] == ("en", "es")


@pytest.mark.parametrize("text", ["", " \n\t", "---", "x" * (LONGEST + 1)])
def test_what_is_no_text_is_refused(tmp_path, text):
    with pytest.raises(BadText):
        translate_text(fake_node(tmp_path), text, OPTIONS)
    with pytest.raises(BadText):
        say_text(fake_node(tmp_path), text, OPTIONS, tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


def test_text_is_spoken(tmp_path):
    result = say_text(fake_node(tmp_path), "hello\nworld", OPTIONS, tmp_path / "out.wav")
    assert result.text == "HELLO\nWORLD"
    assert read(tmp_path / "out.wav").seconds == pytest.approx(result.seconds, abs=0.01) == pytest.approx(1.4, abs=0.01)


def test_lines_are_translated_together_and_come_out_as_one_by_one(tmp_path):
    text = "\n".join("---" if n % 3 == 0 else f"line {n}" for n in range(150))
    mt = ManyMt()
    together = translate_text(fake_node(tmp_path, mt=mt), text, OPTIONS)
    assert mt.batches == [BATCH] * (100 // BATCH) + [100 % BATCH]
    alone = translate_text(fake_node(tmp_path), text, OPTIONS)
    assert together == alone


def test_terms_are_kept_to_and_the_lost_are_named(tmp_path):
    options = replace(OPTIONS, glossary=TERMS)
    result = translate_text(fake_node(tmp_path, mt=ManyMt()), "one\nlost", options)
    assert (result.text, result.missed_terms) == ("UNO\nLOST", ("perdido",))
    with pytest.raises(BadText, match="upper takes no glossary") as refused:
        translate_text(fake_node(tmp_path), "one", options)
    assert "--mt" in refused.value.remedy
