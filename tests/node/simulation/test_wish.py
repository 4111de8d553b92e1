"""What makes no sense in a simulation is said in a sentence, before anything is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.errors import BadRequest
from node.simulation.wish import Cut, Wish, check, hostile_share


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"peers": 1}, "nobody"),
        ({"rounds": 0}, "--rounds"),
        ({"received": 0}, "--received"),
        ({"epochs": 0}, "--epochs"),
        ({"batch": -1}, "--batch"),
        ({"churn": 1.0}, "--churn"),
        ({"churn": float("nan")}, "--churn"),
        ({"rate": 0.0}, "--rate"),
        ({"rate": float("nan")}, "--rate"),
        ({"seconds": 1.0}, "speech"),
        ({"seed": -1}, "--seed"),
        ({"bandwidth": 0.0}, "kbit/s"),
        ({"latency": -3.0}, "ms"),
        ({"topology": "star"}, "star"),
        ({"topology": "full", "peers": 1000}, "1000"),
        ({"hostile": "many"}, "many"),
        ({"hostile": "0.2"}, "0.2"),
        ({"hostile": "1.5:noise"}, "1.5"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(BadRequest, match=named) as caught:
        check(replace(Wish(), **change), Cut())
    assert caught.value.remedy


@pytest.mark.parametrize("cut", [Cut(chunk=0), Cut(threads=0), Cut(engine="cloud"), Cut(address="127.0.0.1:6379")])
def test_a_cut_that_makes_no_sense_is_refused(cut: Cut) -> None:
    with pytest.raises(BadRequest):
        check(Wish(), cut)


def test_the_defaults_make_sense() -> None:
    check(Wish(), Cut())
    check(Wish(), Cut(engine="ray", address="127.0.0.1:6379"))
    check(Wish(peers=1000, hostile="0.3:alie", churn=0.5, bandwidth=64, latency=100), Cut(threads=2, engine="ray"))


@pytest.mark.parametrize(("said", "meant"), [("", (0.0, "")), ("0", (0.0, "")), ("0.25:noise", (0.25, "noise"))])
def test_who_is_hostile_is_read(said: str, meant: tuple[float, str]) -> None:
    assert hostile_share(Wish(hostile=said)) == meant
