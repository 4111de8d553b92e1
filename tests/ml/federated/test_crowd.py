"""A crowd that is made when needed gives the same rows as people who are all there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ml.audio.logmel import LogMel
from ml.federated.cohort import Cohort, CohortOptions
from ml.federated.crowd import PARTS, Counts, Crowd, Part, Person, Unparted, rows_of
from ml.voice.genesis import genesis
from ml.voice.training import Split, TrainOptions


class Some:
    """Four people with noise for speech, each with more than the one before, the last with nothing held out."""

    def __init__(self) -> None:
        self.made = 0

    def __len__(self) -> int:
        return 4

    def __getitem__(self, at: int) -> Person:
        train, held_out, test = (tuple(self.utterances(part, at)) for part in PARTS)
        return Person(f"person {at}", "noise", Split(train, held_out), test)

    def lengths(self, part: Part) -> Counts:
        return np.array([[len(one) for one in self.utterances(part, at)] for at in range(4)], np.int64)

    def utterances(self, part: Part, at: int) -> Sequence[LogMel]:
        self.made += 1
        number = PARTS.index(part)
        rng = np.random.default_rng([at, number])
        sizes = [0, 0] if part == "held_out" and at == 3 else [5 + at, 70 + 30 * at]
        return [rng.normal(-5.8, 2.2, (size, 80)).astype(np.float32) for size in sizes]


class Told(Some):
    """Says less than it gives."""

    def lengths(self, part: Part) -> Counts:
        return super().lengths(part) // 2


def test_people_and_crowds_are_told_apart() -> None:
    assert isinstance(Some(), Crowd)
    assert not isinstance([Some()[0]], Crowd)


def test_rows_are_the_same_whenever_they_are_made() -> None:
    crowd, body = Some(), genesis().autoencoder
    held, made = rows_of([crowd[at] for at in range(4)], body, "cpu"), rows_of(crowd, body, "cpu")
    for part in PARTS:
        assert held.counts[part].tolist() == made.counts[part].tolist()
    wanted: list[tuple[Part, int]] = [("test", 2), ("train", 0), ("test", 2), ("held_out", 1)]
    (one, begins), (other, others) = held.gather(wanted), made.gather(wanted)
    assert not one[0].any()
    assert not other[0].any()
    for (part, at), begin, place in zip(wanted, begins, others, strict=True):
        count = int(held.counts[part][at])
        spoken = np.concatenate([body.rows(utterance) for utterance in crowd.utterances(part, at)])
        assert np.array_equal(one[begin : begin + count].numpy(), spoken)
        assert np.array_equal(other[place : place + count].numpy(), spoken)
    assert others[0] == others[2]


def test_a_crowd_with_nothing_held_out_trains_on_all_of_it() -> None:
    crowd, entire = Some(), Unparted(Some())
    assert isinstance(entire, Crowd)
    for at in range(len(entire)):
        one = crowd[at].speech
        spoken = [len(part) for part in (*one.train, *one.held_out)]
        assert [len(part) for part in entire.utterances("train", at)] == spoken
        assert sum(map(len, entire[at].speech.train)) == sum(spoken) == entire.lengths("train")[at].sum()
        assert not entire.utterances("held_out", at)
        assert len(entire.utterances("test", at)) == 2
    assert not entire.lengths("held_out").any()
    together = Cohort(genesis().autoencoder, crowd)
    apart = Cohort(genesis().autoencoder, [crowd[at] for at in range(4)])
    start = together.stack(genesis().weights)
    options = TrainOptions(epochs=1)
    one, other = (some.whole.train(start, range(4), options).last for some in (together, apart))
    assert np.array_equal(one, other)


def test_a_cohort_of_a_crowd_learns_what_people_learn() -> None:
    crowd = Some()
    made = Cohort(genesis().autoencoder, crowd, CohortOptions(chunk=2))
    held = Cohort(genesis().autoencoder, [crowd[at] for at in range(4)], CohortOptions(chunk=3))
    assert len(made) == 4
    start = made.stack(genesis().weights)
    one, other = (some.train(start, range(4), TrainOptions(epochs=1)) for some in (made, held))
    assert np.array_equal(one.last, other.last)
    assert np.array_equal(one.error, other.error)
    some, same = (cohort.errors(one.last, [3, 0, 3], "held_out") for cohort in (made, held))
    assert np.array_equal(some, same, equal_nan=True)
    assert np.isnan(some[[0, 2]]).all()


def test_only_what_is_wanted_is_made() -> None:
    crowd = Some()
    cohort = Cohort(genesis().autoencoder, crowd)
    crowd.made = 0
    cohort.errors(cohort.stack(genesis().weights, 3), [1, 1, 1], "test")
    assert crowd.made == 1


def test_a_crowd_keeps_its_word() -> None:
    cohort = Cohort(genesis().autoencoder, Told())
    with pytest.raises(ValueError, match="other amounts"):
        cohort.errors(cohort.stack(genesis().weights), range(4), "test")


def test_what_was_made_is_kept_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each of the first people both parts; of the others nothing that is not recent."""
    crowd = Some()
    monkeypatch.setattr("ml.federated.crowd.RECENT", 0)
    wanted: list[tuple[Part, int]] = [("train", 0), ("held_out", 0), ("train", 1), ("train", 2)]
    first = (1 + 75 + 75) * 80 * 4
    for room, made_again in ((first - 1, 4), (first, 2), (10**9, 0)):
        rows = rows_of(crowd, genesis().autoencoder, "cpu", room)
        one, begins = rows.gather(wanted)
        crowd.made = 0
        other, others = rows.gather(wanted)
        assert crowd.made == made_again
        for (part, at), begin, again in zip(wanted, begins, others, strict=True):
            count = int(rows.counts[part][at])
            assert np.array_equal(one[begin : begin + count].numpy(), other[again : again + count].numpy())
            assert one[begin : begin + count].any()


def test_whom_a_round_comes_back_to_is_made_once() -> None:
    crowd = Some()
    rows = rows_of(crowd, genesis().autoencoder, "cpu", 0)
    crowd.made = 0
    for _ in range(3):
        rows.gather([("train", 0), ("test", 2)])
        rows.whole().gather([("train", 0), ("train", 3)])
    assert crowd.made == 5  # three parts of training speech, one held out, one to test; of person 3 nothing is held out


def test_with_nothing_held_out_the_same_memory_is_read() -> None:
    crowd = Some()
    for people in (crowd, [crowd[at] for at in range(4)]):
        rows = rows_of(people, genesis().autoencoder, "cpu")
        whole = rows.whole()
        (one, begins), (other, others) = rows.gather([("train", 1), ("held_out", 1)]), whole.gather([("train", 1)])
        assert one.data_ptr() == other.data_ptr()
        assert begins[0] == others[0]
        assert begins[1] == begins[0] + rows.counts["train"][1]
        assert whole.counts["train"][1] == rows.counts["train"][1] + rows.counts["held_out"][1]
        assert not whole.counts["held_out"].any()
