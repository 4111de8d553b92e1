"""The report stands on its own, and says what came out in words."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec
import pytest

from node.simulation.outcome import Outcome, Spread
from node.simulation.page import page, told
from node.simulation.plots import png, svg
from tests.node.simulation.outcomes import outcome


class Reader(HTMLParser):
    """Collects what a document refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outside += [value or "" for name, value in attrs if name in ("src", "href") and (value or "")[:1] != "#"]
        if tag not in ("meta", "path", "use", "rect", "circle", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass


def test_the_page_needs_nothing_beside_it() -> None:
    reader = Reader()
    text = page(outcome())
    reader.feed(text)
    assert reader.outside == []
    assert reader.open == []
    assert "<script" not in text
    assert "<svg" in text


def test_what_people_chose_is_text_on_the_page() -> None:
    assert "<b>somewhere</b>" not in page(outcome())
    assert "&lt;b&gt;somewhere&lt;/b&gt;" in page(outcome())


def test_it_is_said_what_peers_added_and_who_lost() -> None:
    said = " ".join(told(outcome()))
    assert "6.0 % less squared error" in said
    assert "Peers added 1.5 points" in said
    assert "at most by 0.7 %" in said


def test_without_a_control_nothing_is_claimed_for_peers() -> None:
    said = " ".join(told(outcome(control=False)))
    assert "not known" in said
    assert "added" not in said.replace("What peers added is not known", "")


def test_one_that_was_stopped_says_so() -> None:
    assert told(outcome(finished=False))[0] == "Stopped after 3 of 3 rounds."
    assert "It has not come to its end." in page(outcome(finished=False))


@pytest.mark.parametrize("made", [outcome(), outcome(control=False), outcome(finished=False)])
def test_the_plots_can_be_drawn_of_whatever_there_is(made: Outcome) -> None:
    assert png(made).startswith(b"\x89PNG")
    drawn = svg(made)
    assert drawn.startswith("<svg")
    assert drawn == svg(made), "the same numbers give the same picture"
    assert len(re.findall(r"<path", drawn)) > 50


def test_hostile_nodes_are_counted_and_named() -> None:
    assert "hostile" not in " ".join(told(outcome()))
    made = msgspec.structs.replace(outcome(), people=13, hostile=3, settings={"rounds": 3, "hostile": "0.3:alie"})
    assert told(made)[0] == "3 of the 13 nodes are hostile (0.3:alie): gains are those of the 10 others."
    assert "How many of theirs were accepted is not measured" in page(made)
    assert "How many of theirs" not in page(outcome())


def test_what_is_sent_says_whether_those_who_are_away_count() -> None:
    rows = [msgspec.structs.replace(row, online=5, sent=100_000) for row in outcome().rounds]
    away = " ".join(told(msgspec.structs.replace(outcome(), rounds=rows)))
    assert "each sent 20.0 KB a round that they were there for, which is 10.0 KB a round when" in away
    rows = [msgspec.structs.replace(row, online=10) for row in outcome().rounds]
    always = " ".join(told(msgspec.structs.replace(outcome(), rounds=rows)))
    assert always.endswith("each sent 20.0 KB a round.")


def test_it_is_said_how_it_came_about_where_that_is_known() -> None:
    made = msgspec.structs.replace(outcome(), origin={"command": "node simulate --peers 10 --speech '<i>'"})
    assert "How it came about" not in page(outcome()), "an outcome of an earlier version"
    assert "node simulate --peers 10 --speech &#x27;&lt;i&gt;&#x27;" in page(made)


def test_next_to_nothing_is_no_negative_zero() -> None:
    made = outcome()
    assert made.final is not None
    small = Spread(-0.01, -0.02, -0.03, -0.04, 10)
    final = msgspec.structs.replace(made.final, gain=small, alone=small)
    lines = " ".join(told(msgspec.structs.replace(made, final=final)))
    assert "; 0.0 % in the worst tenth" in lines
    assert "-0.0" not in lines
