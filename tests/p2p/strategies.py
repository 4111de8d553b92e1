"""Hypothesis strategies of the protocol's messages: every value that the bounds allow."""

from __future__ import annotations

from hypothesis import strategies as st

from p2p.wire import (
    CODES,
    LARGEST_UPDATE,
    PIECE,
    Done,
    Hello,
    Offer,
    PairAnswer,
    Paired,
    PairProof,
    PairStart,
    Piece,
    Refused,
    Want,
    Welcome,
)

hashes = st.binary(min_size=32, max_size=32)
labels = st.text(max_size=64)
words = st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,31}\Z")
counters = st.integers(0, 2**63 - 1)
places = st.integers(0, LARGEST_UPDATE)
halves = st.binary(min_size=33, max_size=33)
ground = {"agent": labels, "name": labels, "layout": words, "genesis": hashes}

hellos = st.builds(Hello, **ground)
offers = st.builds(
    Offer,
    update=hashes,
    size=st.integers(1, LARGEST_UPDATE),
    layout=words,
    base=hashes,
    result=hashes,
    encoding=words,
    sequence=counters,
    frames=counters,
    signature=st.binary(min_size=64, max_size=64),
)
pieces = st.builds(Piece, update=hashes, offset=places, data=st.binary(min_size=1, max_size=200)) | st.builds(
    Piece, update=hashes, offset=places, data=st.just(bytes(PIECE))
)
requests = (
    hellos | offers | pieces | st.builds(PairStart, spake=halves, name=labels) | st.builds(PairProof, proof=hashes)
)
answers = (
    st.builds(Welcome, **ground)
    | st.builds(Want, update=hashes, offset=places)
    | st.builds(Done, update=hashes)
    | st.builds(PairAnswer, spake=halves, proof=hashes, name=labels)
    | st.just(Paired())
    | st.builds(
        Refused,
        code=st.sampled_from(sorted(CODES)) | words,
        sentence=st.text(max_size=200),
        retry_after=st.none() | st.floats(0, 86_400),
    )
)
messages = requests | answers
