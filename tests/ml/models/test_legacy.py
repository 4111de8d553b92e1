from __future__ import annotations

import contextlib
import io
import re
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.models.legacy import read_tensors
from ml.pickled import NotReadable

HEAD = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e") + b"\x80\x02M\xe9\x03."
FACTS = b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s."


def written(tensors: dict[str, torch.Tensor]) -> bytes:
    buffer = io.BytesIO()
    torch.save({"model_state": tensors, "step": 1}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def described(pickle: bytes, rest: bytes = b"\x80\x02].") -> bytes:
    """A checkpoint whose object is this hand-written pickle, with no storages."""
    return HEAD + FACTS + b"\x80\x02" + pickle + b"." + rest


shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
dtypes = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.int64, torch.int32])


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text("abc.", min_size=1, max_size=5), st.tuples(shapes, dtypes), max_size=4))
def test_what_torch_wrote_is_what_is_read(wanted: dict[str, tuple[tuple[int, ...], torch.dtype]]) -> None:
    tensors = {name: (torch.rand(shape) * 100).to(dtype) for name, (shape, dtype) in wanted.items()}
    read = read_tensors(written(tensors), "model_state")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].shape == tuple(tensor.shape)
        np.testing.assert_array_equal(read[name], tensor.numpy())


def test_views_of_one_storage_are_cut_from_it() -> None:
    base = torch.arange(12.0)
    read = read_tensors(written({"all": base.view(3, 4), "row": base[4:8]}), "model_state")
    np.testing.assert_array_equal(read["row"], [4, 5, 6, 7])
    np.testing.assert_array_equal(read["all"][1], read["row"])


def test_a_transposed_tensor_is_refused() -> None:
    with pytest.raises(NotReadable, match="row by row"):
        read_tensors(written({"t": torch.rand(2, 3).T}), "model_state")


@pytest.mark.parametrize(
    "pickle",
    [
        b"cos\nsystem\nX\x04\x00\x00\x00true\x85R",
        b"c__builtin__\neval\nX\x03\x00\x00\x001+1\x85R",
        b"ccollections\nOrderedDict\n]X\x01\x00\x00\x00a\x85R",
        b"(ios\nsystem\n",  # INST
        b"(cos\nsystem\nX\x04\x00\x00\x00trueo",  # OBJ
        b"cos\nsystem\n)\x81",  # NEWOBJ
        b"\x8c\x02os\x8c\x06system\x93",  # STACK_GLOBAL
        b"\x82\x01",  # EXT1
        b"cos\nsystem\n}b",  # BUILD on a name
        b"P1\n",  # PERSID
        b"X\x01\x00\x00\x00aQ",  # a persistent id that is no storage
    ],
)
def test_a_pickle_that_would_act_is_refused(pickle: bytes) -> None:
    with pytest.raises(NotReadable):
        read_tensors(described(pickle), "model_state")


@pytest.mark.parametrize(
    "pickle",
    [
        b"r\xff\xff\xff\x7f",  # a memo far away
        b"}r\xff\xff\xff\x7f",
        b"X\xff\xff\xff\x7fa",  # a long text that is not there
        b"\x8b\xff\xff\xff\x7f",  # a long number that is not there
        b"(" * 200_000,
        b"]" * 50 + b"a" * 49,
        b"}]q\x00h\x00as",
    ],
)
def test_a_pickle_that_would_eat_memory_is_refused(pickle: bytes) -> None:
    with pytest.raises(NotReadable):
        read_tensors(described(pickle), "model_state")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80\x02.", HEAD, HEAD + FACTS, b"\x80\x05K\x01."])
def test_what_is_no_checkpoint_is_refused(data: bytes) -> None:
    with pytest.raises(NotReadable):
        read_tensors(data, "model_state")


def test_a_missing_branch_and_other_lengths_are_refused() -> None:
    data = written({"a": torch.ones(4)})
    with pytest.raises(NotReadable, match="no dictionary 'weights'"):
        read_tensors(data, "weights")
    with pytest.raises(NotReadable, match="shorter"):
        read_tensors(data[:-1], "model_state")
    with pytest.raises(NotReadable, match="after its last"):
        read_tensors(data + b"\0", "model_state")
    with pytest.raises(NotReadable, match="shorter"):
        read_tensors(data[:-24] + struct.pack("<q", 5) + data[-16:], "model_state")


SMALL = written({"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2)})


def test_a_tensor_that_reaches_out_of_its_storage_is_refused() -> None:
    two_by_three = b"K\x02K\x03\x86"
    assert SMALL.count(two_by_three) == 1
    with pytest.raises(NotReadable, match="outside its storage"):
        read_tensors(SMALL.replace(two_by_three, b"K\x03K\x03\x86"), "model_state")


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=4), st.data())
def test_damaged_bytes_are_read_as_numbers_or_refused(changes: list[tuple[int, int]], data: st.DataObject) -> None:
    damaged = bytearray(SMALL)
    for position, value in changes:
        damaged[position] = value
    cut = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
    with contextlib.suppress(NotReadable):
        read = read_tensors(bytes(damaged[:cut]), "model_state")
        assert all(isinstance(array, np.ndarray) and array.dtype.kind in "fi" for array in read.values())
        assert sum(array.size for array in read.values()) <= 16


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.binary(max_size=20))
def test_any_pickle_is_read_or_refused(pickle: bytes, rest: bytes) -> None:
    with contextlib.suppress(NotReadable):
        assert isinstance(read_tensors(described(pickle, rest), "model_state"), dict)


def test_a_list_of_storages_that_are_no_names_is_refused() -> None:
    data = written({"a": torch.ones(2), "b": torch.ones(3)})
    begin = data.rindex(b"\x80\x02]")
    end = data.index(b"e.", begin) + 2
    keys = re.findall(rb"X...\0(\d+)", data[begin:end], re.DOTALL)
    numbers = b"".join(b"\x8a\x08" + int(key).to_bytes(8, "little") for key in keys)
    assert len(keys) == 2
    with pytest.raises(NotReadable, match="list of storages"):
        read_tensors(data[:begin] + b"\x80\x02](" + numbers + b"e." + data[end:], "model_state")
