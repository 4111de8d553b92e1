"""Every name that the settings take has a way, and says the same name."""

from __future__ import annotations

import pytest

from node.config import USUAL, TrainSettings
from node.methods.mix import Mix
from node.methods.shared_prior import SharedPrior
from node.methods.table import WAYS, way_of


@pytest.mark.parametrize("name", WAYS)
def test_every_way_is_called_what_it_is(name: str) -> None:
    assert way_of(TrainSettings(method=name)).name == name
    assert name in USUAL


def test_the_settings_are_handed_on() -> None:
    mix = way_of(TrainSettings(method="mix", alpha=0.4, control=False))
    assert isinstance(mix, Mix)
    assert (mix.merging.options.alpha, mix.merging.options.average, mix.control) == (0.4, False, False)
    prior = way_of(TrainSettings(control=False))
    assert isinstance(prior, SharedPrior)
    assert (prior.merging.options.average, prior.control) == (True, False)


def test_epochs_and_pull_follow_the_method_unless_they_are_said() -> None:
    assert [(one.epochs_in_force, one.pull_in_force) for one in (TrainSettings(), TrainSettings(method="mix"))] == [
        (1, 1.0),
        (5, 25.0),
    ]
    said = TrainSettings(epochs=3, pull=0.0)
    assert (said.epochs_in_force, said.pull_in_force) == (3, 0.0)


def test_an_alpha_that_is_to_be_learnt() -> None:
    mix = way_of(TrainSettings(method="mix", alpha="auto"))
    assert isinstance(mix, Mix)
    assert mix.learning is not None
    assert way_of(TrainSettings(method="mix", alpha=0.9)).learning is None
