"""Forked processes as an engine: what they put into shared memory is there, and a dead one is told of."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest

from ml.errors import BadUpdate, EngineFailed
from ml.federated.shared import shared_array
from ml.federated.simulation.chunks import parts
from ml.federated.simulation.forked import Forked, can_fork
from ml.federated.simulation.work import Done, Turn
from tests.ml.federated.simulation.trying import simple

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")


def spoken(turn: Turn) -> Done:
    """Everybody publishes their number; a large array and a small one."""
    wide = 3_000_000 if 0 in turn.who else 5
    published = np.repeat(turn.who[:, None].astype(np.float32), wide, axis=1)
    return Done(turn.who, turn.who * 0, {"line": published[:, :2] + 1}, published, (), None)


def test_only_where_it_works_well() -> None:
    assert can_fork("cpu")
    assert not can_fork("cuda")


def test_what_is_kept_there_need_not_come_back_and_what_comes_back_is_in_order() -> None:
    line = shared_array((11, 2), np.float32)

    def keep(done: Done) -> Done:
        line[done.who] = done.state["line"]
        return replace(done, state={})

    engine = Forked(3)
    for _ in range(2):
        line[:] = 0
        came = list(engine.run(spoken, parts(np.arange(11), 2), simple, keep))  # type: ignore[arg-type]
        assert [one.who.tolist() for one in came] == [one.tolist() for one in parts(np.arange(11), 2)]
        for one in came:
            assert one.state == {}
            assert one.published.shape[0] == len(one.who)
            assert (one.published == one.who[:, None]).all()
        assert (line == np.arange(1, 12)[:, None]).all()
    assert engine.elsewhere > 0


def test_a_worker_that_was_ended_is_told_of_with_what_to_do() -> None:
    def work(turn: Turn) -> Done:
        if 4 in turn.who:
            os.kill(os.getpid(), signal.SIGKILL)
        return spoken(turn)

    with pytest.raises(EngineFailed, match=r"ended from outside \(code -9\)") as told:
        list(Forked(2).run(work, parts(np.arange(1, 9), 2), simple))  # type: ignore[arg-type]
    assert "--peers" in told.value.remedy


def test_a_sentence_keeps_its_remedy_on_the_way() -> None:
    def work(turn: Turn) -> Done:
        raise BadUpdate("It is no update.", "Ask for another.")

    with pytest.raises(BadUpdate, match="It is no update") as told:
        list(Forked(2).run(work, parts(np.arange(9), 2), simple))  # type: ignore[arg-type]
    assert told.value.remedy == "Ask for another."


def test_no_worker_outlives_a_round_that_is_given_up() -> None:
    """Neither when the round ends nor when nobody wants the rest of it."""
    engine = Forked(2)

    def work(turn: Turn) -> Done:
        return replace(spoken(turn), messages=np.array([os.getpid()]))

    running = engine.run(work, parts(np.arange(1, 9), 2), simple)  # type: ignore[arg-type]
    child = int(next(running).messages[0])
    os.kill(child, 0)
    running.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
