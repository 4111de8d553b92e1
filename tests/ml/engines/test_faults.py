"""The signs of a bad translation are seen, and ordinary sentences show none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.faults import FROM, ROUNDS, fault, loops


@pytest.mark.parametrize(
    ("text", "rounds"),
    [
        ("no no no no", 4), ("the cat the cat the cat", 3), ("a b c d", 1), ("", 1), ("very, very good", 2),
        ("I think that I think that I think that", 3), ("哈哈哈哈哈", 5), ("今天今天今天", 3), ("so so-so", 3),
    ],
)  # fmt: skip
def test_rounds_of_a_loop(text: str, rounds: int) -> None:
    assert loops(text) == rounds


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True), st.integers(2, 9))
def test_every_cycle_is_counted(cycle: list[str], rounds: int) -> None:
    assert loops(" ".join(cycle * rounds)) == rounds


def test_each_sign() -> None:
    assert fault("Good morning.", "Buenos días.", 4, 4, True) is None
    assert fault("Good morning.", "días " * ROUNDS, 4, 4, True) == "loop"
    assert fault("no " * ROUNDS, "no " * ROUNDS, 5, 5, True) is None, "the source says it as often"
    assert fault("Good morning.", "Buenos días", 4, 40, False) == "cut"
    assert fault("a long sentence", "corta", 40, 4, True) == "short"
    assert fault("Yes, of course!", "Sí.", FROM - 1, 1, True) is None
