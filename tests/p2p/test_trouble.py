"""What is said of a peer that is not connected."""

import pytest

from p2p.errors import BadMessage, P2pError, RefusedByPeer, TimedOut, Unreachable
from p2p.trouble import OTHER_MODEL, REFUSALS, brief, worse_told
from p2p.wire import CODES


@pytest.mark.parametrize(
    ("error", "linked", "words"),
    [
        (Unreachable("/ip4/1.2.3.4/tcp/1 does not answer: connection refused.", "", "connection refused"), False, None),
        (Unreachable("Something.", "", ""), False, "not reachable"),
        (Unreachable("The link has ended."), True, "blocked us or is gone"),
        (TimedOut("Later."), False, "no answer in time"),
        (BadMessage("Noise."), True, "its answer is no message"),
    ],
)
def test_a_cause_in_few_words(error: P2pError, linked: bool, words: str | None) -> None:
    assert brief(error, linked) == (words or "connection refused")


def test_refusals_are_told_by_code_and_never_in_the_peer_s_own_words() -> None:
    assert set(REFUSALS) <= set(CODES)
    for code, words in [("not-trusted", "waits for their yes"), ("\x1b[31m", "it refused")]:
        refusal = RefusedByPeer("Its own words.")
        refusal.code = code
        assert brief(refusal, linked=True) == words


def test_what_a_hello_said_of_the_model_is_kept_when_a_refusal_says_less() -> None:
    assert worse_told(OTHER_MODEL + "b4h80", REFUSALS["other-ground"])
    assert not worse_told(OTHER_MODEL + "b4h80", OTHER_MODEL + "res64")
    assert not worse_told(OTHER_MODEL + "b4h80", "no answer in time")
    assert not worse_told("", REFUSALS["other-ground"])
