"""The token does everything, a session reads, a ticket is good once and for a short time."""

from __future__ import annotations

from node.api.keys import SESSIONS, TICKET_SECONDS, TICKETS, Keys, Right


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_token_allows_everything_and_nothing_else_does() -> None:
    keys = Keys(Clock())
    assert keys.right(keys.token) is Right.ALL
    for wrong in ("", keys.token[:-1], keys.token + "a", keys.token.swapcase(), "\udcff", "é"):
        assert keys.right(wrong) is Right.NONE
    assert Keys(Clock()).token != keys.token
    assert len(keys.token) >= 43


def test_a_ticket_is_good_once() -> None:
    keys = Keys(Clock())
    ticket = keys.ticket()
    session = keys.redeem(ticket)
    assert session is not None
    assert keys.right(session) is Right.READ
    assert keys.redeem(ticket) is None
    assert keys.right(ticket) is Right.NONE
    assert keys.redeem("nonsense") is None


def test_a_ticket_grows_old() -> None:
    clock = Clock()
    keys = Keys(clock)
    in_time, late = keys.ticket(), keys.ticket()
    clock.now += TICKET_SECONDS
    assert keys.redeem(in_time) is not None
    clock.now += 0.1
    assert keys.redeem(late) is None


def test_tickets_and_sessions_are_bounded_and_the_oldest_goes() -> None:
    keys = Keys(Clock())
    tickets = [keys.ticket() for _ in range(TICKETS + 1)]
    assert keys.redeem(tickets[0]) is None
    assert keys.redeem(tickets[1]) is not None
    sessions = [keys.redeem(keys.ticket()) or "" for _ in range(SESSIONS + 1)]
    assert keys.right(sessions[0]) is Right.NONE
    assert all(keys.right(session) is Right.READ for session in sessions[1:])
