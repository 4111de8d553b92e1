"""More people than there is room for are refused before anything is begun, with how many do fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.federated.crowd import SHARE
from ml.federated.imagined import Imagined, imagined
from node.errors import BadRequest
from node.simulation import room
from node.simulation.cast import cast
from node.simulation.room import REST, Need, room_for_speech
from node.simulation.wish import Cut, Wish

SMALL = Wish(peers=4, seconds=3)
MODEL = 4 * 19_696


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda count: monkeypatch.setattr(room, "free_memory", lambda: count)


def test_what_is_left_over_is_for_speech(free: Callable[[int], None]) -> None:
    free(REST + 1000)
    assert room_for_speech(Need(40, 10), 10, None) == SHARE * 500
    assert room_for_speech(Need(50, 50), 10, None) == 0


def test_what_does_not_fit_is_refused_with_what_does(free: Callable[[int], None]) -> None:
    free(REST + 99_999)
    with pytest.raises(BadRequest, match="memory") as told:
        room_for_speech(Need(50, 50), 1000, None)
    assert "at most 990 --peers" in told.value.remedy
    assert "--disk" in told.value.remedy
    free(0)
    with pytest.raises(BadRequest):
        room_for_speech(Need(50, 50), 1, None)


def test_a_disk_takes_the_models_and_not_what_waits(free: Callable[[int], None], tmp_path: Path) -> None:
    free(REST + 99_999)
    assert room_for_speech(Need(50, 50), 1000, tmp_path / "not there yet") == int(SHARE * 49_999)
    with pytest.raises(BadRequest, match="memory"):
        room_for_speech(Need(50, 50), 2000, tmp_path)
    with pytest.raises(BadRequest, match="disk") as told:
        room_for_speech(Need(10**15, 1), 1000, tmp_path)
    assert "--disk" not in told.value.remedy
    assert "larger disk" in told.value.remedy


def test_the_command_knows_what_it_will_hold(free: Callable[[int], None]) -> None:
    """Mixing keeps three lines and what was published, its control two; four tenths of one wait."""
    mixing = Wish(peers=4, seconds=3, algorithm="node-mix")
    free(REST + round(1.01 * 4 * 6.4 * MODEL))
    assert cast(mixing, Cut(threads=1)).people == 4
    free(REST + round(0.99 * 4 * 6.4 * MODEL))
    with pytest.raises(BadRequest, match="4 nodes"):
        cast(mixing, Cut(threads=1))
    assert cast(replace(mixing, control=False), Cut(threads=1)).people == 4


def test_the_default_holds_its_control_already(free: Callable[[int], None]) -> None:
    free(REST + round(1.01 * 4 * 10.4 * MODEL))
    assert cast(SMALL, Cut(threads=1)).people == 4
    with pytest.raises(BadRequest, match="4 nodes"):
        cast(replace(SMALL, bandwidth=64.0), Cut(threads=1))


def test_too_many_are_refused_before_anything_is_drawn_for_each(
    free: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def counted(voices: Any, count: int, *rest: Any) -> Imagined:
        drawn.append(count)
        return imagined(voices, min(count, 4), *rest)

    monkeypatch.setattr("node.simulation.cast.imagined", counted)
    free(REST + 10**9)
    with pytest.raises(BadRequest, match="100,000,000,000 nodes"):
        cast(replace(SMALL, peers=10**11), Cut(threads=1))
    assert drawn == [1]


def test_the_first_made_person_is_the_same_however_many_there_are() -> None:
    one, many = imagined(None, 1, 7), imagined(None, 50, 7)
    assert one.traits(0) == many.traits(0)
    assert all(
        np.array_equal(*pair) for pair in zip(one.utterances("train", 0), many.utterances("train", 0), strict=True)
    )
