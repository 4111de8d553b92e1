"""A Flower client of ours refuses what is not our model, keeps its own, and learns on speech that stays with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import ModelDamaged
from ml.voice.genesis import genesis
from node.errors import BadRequest
from node.frames import FrameShelf
from node.simulation.flower.client import judge, learn, speech_of

RUN = {"alpha": 0.7, "epochs": 1, "batch": 64, "rate": 3e-4, "seconds": 4.0, "seed": 0, "voice": ""}
NODE = {"partition-id": 1, "num-partitions": 3}


def test_a_made_person_learns_and_their_own_model_is_better_than_the_shared_one() -> None:
    speech = speech_of(NODE, RUN, None)
    first = learn(genesis().weights, None, speech, RUN, 1)
    assert first.frames == sum(map(len, speech.train))
    assert first.own < first.shared
    again = judge(genesis().weights, first.weights, speech)
    assert (again.shared, again.own) == (first.shared, first.own)


def test_the_share_of_their_own_is_what_they_go_on_from() -> None:
    """At next to no learning rate what comes back is the mixture."""
    speech = speech_of(NODE, RUN, None)
    mine = {name: value + np.float32(0.01) for name, value in genesis().weights.items()}
    mixed = learn(genesis().weights, mine, speech, {**RUN, "rate": 1e-12}, 1).weights
    for name, value in genesis().weights.items():
        assert mixed[name] == pytest.approx(value + 0.007, abs=1e-5)


@pytest.mark.parametrize("damage", ["missing", "shape", "dtype", "nan", "extra"])
def test_arrays_that_are_not_our_model_are_refused(damage: str) -> None:
    arrays: dict[str, Any] = {name: value.copy() for name, value in genesis().weights.items()}
    name = next(iter(arrays))
    if damage == "missing":
        del arrays[name]
    elif damage == "extra":
        arrays["more"] = np.zeros(3, np.float32)
    else:
        changed = {"shape": arrays[name][:-1], "dtype": arrays[name].astype(np.float64), "nan": arrays[name] * np.nan}
        arrays[name] = changed[damage]
    speech = speech_of(NODE, RUN, None)
    with pytest.raises(ModelDamaged):
        learn(arrays, None, speech, RUN, 1)
    with pytest.raises(ModelDamaged):
        learn(genesis().weights, arrays, speech, RUN, 1)
    with pytest.raises(ModelDamaged):
        judge(arrays, None, speech)


def test_speech_is_that_of_the_home(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    spoken = [rng.normal(-5, 1, (20 + at, 80)).astype(np.float32) for at in range(6)]
    FrameShelf(tmp_path / "voices").add("ana", spoken)
    for node, home in (({"home": str(tmp_path)}, None), ({}, str(tmp_path)), ({**NODE, "home": str(tmp_path)}, "x")):
        found = speech_of(node, RUN, home)
        assert sum(map(len, (*found.train, *found.held_out))) == sum(map(len, spoken))
    assert speech_of({}, {**RUN, "voice": "ana"}, str(tmp_path)).held_out
    with pytest.raises(BadRequest, match="voices ana"):
        speech_of({}, {**RUN, "voice": "ben"}, str(tmp_path))
    FrameShelf(tmp_path / "voices").add("ben", spoken[:1])
    with pytest.raises(BadRequest, match="ana, ben"):
        speech_of({}, RUN, str(tmp_path))
    with pytest.raises(BadRequest, match="too little"):
        speech_of({}, {**RUN, "voice": "ben"}, str(tmp_path))


def test_nobodys_speech_is_made_up_where_there_is_neither_a_home_nor_a_simulation(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="whose speech"):
        speech_of({}, RUN, None)
    with pytest.raises(BadRequest, match="none"):
        speech_of({}, RUN, str(tmp_path))
