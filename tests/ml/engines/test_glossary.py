"""Glossary terms are found as whole words, carried by placeholders, and missed aloud."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.glossary import MARKS, MOST, checked, masked, missing, unmasked, wanted
from ml.errors import BadText


def test_terms_are_whole_words_and_the_longest_wins() -> None:
    terms = {"node": "nodo", "peer node": "par", "cat": "gata"}
    assert wanted(terms, "A Peer Node meets a node.") == {"peer node": "par", "node": "nodo"}
    assert wanted(terms, "A peer node concatenates.") == {"peer node": "par"}
    assert wanted({"联邦学习": "federated learning"}, "这是联邦学习的例子") == {"联邦学习": "federated learning"}
    assert wanted({"C++": "C++"}, "I write C++ here") == {"C++": "C++"}


def test_what_a_translation_lacks() -> None:
    assert missing(["nodo", "par"], "Un NODO.") == ("par",)
    assert missing(["nodo"], "Los nodos.") == ("nodo",)
    assert missing([], "") == ()


@pytest.mark.parametrize("mark", MARKS)
def test_a_placeholder_brings_its_term(mark: str) -> None:
    terms = {f"term{chr(97 + index)}": f"término\\{index}" for index in range(12)}
    sentence = "We use " + ", ".join(terms) + "."
    veiled = masked(sentence, list(terms), mark)
    assert veiled is not None
    assert not any(term in veiled for term in terms)
    assert unmasked(veiled, list(terms.values()), mark) == "We use " + ", ".join(terms.values()) + "."
    assert unmasked(veiled.replace(mark.format(3) + ",", "3,"), list(terms.values()), mark) is None
    assert unmasked(veiled + mark.format(13), list(terms.values()), mark) is None
    assert unmasked(f"{mark.format(1)} {mark.format(2)}", [mark.format(2), "b"], mark) == f"{mark.format(2)} b"


@settings(deadline=None)
@given(st.sampled_from(MARKS), st.integers(1, 5))
def test_a_text_that_has_the_mark_is_left_alone(mark: str, number: int) -> None:
    terms = ["a", "b", "c", "d", "e"][:number]
    assert masked(f"{mark.format(1)} and {' '.join(terms)}", terms, mark) is None


def test_bad_glossaries_are_refused() -> None:
    assert checked({" a ": " b "}) == {"a": "b"}
    for bad in ({"": "b"}, {"a": " "}, {"a" * 101: "b"}, {f"t{i}": "x" for i in range(MOST + 1)}):
        with pytest.raises(BadText):
            checked(bad)
