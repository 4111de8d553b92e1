"""Names of a wish become people, methods, compressions and attacks that really are those."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import Unavailable
from ml.federated.compression import COMPRESSIONS
from ml.federated.methods.node_default import NodeDefault
from ml.federated.simulation import Simulation
from ml.federated.simulation.engine import Local
from ml.federated.simulation.forked import Forked
from node.errors import BadRequest
from node.simulation.cast import cast
from node.simulation.wish import Cut, Wish
from tests.ml.federated.speakers import collection

SMALL = Wish(peers=4, seconds=3)


@pytest.mark.parametrize(
    "change", [{"algorithm": "magic"}, {"compression": "zip"}, {"hostile": "0.5:frown"}, {"topology": "star"}]
)
def test_a_name_that_does_not_exist_is_refused_with_those_that_do(change: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        cast(replace(SMALL, **change), Cut())
    assert "Take one of" in caught.value.remedy


def test_the_compressions_that_are_named_are_all_that_are_taken() -> None:
    with pytest.raises(BadRequest) as told:
        cast(replace(SMALL, compression="zip"), Cut())
    names = told.value.remedy.removeprefix("Take one of: ").rstrip(".").split(", ")
    assert {"node", "none", *COMPRESSIONS} == set(names)


def test_the_node_does_what_a_node_does() -> None:
    made = cast(SMALL, Cut(threads=1))
    assert isinstance(made.method, NodeDefault)
    assert made.compression is COMPRESSIONS["int4"]
    assert made.compression.shadow
    assert made.people == 4
    assert "made" in made.speech


def test_links_take_time_only_when_it_is_said_how_much() -> None:
    assert cast(SMALL, Cut()).settings.traces is None
    traces = cast(replace(SMALL, bandwidth=64, latency=80), Cut()).settings.traces
    assert traces is not None
    assert (traces.upload, traces.latency) == (8000, 0.08)


def test_real_speakers_are_themselves_and_more_people_are_made_of_them(tmp_path: Path) -> None:
    folder = collection(tmp_path, seconds=2)
    assert cast(replace(SMALL, peers=None, speech=folder), Cut()).speech.startswith("2 real speakers")
    assert cast(replace(SMALL, peers=2, speech=folder), Cut()).people == 2
    made = cast(replace(SMALL, peers=5, speech=folder), Cut())
    assert made.people == 5
    assert "made, from the 2 speakers" in made.speech


def test_who_has_hardly_spoken_cannot_be_made_into_others(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="long enough"):
        cast(replace(SMALL, peers=5, speech=collection(tmp_path)), Cut())


def test_errors_of_genesis_are_those_of_people_who_have_not_learnt() -> None:
    made = cast(SMALL, Cut(threads=1))
    for part in ("held_out", "test"):
        start = made.errors(None, range(4), part)
        assert np.array_equal(start, made.errors(made.main(), range(4), part))
        assert (start > 0).all()


def test_the_control_hears_nobody() -> None:
    made = cast(replace(SMALL, hostile="0.5:nan", algorithm="node-mix"), Cut(threads=1))
    alone = made.alone(made.main())
    assert isinstance(alone, Simulation)
    facts = [alone.step(), alone.step()]
    assert [one.messages for one in facts] == [0, 0]
    assert alone.hostile == ()
    assert len(made.main().hostile) == 2


def test_without_ray_a_cluster_is_refused_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unavailable) as caught:
        cast(SMALL, Cut(engine="ray"))
    assert caught.value.remedy == "pip install 'babelmesh[ray]'"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto", "127.0.0.1:many", "127.0.0.1:99999"])
def test_where_no_cluster_is_nothing_is_waited_for(address: str) -> None:
    with pytest.raises(BadRequest, match="no Ray cluster at") as caught:
        cast(SMALL, Cut(engine="ray", address=address))
    assert "ray start" in caught.value.remedy


def test_a_flower_app_is_written_and_not_played() -> None:
    with pytest.raises(BadRequest) as caught:
        cast(SMALL, Cut(engine="flower"))
    assert "--out" in caught.value.remedy


def test_the_work_is_done_in_as_many_processes_as_wanted() -> None:
    assert isinstance(cast(SMALL, Cut(threads=1)).engine, Local)
    assert isinstance(cast(SMALL, Cut(threads=2)).engine, Forked if sys.platform == "linux" else Local)


def test_models_may_be_held_on_a_disk(tmp_path: Path) -> None:
    made = cast(SMALL, Cut(threads=1, disk=tmp_path / "models"))
    assert made.main().step().online == 4
    assert (tmp_path / "models").is_dir()


def test_speech_that_is_not_there_is_named_without_the_systems_words(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"There is no folder .*gone") as refused:
        cast(replace(SMALL, speech=tmp_path / "gone"), Cut())
    assert "--speech" in refused.value.remedy
    with pytest.raises(BadRequest, match=r"There is no manifest\.json in"):
        cast(replace(SMALL, speech=tmp_path), Cut())
