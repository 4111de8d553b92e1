"""A request to stop waits where it has to, is never lost, and a second one waits for nothing."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

import pytest

from node.simulation.stop import Stop


def test_a_request_is_heard_at_once_where_nothing_is_lost() -> None:
    with pytest.raises(KeyboardInterrupt):
        Stop().ask()


def asked(stop: Stop, times: int, *, waits: bool = True) -> bool:
    """Whether what is held came to its end, although it was asked to stop."""
    done = False

    def work() -> None:
        nonlocal done
        with stop.held(waits):
            for _ in range(times):
                stop.ask()
            done = True

    with pytest.raises(KeyboardInterrupt):
        work()
    return done


def test_a_held_request_waits_for_the_end_and_says_so() -> None:
    said: list[str] = []
    assert asked(Stop(lambda: said.append("waiting")), 1)
    assert said == ["waiting"]


def test_a_second_request_is_not_held() -> None:
    assert not asked(Stop(), 2)


def test_a_request_that_was_lost_on_its_way_is_heard_at_the_end_of_the_round() -> None:
    stop = Stop()

    def work() -> None:
        with stop.held(False), suppress(KeyboardInterrupt):  # as Python does while a process forks
            stop.ask()

    with pytest.raises(KeyboardInterrupt):
        work()


def test_without_a_request_nothing_happens_and_errors_come_through() -> None:
    stop = Stop()
    with stop.held(True):
        pass
    with pytest.raises(LookupError), stop.held(True):
        raise LookupError


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signals_are_requests_and_are_given_back(name: str) -> None:
    number, told = getattr(signal, name), list[str]()
    stop = Stop(lambda: told.append(name))
    before = signal.getsignal(number)

    def work() -> None:
        with stop.listening(), stop.held(True):
            signal.raise_signal(number)
            told.append("done")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert told == [name, "done"]
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop().listening():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 7), ("SIGTERM", 128 + signal.SIGTERM)])
def test_a_worker_leaves_ctrl_c_to_its_parent_and_ends_when_told(name: str, code: int) -> None:
    with Stop().listening():
        child = os.fork()
        if not child:
            signal.raise_signal(getattr(signal, name))
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code


def test_in_another_thread_nothing_changes() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with Stop().listening():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
