"""Every row that the comparison needs is there by name."""

from __future__ import annotations

from ml.federated.methods.mixing import Mixed
from ml.federated.methods.table import ALONE, METHODS, TOGETHER


def test_controls_and_rivals_are_apart() -> None:
    assert not ALONE.keys() & TOGETHER.keys()
    assert METHODS.keys() == ALONE.keys() | TOGETHER.keys()


def test_the_named_mixtures_have_the_shares_of_their_names() -> None:
    for name, alpha in (("mix50", 0.5), ("mix70", 0.7), ("mix90", 0.9)):
        method = METHODS[name]
        assert isinstance(method, Mixed)
        assert method.alpha == alpha
