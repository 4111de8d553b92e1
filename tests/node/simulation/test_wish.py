"""What makes no sense in a simulation is said in a sentence, before anything is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.errors import BadRequest
from node.simulation.wish import Cut, Wish, _objections, check, hostile_share


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
        ({"seconds": 1.0}, "too little speech"),
        ({"seconds": float("nan")}, "too little speech"),
        ({"seconds": float("inf")}, "--seconds inf is more speech"),
        ({"seconds": 1e9}, "more speech"),
        ({"seconds": 7200.1}, "more speech"),
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


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("1:flip", "the share 1 is not within 0 and 0.9"),
        ("-0.1:flip", "the share -0.1 is not within"),
        ("nan:flip", "the share nan is not within"),
        ("0.3", "does not say what these nodes do"),
        ("0.3:", "does not say what these nodes do"),
        ("flip", "does not say how many"),
        ("many:flip", "'many' is no share"),
    ],
)
def test_it_is_said_what_is_wrong_with_who_is_hostile(said: str, wrong: str) -> None:
    with pytest.raises(BadRequest) as told:
        hostile_share(Wish(hostile=said))
    assert f"--hostile {said}" in told.value.sentence
    assert wrong in told.value.sentence
    assert "--hostile 0.2:flip" in told.value.remedy


def test_a_folder_for_models_must_be_there_and_none_is_made(tmp_path: Path) -> None:
    check(Wish(), Cut(disk=tmp_path))
    (tmp_path / "file").touch()
    for name in ("nope", "file"):
        with pytest.raises(BadRequest, match=f"There is no folder .*{name}") as told:
            check(Wish(), Cut(disk=tmp_path / name))
        assert f"mkdir -p '{tmp_path / name}'" in told.value.remedy
    assert not (tmp_path / "nope").exists()


@pytest.mark.parametrize(
    ("wish", "cut"),
    [
        (Wish(), Cut()),
        (Wish(seconds=7200.0), Cut()),
        (Wish(), Cut(engine="ray", address="127.0.0.1:6379")),
        (Wish(peers=1000, hostile="0.3:alie", churn=0.5, bandwidth=64, latency=100), Cut(threads=2, engine="ray")),
    ],
)
def test_the_defaults_make_sense(wish: Wish, cut: Cut) -> None:
    check(wish, cut)
    assert not [sentence for wrong, sentence, _ in _objections(wish, cut) if wrong]


@pytest.mark.parametrize(("said", "meant"), [("", (0.0, "")), ("0", (0.0, "")), ("0.25:noise", (0.25, "noise"))])
def test_who_is_hostile_is_read(said: str, meant: tuple[float, str]) -> None:
    assert hostile_share(Wish(hostile=said)) == meant
