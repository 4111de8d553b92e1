"""Decoders are shared, bounded, and never lent twice at once."""

from __future__ import annotations

import threading
import time

import pytest

from ml.engines.protocols import AsrOptions
from ml.engines.sphinx_pool import DecoderPool
from ml.errors import BadText, EngineFailed

LIVE, FILE = AsrOptions(live=True), AsrOptions()


class Built:
    def __init__(self, options: AsrOptions) -> None:
        self.options = options


def test_a_returned_decoder_is_lent_again_to_the_same_options_only() -> None:
    pool = DecoderPool(Built, 4)
    first = pool.lend(LIVE, wait=False)
    pool.end_loan(LIVE, first)
    assert pool.lend(FILE, wait=False) is not first
    assert pool.lend(LIVE, wait=False) is first
    assert pool.lend(LIVE, wait=False) is not first


def test_the_longest_unused_decoder_makes_room() -> None:
    pool = DecoderPool(Built, 2)
    old, new = pool.lend(LIVE, wait=False), pool.lend(FILE, wait=False)
    pool.end_loan(LIVE, old)
    pool.end_loan(FILE, new)
    pool.lend(AsrOptions(notes="hello"), wait=False)
    assert pool.lend(FILE, wait=False) is new


def test_when_all_are_lent_a_live_utterance_is_told_and_a_file_waits() -> None:
    pool = DecoderPool(Built, 1)
    lent = pool.lend(FILE, wait=False)
    with pytest.raises(EngineFailed, match="1 utterances at a time"):
        pool.lend(LIVE, wait=False)
    got: list[Built] = []
    waiter = threading.Thread(target=lambda: got.append(pool.lend(FILE, wait=True)))
    waiter.start()
    time.sleep(0.05)
    assert not got
    pool.end_loan(FILE, lent)
    waiter.join(5)
    assert got == [lent]


def test_a_decoder_that_cannot_be_built_takes_no_place() -> None:
    def build(options: AsrOptions) -> Built:
        if options.notes:
            raise BadText("The notes are bad.", "Mend them.")
        return Built(options)

    pool = DecoderPool(build, 1)
    with pytest.raises(BadText):
        pool.lend(AsrOptions(notes="x"), wait=False)
    pool.lend(LIVE, wait=False)
    pool.end_loan(LIVE, None)
    assert pool.lend(FILE, wait=False)


def test_many_threads_never_hold_more_than_the_bound_nor_the_same_one() -> None:
    pool = DecoderPool(Built, 3)
    held: set[int] = set()
    most: list[int] = []
    guard = threading.Lock()

    def work(number: int) -> None:
        options = (LIVE, FILE)[number % 2]
        for _ in range(20):
            decoder = pool.lend(options, wait=True)
            with guard:
                assert id(decoder) not in held
                held.add(id(decoder))
                most.append(len(held))
            with guard:
                held.discard(id(decoder))
            pool.end_loan(options, decoder)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(most) == 120
    assert max(most) <= 3


def test_a_closed_pool_lends_nothing_and_wakes_who_waits() -> None:
    pool = DecoderPool(Built, 1)
    lent = pool.lend(LIVE, wait=False)
    errors: list[EngineFailed] = []

    def wait() -> None:
        try:
            pool.lend(FILE, wait=True)
        except EngineFailed as error:
            errors.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    pool.close()
    pool.close()
    waiter.join(5)
    assert "closed" in errors[0].sentence
    pool.end_loan(LIVE, lent)
    with pytest.raises(EngineFailed):
        pool.lend(LIVE, wait=False)
