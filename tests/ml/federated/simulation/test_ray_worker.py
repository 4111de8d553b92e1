"""A worker refuses to compute other numbers than the simulation's own process would."""

from __future__ import annotations

import sys

import pytest

from ml.errors import EngineFailed, Unavailable
from ml.federated.simulation.ray_worker import Worker, kind, load_ray


def test_a_machine_of_another_kind_says_what_is_other() -> None:
    Worker(kind()).check()
    other = kind()._replace(torch="1.0", vectors="none")
    with pytest.raises(EngineFailed, match=r"torch .*, not 1\.0; vectors .*, not none") as caught:
        Worker(other).check()
    assert caught.value.remedy


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unavailable, match="Ray is not installed") as caught:
        load_ray()
    assert caught.value.remedy == "pip install 'babelmesh[ray]'"
