"""What the API asks of a node, the running node gives, and the fake of the tests has the same shape."""

from __future__ import annotations

import inspect

import pytest

from node.api.service import RunningNode
from node.running import Running
from tests.fakes import FakeMesh

ASKED = sorted(name for name in vars(RunningNode) if not name.startswith("_") and name != "events")


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("body", [Running, FakeMesh])
def test_every_body_can_be_asked_the_same(body: type, name: str) -> None:
    wanted, given = getattr(RunningNode, name), getattr(body, name)
    assert list(inspect.signature(given).parameters) == list(inspect.signature(wanted).parameters)
    assert inspect.iscoroutinefunction(given) == inspect.iscoroutinefunction(wanted)
