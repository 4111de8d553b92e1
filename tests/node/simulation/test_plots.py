"""The plots show what the numbers say: axes that hold every line, and as many lines as there are stories."""

from __future__ import annotations

import pytest

from node.simulation.plots import draw
from tests.node.simulation.outcomes import outcome


@pytest.mark.parametrize(("control", "lines"), [(True, 4), (False, 2)])
def test_peers_and_the_control_are_drawn_beside_each_other(control: bool, lines: int) -> None:
    gain, people, sent, part = draw(outcome(control=control)).axes
    drawn = [line for line in gain.lines if len(line.get_xdata()) == 3]
    assert len(drawn) == lines
    assert list(drawn[0].get_ydata()) == [2.0, 4.0, 6.0]
    low, high = gain.get_ylim()
    assert all(low <= value <= high for line in drawn for value in line.get_ydata())
    assert list(people.lines[0].get_ydata()) == [5.0, 6.0, 7.0]
    assert list(sent.lines[0].get_ydata()) == [20.0, 40.0, 60.0]
    assert list(part.lines[0].get_ydata()) == [90.0, 90.0, 90.0]


def test_what_has_not_ended_has_no_end_to_draw() -> None:
    people = draw(outcome(finished=False)).axes[1]
    assert not people.lines
    assert "not at its end" in people.texts[0].get_text()
