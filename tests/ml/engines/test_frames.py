from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines import frames

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20) | st.binary(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
messages = st.dictionaries(st.text(max_size=8), plain, max_size=5)


@given(st.lists(messages, max_size=5))
def test_what_is_written_is_read_back_in_order(sent: list[dict[str, object]]) -> None:
    stream = io.BytesIO()
    for message in sent:
        frames.write(stream, message)
    stream.seek(0)
    received = []
    while (message := frames.read(stream)) is not None:
        received.append(message)
    assert received == sent


@given(messages, st.data())
def test_a_stream_that_ends_inside_a_frame_is_broken(message: dict[str, object], data: st.DataObject) -> None:
    whole = frames.pack(message)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(frames.BrokenFrame):
        frames.read(io.BytesIO(whole[:cut]))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_broken_frame(body: bytes) -> None:
    with contextlib.suppress(frames.BrokenFrame):
        assert isinstance(frames.unpack(body), dict)


def test_a_frame_that_announces_too_much_is_refused_before_it_is_read() -> None:
    class Unreadable(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size == frames.HEAD.size, "only the length may be read"
            return super().read(size)

    with pytest.raises(frames.BrokenFrame, match="more than"):
        frames.read(Unreadable(frames.HEAD.pack(frames.MAX_FRAME + 1)))


def test_a_message_that_is_too_long_is_not_packed() -> None:
    with pytest.raises(frames.BrokenFrame, match="longer than"):
        frames.pack({"pcm": bytes(frames.MAX_FRAME)})
