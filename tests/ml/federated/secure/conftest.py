"""A whole secure sum in memory, with people lost at any step."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from ml.federated.secure.collector import Collector
from ml.federated.secure.messages import Keys, Masked, Revealed, Roster, Shares, Unmasking, from_bytes, to_bytes
from ml.federated.secure.participant import Group, Participant, usual_threshold
from ml.federated.secure.ring import Ring


def group_of(people: int, parameters: int = 20, limit: float = 1.0) -> Group:
    return Group(bytes(32), people, usual_threshold(people), parameters, Ring(limit, people))


def summed(
    group: Group, numbers: Mapping[int, np.ndarray], lost_at: Mapping[int, int] | None = None, seed: int = 0
) -> tuple[np.ndarray, tuple[int, ...]]:
    """The sum of numbers by place; `lost_at` says who says nothing from which step on. All messages travel as bytes."""
    lost_at = lost_at or {}

    def here(place: int, step: int) -> bool:
        return lost_at.get(place, 9) > step

    people = {place: Participant(group, place, random.Random(f"{seed} {place}").randbytes) for place in numbers}
    collector = Collector(group)
    said = {place: from_bytes(to_bytes(one.keys()), Keys) for place, one in people.items() if here(place, 1)}
    roster = from_bytes(to_bytes(collector.roster(said)), Roster)
    shares = {place: from_bytes(to_bytes(people[place].shares(roster)), Shares) for place in said if here(place, 2)}
    for place, received in collector.sealed(shares).items():
        if here(place, 3):
            message = people[place].masked(received, numbers[place])
            collector.add(place, from_bytes(to_bytes(message), Masked))
    asked = from_bytes(to_bytes(collector.unmasking()), Unmasking)
    answers = {
        place: from_bytes(to_bytes(people[place].revealed(asked)), Revealed)
        for place in asked.present
        if here(place, 4)
    }
    return collector.total(answers)


Summed = Callable[..., tuple[np.ndarray, tuple[int, ...]]]


@pytest.fixture(scope="session")
def make_group() -> Callable[..., Group]:
    return group_of


@pytest.fixture(scope="session")
def make_sum() -> Summed:
    return summed
