"""Text in."""

import pytest

from ml.audio.read import read
from ml.errors import BadText
from node.dubbing import DubOptions
from node.texts import LONGEST, say_text, translate_text
from tests.fakes import fake_node

OPTIONS = DubOptions("es")


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
