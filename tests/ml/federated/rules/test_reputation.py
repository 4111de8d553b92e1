"""Who was refused is not heard for a while, and is forgiven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ml.federated.method import Ground, Inbox
from ml.federated.rules.reputation import Remembering, Reputation
from ml.federated.rules.trial import Trial

MakeInbox = Callable[..., tuple[np.ndarray, Inbox]]


def test_a_liar_who_turns_honest_waits_and_is_heard_again(ground: Ground, make_inbox: MakeInbox) -> None:
    rule = Reputation(Trial())
    assert isinstance(rule, Remembering)
    memory = rule.begin(3)
    heard = []
    for number in range(12):
        own, inbox = make_inbox(2, hostile=int(number == 0), forged=0.5)
        taken, memory = rule.remember(ground, range(3), own, inbox, memory)
        assert taken.accepted[:, 1].all(), "the honest one is always heard"
        heard.append(bool(taken.accepted[0, 0]))
    assert not any(heard[:4])
    assert all(heard[8:])


def test_an_honest_sender_is_refused_once_without_being_shut_out(ground: Ground, make_inbox: MakeInbox) -> None:
    rule, memory = Reputation(Trial()), Reputation(Trial()).begin(3)
    for number in range(5):
        own, inbox = make_inbox(1, hostile=int(number == 3), forged=0.5)
        taken, memory = rule.remember(ground, range(3), own, inbox, memory)
        assert taken.accepted.all() == (number != 3)


def test_the_longest_unheard_sender_makes_room(ground: Ground, make_inbox: MakeInbox) -> None:
    rule = Reputation(Trial(), slots=2)
    memory = rule.begin(3)
    for sender in (10, 11, 12):
        own, inbox = make_inbox(1)
        _, memory = rule.remember(ground, range(3), own, replace(inbox, sender=np.full((3, 1), sender)), memory)
    assert sorted(memory["known"][0].tolist()) == [11, 12]


def test_the_memory_that_was_given_stays_as_it_was(ground: Ground, make_inbox: MakeInbox) -> None:
    rule = Reputation(Trial())
    before = rule.begin(3)
    own, inbox = make_inbox(2)
    rule.remember(ground, range(3), own, inbox, before)
    assert all(np.array_equal(before[name], value) for name, value in rule.begin(3).items())
