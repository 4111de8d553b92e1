"""The gate's counts."""

from __future__ import annotations

from p2p.tally import Tally


def test_a_tally_begins_at_nothing_and_is_its_own():
    one, other = Tally(), Tally()
    one.answered["hello", "welcome"] += 1
    one.strikes["bad-message"] += 1
    assert (other.answered.total(), other.strikes.total(), other.faults, other.bytes_in) == (0, 0, 0, 0)
    assert one.answered["never", "seen"] == 0
