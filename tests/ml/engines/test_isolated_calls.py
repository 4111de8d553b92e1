"""What goes over the pipe comes out as it went in, and bytes that are no such value are refused."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ml.engines.isolated_calls import CALLS, EVERY, call, pack, unpack
from ml.engines.protocols import MORE_TASKS, TASKS, AsrOptions, Capabilities
from ml.types import Audio, Delivery, Phoneme, Speech, Transcript, Translation, Word

sounds = arrays.arrays(np.float32, st.integers(0, 200), elements=st.floats(-1, 1, width=32))
matrices = arrays.arrays(
    np.float32, st.tuples(st.integers(0, 9), st.integers(0, 9)), elements=st.floats(-9, 9, width=32)
)
audios = st.builds(Audio, sounds, st.sampled_from([8000, 16_000]))
words = st.builds(Word, st.text(max_size=5), st.floats(0, 9), st.floats(0, 9), st.floats(0, 1))
values = st.one_of(
    audios.map(lambda value: (Audio, value)),
    matrices.map(lambda value: (np.ndarray, value)),
    st.builds(
        Transcript,
        st.text(),
        st.just("en"),
        st.just(0.0),
        st.just(1.0),
        st.just(0.5),
        st.just("x"),
        st.lists(words, max_size=3).map(tuple),
    ).map(lambda value: (Transcript, value)),
    st.builds(Translation, st.text(), st.text(), st.just("en"), st.just("es"), st.just("x"), st.just(("en", "es"))).map(
        lambda value: (Translation, value)
    ),
    st.builds(
        Delivery,
        st.none() | st.floats(50, 400),
        st.none(),
        st.floats(0.5, 2),
        st.none(),
        st.booleans(),
        st.none() | audios,
    ).map(lambda value: (Delivery, value)),
    st.builds(AsrOptions, st.just("en"), st.booleans(), st.none() | st.text()).map(lambda value: (AsrOptions, value)),
    st.builds(
        Speech,
        audios,
        st.text(),
        st.just("en"),
        st.just("x"),
        st.just((Word("a", 0, 1),)),
        st.just((Phoneme("a", 0, 1),)),
    ).map(lambda value: (Speech, value)),
    st.builds(
        Capabilities, st.text(), st.just(("en",)), pairs=st.just((("en", "es"),)), latency=st.just({"x": 0.1})
    ).map(lambda value: (Capabilities, value)),
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, Audio | Speech | Delivery):
        return all(same(getattr(one, field), getattr(other, field)) for field in one.__dataclass_fields__)
    return bool(one == other)


@given(values)
@settings(deadline=None)
def test_values_travel(typed: tuple[Any, Any]) -> None:
    from ml.types import Samples

    kind, value = typed
    assert same(value, unpack(pack(value), Samples if kind is np.ndarray else kind))


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_bytes_that_are_no_value_are_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(unpack(data, Audio), Audio)


@pytest.mark.parametrize("told", [{"shape": [3], "data": b"12"}, {"shape": [-1, 0], "data": b""}, {"data": b""}, 7])
def test_arrays_are_whole(told: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(pack({"samples": told, "rate": 16_000}), Audio)


def test_every_task_has_its_calls() -> None:
    assert set(CALLS) == {*TASKS, *MORE_TASKS}
    for task in CALLS:
        assert call(task, "capabilities") is EVERY["capabilities"]
    with pytest.raises(KeyError):
        call("mt", "embed")
    with pytest.raises(TypeError, match="does not travel"):
        pack(object())


def test_a_number_of_numpy_is_a_number() -> None:
    """An engine that answers one where it should say float works in this process, so it must in another."""
    word = Word("a", np.float64(0.25), np.float32(0.5), 1.0)
    assert unpack(pack(word), Word) == Word("a", 0.25, 0.5, 1.0)
    with pytest.raises(TypeError, match="does not travel"):
        pack(object())
