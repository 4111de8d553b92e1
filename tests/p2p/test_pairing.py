"""Pairing: the right code pairs, once, in time, with that peer; everything else does not."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.errors import PairingFailed
from p2p.pairing import LIFETIME, PROOF_WAIT, Invitation, Joining, Stage, link, new_code, read_code, read_link
from p2p.wire import PairAnswer, Paired, PairProof, PairStart, Refused, decode, encode

CODE = "12345671"
AT = "/ip4/192.0.2.7/tcp/4710/p2p/12D3KooWFHMRgNkKtTnC69nTxmBwKAsJzvxdi8NbmGuJYNXgFt84"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def ends(code: str = "", joined: str = "") -> tuple[Invitation, Joining, Clock]:
    """Alice shows, Bob joins."""
    clock = Clock()
    shown = Invitation("alice", "Alice", clock, code)
    return shown, Joining(joined or shown.code, "bob", "Bob", "alice"), clock


def code_of(answer: object) -> str:
    assert isinstance(answer, Refused), answer
    return answer.code


def test_the_same_code_on_both_sides_pairs():
    shown, joining, _ = ends()
    answer = shown.answer("bob", decode(encode(joining.start)))
    assert isinstance(answer, PairAnswer)
    assert shown.paired is None
    proof = joining.prove(decode(encode(answer)))
    assert shown.answer("bob", decode(encode(proof))) == Paired()
    assert shown.paired == ("bob", "Bob")
    assert answer.name == "Alice"


def test_messages_that_come_twice_get_the_same_answer():
    """The answer to the first one may have got lost; a repetition teaches nothing new."""
    shown, joining, _ = ends()
    first = shown.answer("bob", joining.start)
    assert shown.answer("bob", joining.start) == first
    proof = joining.prove(first)
    assert [shown.answer("bob", proof) for _ in range(2)] == [Paired(), Paired()]


def test_a_wrong_code_is_known_to_the_asker_and_uses_the_code_up():
    shown, joining, _ = ends(CODE, joined="12345683")
    assert read_code("12345683") == "12345683"
    answer = shown.answer("bob", joining.start)
    with pytest.raises(PairingFailed, match="not the one"):
        joining.prove(answer)
    again = Joining(CODE, "bob", "Bob", "alice")
    assert code_of(shown.answer("bob", again.start)) == "no-code"
    assert shown.seconds_left == 0
    assert shown.paired is None


def test_a_wrong_proof_ends_it():
    shown, joining, _ = ends()
    right = joining.prove(shown.answer("bob", joining.start))
    assert code_of(shown.answer("bob", PairProof(proof=bytes(32)))) == "wrong-code"
    assert code_of(shown.answer("bob", right)) == "no-code"
    assert shown.paired is None


def test_nobody_else_can_go_on_with_a_pairing():
    shown, joining, _ = ends()
    proof = joining.prove(shown.answer("bob", joining.start))
    assert code_of(shown.answer("mallory", proof)) == "no-code"
    assert code_of(shown.answer("mallory", joining.start)) == "no-code"
    assert shown.answer("bob", proof) == Paired()


def test_a_proof_without_a_start_is_refused():
    shown, _, _ = ends()
    assert code_of(shown.answer("bob", PairProof(proof=bytes(32)))) == "no-code"
    assert shown.seconds_left == LIFETIME


def test_a_code_grows_too_old_before_and_in_the_middle():
    shown, joining, clock = ends()
    clock.now += LIFETIME - 1
    answer = shown.answer("bob", joining.start)
    clock.now += 1
    assert code_of(shown.answer("bob", joining.prove(answer))) == "no-code"
    late, joining, clock = ends()
    clock.now += LIFETIME
    assert code_of(late.answer("bob", joining.start)) == "no-code"


def test_both_peer_ids_are_bound_a_man_in_the_middle_with_the_messages_gets_nowhere():
    """Mallory carries Bob's messages to Alice over links of his own: the ids differ, so do the keys."""
    shown, joining, _ = ends()
    answer = shown.answer("mallory", joining.start)
    with pytest.raises(PairingFailed):
        joining.prove(answer)
    other = Joining(shown.code, "bob", "Bob", "mallory")
    shown, _, _ = ends(shown.code)
    with pytest.raises(PairingFailed):
        other.prove(shown.answer("bob", other.start))


def test_names_are_bound_too():
    shown, joining, _ = ends()
    answer = shown.answer("bob", joining.start)
    with pytest.raises(PairingFailed):
        joining.prove(msgspec.structs.replace(answer, name="Alicia"))


@pytest.mark.parametrize(
    "half",
    [
        pytest.param(b"A" + bytes(32), id="the element zero"),
        pytest.param(b"A\x01" + bytes(31), id="the neutral element"),
        pytest.param(b"A" + b"\xff" * 32, id="no point"),
        pytest.param(b"S" + bytes(32), id="a side that is none"),
    ],
)
def test_a_half_that_is_no_element_of_the_group_is_refused_by_either_side(half):
    shown, joining, _ = ends()
    assert code_of(shown.answer("bob", PairStart(spake=half, name="Bob"))) == "bad-message"
    with pytest.raises(PairingFailed, match="no such thing"):
        joining.prove(PairAnswer(spake=b"B" + half[1:], proof=bytes(32), name="Alice"))


@pytest.mark.parametrize("side", [b"A", b"B"])
def test_ones_own_half_is_not_an_answer(side):
    _, joining, _ = ends()
    with pytest.raises(PairingFailed, match="no such thing"):
        joining.prove(PairAnswer(spake=side + joining.start.spake[1:], proof=bytes(32), name="Bob"))


@given(st.integers(0, 10**7 - 1), st.integers(0, 7), st.integers(1, 9))
@settings(max_examples=50)
def test_a_slip_of_the_finger_costs_no_try(number, place, by):
    digits = f"{number:07d}"
    code = next(digits + last for last in "0123456789" if is_code(digits + last))
    wrong = code[:place] + str((int(code[place]) + by) % 10) + code[place + 1 :]
    assert not is_code(wrong)
    for at in range(7):
        swapped = code[:at] + code[at + 1] + code[at] + code[at + 2 :]
        assert swapped == code or not is_code(swapped)


def is_code(text: str) -> bool:
    try:
        return read_code(text) == text
    except PairingFailed:
        return False


def test_codes_are_all_different_ways_to_say_one_of_ten_million():
    codes = {new_code() for _ in range(300)}
    assert len(codes) > 295
    assert all(is_code(code) for code in codes)
    assert all(len({code[place] for code in codes}) == 10 for place in range(8))
    assert sum(is_code(f"1234{n:04d}") for n in range(10_000)) == 1000


@pytest.mark.parametrize("typed", ["12345671", "1234 5671", " 1234-5671\n", "12.34.56.71"])
def test_a_code_is_read_as_people_type_it(typed):
    assert read_code(typed) == CODE


@pytest.mark.parametrize("typed", ["", "1234567", "123456714", "1234567a", "١٢٣٤٥٦٧٤", "²2345674"])
def test_what_is_no_code_says_so(typed):
    with pytest.raises(PairingFailed, match="8 digits"):
        read_code(typed)


@given(st.lists(st.text(min_size=1, max_size=30), max_size=4))
def test_a_link_holds_code_and_addresses(addresses):
    text = link(CODE, addresses)
    if len(text) <= 2048:
        assert read_link(text) == (CODE, tuple(addresses))


def test_a_link_fits_a_qr_code_and_needs_no_quotes():
    text = link(CODE, [AT, AT])
    assert len(text) < 250
    assert not set(text) & set(" '\"<>|\\")
    assert read_link(CODE) == (CODE, ())


@pytest.mark.parametrize(
    "rest",
    ["", "code=1", "at=x", f"code={CODE}&code={CODE}", f"code={CODE}&at", f"code={CODE}" + "&at=x" * 9, "&&", "="],
)
def test_any_other_link_is_refused_in_words(rest):
    with pytest.raises(PairingFailed):
        read_link("babelmesh:pair?" + rest)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text):
    with pytest.raises(PairingFailed):
        read_link("babelmesh:pair?" + text.replace("code", ""))


def test_a_link_longer_than_any_is_refused():
    with pytest.raises(PairingFailed):
        read_link(link(CODE, [AT]) + "&at=" + "x" * 3000)


def test_every_code_gives_another_key():
    proofs = set()
    for code in itertools.islice((c for c in (f"{n:08d}" for n in range(1000)) if is_code(c)), 5):
        shown, joining, _ = ends(code)
        proofs.add(joining.prove(shown.answer("bob", joining.start)).proof)
    assert len(proofs) == 5


def test_what_becomes_of_a_code_is_known_to_who_shows_it():
    shown, joining, _ = ends()
    assert shown.stage is Stage.WAITING
    proof = joining.prove(shown.answer("bob", joining.start))
    assert shown.stage is Stage.WAITING
    assert shown.answer("bob", proof) == Paired()
    assert shown.stage is Stage.PAIRED
    guessed, wrong, _ = ends()
    guessed.answer("bob", wrong.start)
    guessed.answer("bob", PairProof(proof=bytes(32)))
    assert guessed.stage is Stage.SPENT
    old, _, clock = ends()
    clock.now += LIFETIME
    assert old.stage is Stage.EXPIRED


def test_a_try_without_a_proof_was_wrong_and_a_proof_that_comes_later_is_not_taken():
    shown, joining, clock = ends()
    proof = joining.prove(shown.answer("bob", joining.start))
    clock.now += PROOF_WAIT
    assert shown.stage is Stage.SPENT
    assert code_of(shown.answer("bob", proof)) == "no-code"
    assert shown.paired is None
