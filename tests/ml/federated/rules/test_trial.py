"""One's own held-out speech decides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ml.federated.method import Ground, Inbox
from ml.federated.rules.trial import Trial, tried

MakeInbox = Callable[..., tuple[np.ndarray, Inbox]]


def test_a_majority_of_bad_models_is_refused(ground: Ground, make_inbox: MakeInbox) -> None:
    own, inbox = make_inbox(5, hostile=4, forged=0.3)
    taken = Trial().take(ground, range(3), own, inbox)
    assert not taken.accepted[:, :4].any()
    assert taken.accepted[:, 4].all()
    assert np.allclose(taken.step, inbox.stack[:, 4] - own)


def test_a_crowd_of_only_bad_models_moves_nobody(ground: Ground, make_inbox: MakeInbox) -> None:
    own, inbox = make_inbox(4, hostile=4, forged=0.3)
    assert not Trial().take(ground, range(3), own, inbox).step.any()


def test_without_speech_of_ones_own_nothing_is_taken(ground: Ground, make_inbox: MakeInbox) -> None:
    own, inbox = make_inbox(3)
    taken = Trial().take(ground, [3, 0, 3], own, inbox)
    assert taken.accepted.any(axis=1).tolist() == [False, True, False]


def test_errors_are_those_of_the_receiver(ground: Ground, make_inbox: MakeInbox) -> None:
    own, inbox = make_inbox(2)
    inbox.present[1, 0] = False
    found = tried(ground, [2, 0, 1], own, inbox)
    assert np.isnan(found[1, 0])
    assert np.allclose(found[:, 1], ground.cohort.errors(inbox.stack[:, 1], [2, 0, 1]))
