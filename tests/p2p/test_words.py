"""Whatever a peer says can be shown on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.words import LONGEST_ADDRESS, is_short_text, printable


@given(st.text(max_size=400))
def test_a_name_cannot_move_the_cursor_or_turn_the_writing(text):
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) <= 64
    assert printable(shown) == shown


def test_names_in_any_writing_stay_and_tricks_go():
    assert printable("José 李 Ωmega ") == "José 李 Ωmega"
    assert printable("a\x1b[31mb\x07\u202ec\u200bd\n") == "a[31mbcd"
    assert printable("z" + "\u0308" * 50) == "z" + "\u0308" * 2


@pytest.mark.parametrize("text", ["", "x" * (LONGEST_ADDRESS + 1), "/ip4/\x1b[2J", "/dns4/ä"])
def test_what_cannot_be_an_address_is_told_apart(text):
    assert not is_short_text(text)
    assert is_short_text("/ip4/192.0.2.1/tcp/4710")
