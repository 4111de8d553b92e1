"""The codec: what is sent comes back, and whatever else comes is one kind of error."""

from __future__ import annotations

import tracemalloc

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.errors import BadMessage
from p2p.transport import MAX_BODY
from p2p.wire import (
    ANSWERS,
    CODES,
    FITTING,
    PIECE,
    REQUESTS,
    Done,
    Hello,
    Paired,
    Piece,
    Refused,
    Want,
    decode,
    decode_answer,
    decode_request,
    encode,
    kind,
    signed_bytes,
)
from tests.p2p.strategies import answers, hashes, messages, offers, pieces, requests

DONE = {"t": "done", "v": 1, "update": bytes(32)}


@given(messages)
def test_what_is_sent_comes_back(message):
    assert decode(encode(message)) == message


@given(messages)
def test_a_body_is_plain_msgpack_of_the_fields(message):
    body = msgpack.unpackb(encode(message))
    assert body.pop("t") == kind(message)
    assert body == msgspec.structs.asdict(message)


@given(st.binary(max_size=300) | messages.map(encode), st.data())
def test_whatever_comes_is_a_message_or_one_kind_of_error(body, data):
    mutated = bytearray(body)
    for _ in range(data.draw(st.integers(0, 4))):
        if mutated:
            mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    wrong = None
    try:
        message = decode(bytes(mutated))
    except BadMessage as error:
        wrong = error
    if wrong is not None:
        assert wrong.code in CODES
        assert wrong.sentence.isprintable()
    else:
        assert isinstance(message, REQUESTS + ANSWERS)
        assert decode(encode(message)) == message


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=40) | hashes,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(messages, st.data())
@settings(max_examples=300)
def test_a_field_of_another_type_or_beyond_its_bounds_is_refused(message, data):
    fields = msgpack.unpackb(encode(message))
    key = data.draw(st.sampled_from(sorted(fields)))
    fields[key] = data.draw(values)
    try:
        decoded = decode(msgpack.packb(fields))
    except BadMessage:
        return
    assert decode(encode(decoded)) == decoded  # the new value happened to be a good one


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(DONE | {"more": 1}, id="a field that is not known"),
        pytest.param({"t": "done", "v": 1}, id="a field that is missing"),
        pytest.param({"t": "done", "update": bytes(32)}, id="no version"),
        pytest.param({"v": 1, "update": bytes(32)}, id="no kind"),
        pytest.param(DONE | {"t": "nonsense"}, id="a kind that is not known"),
        pytest.param(DONE | {"t": 1}, id="a kind that is no text"),
        pytest.param(DONE | {"update": bytes(31)}, id="a hash that is too short"),
        pytest.param(DONE | {"update": "a" * 32}, id="text for a hash"),
        pytest.param(DONE | {"v": 1.0}, id="a version that is no integer"),
        pytest.param(DONE | {"v": True}, id="a version that is a boolean"),
        pytest.param({"t": "refused", "v": 1, "code": "Budget"}, id="a code with capitals"),
        pytest.param({"t": "refused", "v": 1, "code": "a\n"}, id="a code with a line end"),
        pytest.param({"t": "refused", "v": 1, "code": "a", "retry_after": float("nan")}, id="not a number"),
        pytest.param({"t": "refused", "v": 1, "code": "a", "retry_after": float("inf")}, id="for ever"),
        pytest.param({"t": "refused", "v": 1, "code": "a", "retry_after": -1.0}, id="before now"),
        pytest.param({"t": "want", "v": 1, "update": bytes(32), "offset": -1}, id="a place before the beginning"),
        pytest.param({"t": "want", "v": 1, "update": bytes(32), "offset": 2**64 - 1}, id="a place far away"),
        pytest.param([DONE], id="a list"),
        pytest.param(None, id="nil"),
    ],
)
def test_what_is_no_message_is_refused_as_such(body):
    with pytest.raises(BadMessage) as caught:
        decode(msgpack.packb(body))
    assert caught.value.code == "bad-message"


@pytest.mark.parametrize("field", ["name", "agent"])
def test_text_that_is_not_utf8_is_refused(field):
    good = encode(Hello(agent="aaaa", name="nnnn", layout="x", genesis=bytes(32)))
    letter = field[0].encode()
    with pytest.raises(BadMessage):
        decode(good.replace(letter * 4, b"\xff\xfe\xff\xfe"))


@pytest.mark.parametrize("version", [0, 2, 255, 256, -1, 2**40])
@pytest.mark.parametrize("kind_of", ["done", "kind-of-the-future"])
def test_another_version_is_told_apart_from_nonsense(version, kind_of):
    with pytest.raises(BadMessage) as caught:
        decode(msgpack.packb({"t": kind_of, "v": version, "anything": [{"at": "all"}]}))
    assert caught.value.code == "version"


def test_the_largest_messages_fit_and_the_next_byte_does_not():
    piece = Piece(update=bytes(32), offset=0, data=bytes(PIECE))
    assert decode(encode(piece)) == piece
    with pytest.raises(BadMessage):
        decode(msgpack.packb({"t": "piece", "v": 1, "update": bytes(32), "offset": 0, "data": bytes(PIECE + 1)}))
    with pytest.raises(BadMessage):
        decode(bytes(MAX_BODY + 1))
    with pytest.raises(BadMessage):
        decode(b"")


def test_a_fault_of_this_node_is_not_blamed_on_a_peer():
    with pytest.raises(ValueError, match="breaks the protocol"):
        encode(Done(update=b"short"))


@given(requests, answers)
def test_an_answer_must_fit_its_request(request, answer):
    fits = isinstance(answer, (*FITTING[type(request)], Refused))
    if fits and isinstance(answer, Want | Done):
        fits = answer.update == request.update
    if fits:
        assert decode_answer(encode(answer), request) == answer
    else:
        with pytest.raises(BadMessage):
            decode_answer(encode(answer), request)


@given(requests)
def test_no_request_passes_for_an_answer_and_the_other_way_round(request):
    assert decode_request(encode(request)) == request
    with pytest.raises(BadMessage):
        decode_answer(encode(request), request)
    with pytest.raises(BadMessage):
        decode_request(encode(Paired()))


@given(pieces)
def test_an_answer_about_the_same_update_fits(piece):
    assert decode_answer(encode(Done(update=piece.update)), piece) == Done(update=piece.update)


@given(offers, st.sampled_from(["size", "layout", "base", "result", "encoding", "sequence", "frames", "update"]))
def test_the_signature_is_over_every_field_and_the_sender(offer, field):
    value = getattr(offer, field)
    other = value + 1 if isinstance(value, int) else value[:-1] + ("0" if isinstance(value, str) else b"\0")
    if other == value:
        other = value[:-1] + ("1" if isinstance(value, str) else b"\1")
    changed = msgspec.structs.replace(offer, **{field: other})
    assert signed_bytes("A", changed) != signed_bytes("A", offer)
    assert signed_bytes("B", offer) != signed_bytes("A", offer)
    assert signed_bytes("A", msgspec.structs.replace(offer, signature=bytes(64))) == signed_bytes("A", offer)


@given(offers, offers, st.sampled_from(["A", "AB"]), st.sampled_from(["A", "AB"]))
def test_no_two_offers_share_their_signed_bytes(one, other, sender, other_sender):
    def said(s, o):
        return s, msgspec.structs.replace(o, signature=bytes(64))

    same = said(sender, one) == said(other_sender, other)
    assert (signed_bytes(sender, one) == signed_bytes(other_sender, other)) == same


def test_hostile_headers_reserve_no_memory():
    bombs = [
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa1t\xdd\xff\xff\xff\xff",
        b"\x81\xa1t\xc6\xff\xff\xff\xff",
        b"\x81\xa1t" + b"\x91" * 60_000,
        b"\x81\xa1t\xdc\xff\xff" + b"\xc0" * 60_000,
        b"\x82\xa1t\xa4done\xa1x\xc9\xff\xff\xff\xff\x01",
    ]
    tracemalloc.start()
    for bomb in bombs:
        with pytest.raises(BadMessage):
            decode(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000
