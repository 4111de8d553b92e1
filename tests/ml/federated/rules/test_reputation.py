"""Who was refused is not heard for a while, and is forgiven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ml.federated.gated import Gated
from ml.federated.method import Ground, Inbox, Taken
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


class Scales:
    """A rule that takes everything, says what merit it was told to see, and notes how far whom was trusted."""

    name = "scales"

    def __init__(self) -> None:
        self.merit = 1.0
        self.trust: list[float] = []

    def take(self, ground: Ground, who: object, own: np.ndarray, inbox: Inbox) -> Taken:
        assert inbox.trust is not None
        self.trust.append(float(inbox.trust[0, 0]) if inbox.present[0, 0] else 0.0)
        merit = np.where(np.arange(inbox.present.shape[1]) == 0, self.merit, 1.0) * np.ones(inbox.present.shape)
        return Taken(np.zeros_like(own), inbox.present, merit)


def test_whoever_does_badly_weighs_less_every_round_and_recovers_slowly(ground: Ground, make_inbox: MakeInbox) -> None:
    scales = Scales()
    rule = Reputation(scales, least=0.0)
    own, inbox = make_inbox(2)
    memory = rule.begin(3)
    for number in range(12):
        scales.merit = 0.2 if number < 6 else 1.0
        _, memory = rule.remember(ground, range(3), own, inbox, memory)
    fell, rose = scales.trust[:7], scales.trust[6:]
    assert fell[0] == 0.5, "who is not known is neither trusted nor not"
    assert all(later < before for before, later in pairwise(fell))
    assert all(later > before for before, later in pairwise(rose))
    assert rose[1] < 0.5, "one good model does not bring back a name that was lost over rounds"
    assert rose[-1] < 0.75, "and it is still short of one that was always good"


def test_trust_weighs_in_the_gates_mean(ground: Ground, make_inbox: MakeInbox) -> None:
    own, inbox = make_inbox(2)
    alike = Gated().take(ground, range(3), own, replace(inbox, stack=inbox.stack.copy()))
    trust = np.tile([[0.2, 0.8]], (3, 1))
    told = Gated().take(ground, range(3), own, replace(inbox, stack=inbox.stack.copy(), trust=trust))
    assert alike.accepted.all()
    assert told.accepted.all()
    ways = [inbox.stack[:, at] - own for at in range(2)]
    lengths = [np.linalg.norm(way, axis=1) for way in ways]
    reach = np.maximum(0.5, np.linalg.norm(own - ground.genesis, axis=1))
    short = [way * np.minimum(1, reach / length)[:, None] for way, length in zip(ways, lengths, strict=True)]
    assert np.allclose(told.step, 0.2 * short[0] + 0.8 * short[1], atol=1e-5)
    assert np.allclose(alike.step, 0.5 * short[0] + 0.5 * short[1], atol=1e-5)


def test_the_gate_says_how_well_each_did(ground: Ground, make_inbox: MakeInbox) -> None:
    own, inbox = make_inbox(3, hostile=1, forged=0.5)
    inbox.stack[:, 1] = own
    merit = Gated().take(ground, range(3), own, inbox).merit
    assert merit is not None
    assert (merit[:, 0] == 0).all(), "refused"
    assert np.allclose(merit[:, 1], 1.0), "as good as one's own"
    assert ((merit[:, 2] > 0) & (merit[:, 2] <= 1)).all()


def test_a_liar_just_inside_the_gate_loses_its_part_over_rounds(ground: Ground, make_inbox: MakeInbox) -> None:
    """Whom the gate lets through every time: the gate alone would give it a third for ever."""
    rule = Reputation(Gated(), least=0.45)
    own, inbox = make_inbox(3)
    away = np.random.default_rng(5).normal(0, 1, own.shape[1]).astype(np.float32)
    for person in range(3):  # as far as the gate lets through, but a little
        own_error = ground.cohort.errors(own[person : person + 1], [person])[0]
        scale = 1e-3
        while ground.cohort.errors((own[person] + np.float32(1.1 * scale) * away)[None], [person])[0] < 1.9 * own_error:
            scale *= 1.1
        inbox.stack[person, 0] = own[person] + np.float32(scale) * away
    memory, heard = rule.begin(3), []
    for _ in range(6):
        came = replace(inbox, stack=inbox.stack.copy())
        taken, memory = rule.remember(ground, range(3), own, came, memory)
        heard.append(taken.accepted)
    assert heard[0].all(), "the gate lets it through"
    assert not any(round_[:, 0].any() for round_ in heard[1:]), "and it is not heard again so soon"
    assert all(round_[:, 1:].all() for round_ in heard)
