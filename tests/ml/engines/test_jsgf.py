"""Grammars are checked, and their errors name the line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines.jsgf import DEEPEST, LONGEST, read_grammar
from ml.errors import BadText

HEAD = "#JSGF V1.0;\ngrammar lights;\n"
GOOD = (
    HEAD
    + """
// turning lights on and off
public <command> = [please] (turn | switch {verb}) /2.5/ <state> the <lamp>+;
<state> = /1/ on | /0.5/ off;
<lamp> = "Kitchen Lamp" | lamp*;  /* two
lines */
"""
)


def test_words_are_told_in_order_and_lower_case() -> None:
    grammar = read_grammar(
        HEAD + 'public <a> = [Please] turn <b> /* not */ | /2/ "Two Words" {tag} | please; <b> = on+;'
    )
    assert grammar.words == ("please", "turn", "two", "words", "on")
    assert "Please" not in grammar.text
    assert "<b> = on+" in grammar.text


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        (HEAD + "public <a> = (one | two;\n", 3, "'\\)' is expected before ';'"),
        (HEAD + "public <a> = one;\n<b> two;\n", 4, "'=' is expected"),
        (HEAD + "public <a> = one |;\n", 3, "a word"),
        (HEAD + "\n\npublic <a> = <b>;\n", 5, "no rule <b>"),
        (HEAD + "public <a> = one <a>;\n", 3, "calls itself"),
        (HEAD + "public <a> = <b>;\n<b> = x | <c>;\n<c> = <a>;", 5, "calls itself"),
        (HEAD + "import <other.rule>;\n", 3, "imports are not read"),
        (HEAD + "public <a> = one;\n<a> = two;\n", 4, "twice"),
        (HEAD + "public <a> = one", 3, "';' is expected"),
        (HEAD + "public <a> = on}e;", 3, "cannot stand here"),
        (HEAD + "public <a> = " + "(" * (DEEPEST + 2) + "x", 3, "inside each other"),
    ],
)
def test_a_wrong_grammar_names_its_line(text: str, line: int, complaint: str) -> None:
    with pytest.raises(BadText, match=f"Line {line} of the grammar: .*{complaint}"):
        read_grammar(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "does not begin"),
        ("hello", "does not begin"),
        (HEAD + "public <a> = x\0;", "does not begin"),
        (HEAD + "<a> = one;", "no public rule"),
        (HEAD + "public <a> = <NULL>;", "no words"),
        (HEAD + " " * LONGEST, "is the most"),
    ],
)
def test_what_is_no_grammar_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(BadText, match=complaint) as caught:
        read_grammar(text)
    assert caught.value.remedy


@given(st.text(alphabet='<>ab=|()[]{};*+/"\\ \n1.', max_size=60))
def test_no_text_breaks_the_reader(body: str) -> None:
    try:
        grammar = read_grammar(HEAD + "public <a> = go " + body)
    except BadText as error:
        assert error.sentence.endswith(".")  # noqa: PT017 (both outcomes are right)
        return
    assert grammar.words[0] == "go"


def test_the_library_takes_every_grammar_that_passes() -> None:
    pocketsphinx = pytest.importorskip("pocketsphinx")
    decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL")
    decoder.add_jsgf_string("lights", read_grammar(GOOD.replace("/2.5/", "")).text)
    decoder.activate_search("lights")
    assert decoder.current_search() == "lights"
