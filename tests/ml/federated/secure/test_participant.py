"""One person gives what the protocol asks, once, and never both secrets of anybody."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import BadUpdate
from ml.federated.secure.collector import Collector
from ml.federated.secure.messages import Keys, Masked, Revealed, Roster, Unmasking
from ml.federated.secure.participant import Group, Participant, Step, as_numbers, usual_threshold
from ml.federated.secure.ring import Ring

MakeGroup = Callable[..., Group]


class Room:
    """Some people after they have split their secrets; `received` is what each got."""

    def __init__(self, group: Group, seed: str = "") -> None:
        places = range(1, group.people + 1)
        self.people = {one: Participant(group, one, random.Random(f"{seed}{one}").randbytes) for one in places}
        self.collector = Collector(group)
        self.roster = self.collector.roster({one: person.keys() for one, person in self.people.items()})
        self.shares = {one: person.shares(self.roster) for one, person in self.people.items()}
        self.received = self.collector.sealed(self.shares)

    def masked(self, place: int, numbers: np.ndarray) -> Masked:
        return self.people[place].masked(self.received[place], numbers)

    def all_masked(self, numbers: np.ndarray) -> dict[int, Masked]:
        return {place: self.masked(place, numbers) for place in self.people}


@pytest.fixture
def room(make_group: MakeGroup) -> Room:
    return Room(make_group(5))


ZEROS = np.zeros(20, np.float32)


def test_masked_numbers_look_uniform_and_say_nothing_of_the_person_or_the_pair(make_group: MakeGroup) -> None:
    """Chi-square on bytes, of one person's masked numbers and of the difference of two people's."""
    from scipy.stats import chi2

    room = Room(make_group(3, 20_000))
    said = {place: as_numbers(one, 20_000) for place, one in room.all_masked(np.zeros(20_000, np.float32)).items()}
    views = [*said.values(), *(a - b for a, b in itertools.combinations(said.values(), 2)), said[1] + said[2]]
    for view in views:
        counts = np.bincount(np.frombuffer(view.tobytes(), np.uint8), minlength=256)
        assert (np.square(counts - counts.mean()) / counts.mean()).sum() < chi2.isf(1e-6, 255)
    assert sum(said.values()).any()  # the sum is not open either before the own masks are given back


def test_the_same_number_under_other_seeds_is_another_message(make_group: MakeGroup) -> None:
    group = make_group(3)
    one, other = (Room(group, seed).masked(1, ZEROS).numbers for seed in "ab")
    assert one != other
    assert Room(group, "a").masked(1, ZEROS).numbers == one


def test_steps_come_in_their_order_and_once(room: Room) -> None:
    person = room.people[1]
    with pytest.raises(BadUpdate, match="keys said"):
        person.shares(room.roster)
    with pytest.raises(BadUpdate, match="step 'new'"):
        person.keys()
    with pytest.raises(BadUpdate, match="numbers said"):
        person.revealed(Unmasking((1, 2, 3, 4, 5), ()))
    room.masked(1, ZEROS)
    with pytest.raises(BadUpdate):
        room.masked(1, ZEROS)


PRESENT_AND_LOST = st.lists(st.integers(1, 6), max_size=7), st.lists(st.integers(1, 6), max_size=7)


@given(present=PRESENT_AND_LOST[0], lost=PRESENT_AND_LOST[1])
@settings(deadline=None, max_examples=60)
def test_nothing_that_is_asked_gives_both_secrets_of_one_person_or_to_too_few(
    make_group: MakeGroup, present: list[int], lost: list[int]
) -> None:
    """Whatever a dishonest collector asks, and then asks again."""
    room = Room(make_group(5))
    room.all_masked(ZEROS)
    given_own: set[int] = set()
    given_keys: set[int] = set()
    for asked in (Unmasking(tuple(present), tuple(lost)), Unmasking((1, 2, 3, 4), (5,)), Unmasking((1, 3, 4, 5), (2,))):
        try:
            answer = room.people[1].revealed(asked)
        except BadUpdate:
            continue
        given_own |= set(answer.own)
        given_keys |= set(answer.keys)
        assert len(asked.present) >= 4
    assert not given_own & given_keys


@pytest.mark.parametrize(
    ("present", "lost", "why"),
    [
        ((1, 2, 3, 4, 5), (5,), "both secrets"),
        ((1, 1, 2, 3, 4), (5,), "twice"),
        ((1, 2, 3), (4, 5), "only 3 are left, and 4"),
        ((2, 3, 4, 5), (1,), "not those whose shares"),
        ((1, 2, 3, 4), (), "not those whose shares"),
        ((1, 2, 3, 4, 6), (5,), "not those whose shares"),
    ],
)
def test_a_question_that_would_open_too_much_ends_it_for_ever(
    room: Room, present: tuple[int, ...], lost: tuple[int, ...], why: str
) -> None:
    room.all_masked(ZEROS)
    with pytest.raises(BadUpdate, match=why):
        room.people[1].revealed(Unmasking(present, lost))
    assert room.people[1].step is Step.DONE
    with pytest.raises(BadUpdate):
        room.people[1].revealed(Unmasking((1, 2, 3, 4, 5), ()))


def test_what_one_gives_is_what_was_asked_and_no_more(room: Room) -> None:
    room.all_masked(ZEROS)
    answer = room.people[2].revealed(Unmasking((1, 2, 3, 4), (5,)))
    assert isinstance(answer, Revealed)
    assert (set(answer.own), set(answer.keys)) == ({1, 2, 3, 4}, {5})


def replaced(keys: Keys, **changes: object) -> Keys:
    return msgspec.structs.replace(keys, **changes)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda keys: keys[:3], "too short"),
        (lambda keys: [*keys, keys[0]], "names somebody twice"),
        (lambda keys: [*keys[:4], replaced(keys[4], place=6)], "not in the group"),
        (lambda keys: [replaced(keys[0], masking=keys[0].sealing[::-1]), *keys[1:]], "own key"),
        (lambda keys: [*keys[:4], replaced(keys[4], sealing=keys[3].sealing)], "the same"),
        (lambda keys: [*keys[:4], replaced(keys[4], sealing=bytes(32))], "public key"),
    ],
)
def test_a_false_roster_is_refused(make_group: MakeGroup, change, why: str) -> None:
    people = [Participant(make_group(5), place) for place in range(1, 6)]
    keys = [person.keys() for person in people]
    with pytest.raises(BadUpdate, match=why):
        people[0].shares(Roster(tuple(change(keys))))


def test_shares_that_were_sealed_for_another_are_found_out(room: Room) -> None:
    room.received[1][2] = room.received[3][2]
    with pytest.raises(BadUpdate, match="person 2 were not sealed for this one"):
        room.masked(1, ZEROS)
    assert room.people[1].step is Step.DONE


def test_a_sealed_share_says_nothing_to_who_carries_it(room: Room) -> None:
    own = room.people[2]._own
    assert all(own not in sealed for sealed in room.shares[2].sealed.values())
    assert len(set(room.shares[2].sealed.values())) == 4


def test_too_few_or_strangers_before_the_sum_end_it(make_group: MakeGroup) -> None:
    few, strange = Room(make_group(5)), Room(make_group(5))
    few.received[1] = dict(itertools.islice(few.received[1].items(), 2))
    with pytest.raises(BadUpdate, match="too few"):
        few.masked(1, ZEROS)
    strange.received[1][9] = strange.received[1][2]
    with pytest.raises(BadUpdate, match="not on the roster"):
        strange.masked(1, ZEROS)


@pytest.mark.parametrize(
    ("people", "threshold", "session", "most"),
    [(2, 2, 32, 2), (257, 200, 32, 300), (6, 4, 32, 6), (5, 6, 32, 5), (5, 4, 31, 5), (5, 4, 32, 4)],
)
def test_there_is_no_such_group(people: int, threshold: int, session: int, most: int) -> None:
    with pytest.raises(ValueError, match=r"group|stay"):
        Group(bytes(session), people, threshold, 1, Ring(1.0, most))


def test_more_than_two_thirds_must_stay_so_nobody_can_ask_two_halves_differently() -> None:
    for people in range(3, 257):
        colluding = (people - 1) // 3
        assert 2 * usual_threshold(people) > people + colluding


def test_one_stands_in_the_group_and_gives_as_many_numbers_as_it_has(make_group: MakeGroup) -> None:
    with pytest.raises(ValueError, match="place 6"):
        Participant(make_group(5), 6)
    with pytest.raises(ValueError, match="not 20 numbers"):
        Room(make_group(5)).masked(1, np.zeros(19, np.float32))
    with pytest.raises(BadUpdate, match="not 20 numbers"):
        as_numbers(Masked(1, bytes(79)), 20)
