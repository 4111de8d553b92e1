"""Weights: one digest for equal bits, a file that round-trips, hostile files that raise nothing but ModelDamaged."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ml.errors import ModelDamaged
from ml.weights import LARGEST_FILE, Layout, Weights, digest, from_bytes, norm, subtract, to_bytes

calm = settings(deadline=None, max_examples=60)
"""No deadline: a busy machine is no defect."""

LAYOUT = Layout("tiny", {"a.weight": (2, 3), "a.bias": (3,)})


def some(seed: int = 0) -> Weights:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in LAYOUT.shapes.items()}


def file_of(header: object, data: bytes) -> bytes:
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


GOOD = {
    "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "a.bias": {"dtype": "F32", "shape": [3], "data_offsets": [24, 36]},
}


def test_digests_are_those_of_the_golden_file(repository: Path) -> None:
    cases = json.loads((repository / "tests" / "golden" / "weights.json").read_text())["cases"]
    assert len(cases) >= 4
    for case in cases:
        weights = {
            one["name"]: np.frombuffer(bytes.fromhex(one["values_hex"]), "<f4").reshape(one["shape"])
            for one in case["tensors"]
        }
        assert digest(weights) == case["sha256"]


def test_the_digest_is_what_its_words_say() -> None:
    value = np.array([[1.0, 2.0]], np.float32)
    spelt = struct.pack("<I", 1) + b"w" + struct.pack("<III", 2, 1, 2) + struct.pack("<2f", 1.0, 2.0)
    assert digest({"w": value}) == hashlib.sha256(spelt).hexdigest()


def test_the_digest_sees_every_bit_name_and_shape_but_not_order_or_memory() -> None:
    one = some()
    assert digest(dict(reversed(list(one.items())))) == digest(one)
    assert digest({**one, "a.weight": np.asfortranarray(one["a.weight"])}) == digest(one)
    assert digest({**one, "a.weight": one["a.weight"].astype(">f4")}) == digest(one)
    others = [
        {**one, "a.bias": np.nextafter(one["a.bias"], np.float32(9))},
        {**one, "a.weight": one["a.weight"].reshape(3, 2)},
        {"a.weight": one["a.weight"], "b.bias": one["a.bias"]},
        {"a.weight": one["a.weight"]},
        {**one, "a.bias": -one["a.bias"]},
    ]
    assert len({digest(one), *map(digest, others)}) == 1 + len(others)
    assert digest({"w": np.float32([0.0])}) != digest({"w": np.float32([-0.0])})


@calm
@given(
    arrays.arrays(np.float32, (2, 3), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
    arrays.arrays(np.float32, (3,), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
)
def test_a_file_gives_back_the_same_bits(weight: Any, bias: Any) -> None:
    weights = {"a.weight": weight, "a.bias": bias}
    back = from_bytes(to_bytes(weights, {"made": "here"}), LAYOUT)
    assert digest(back) == digest(weights)
    assert to_bytes(back, {"made": "here"}) == to_bytes(weights, {"made": "here"})


def test_half_precision_is_widened() -> None:
    half = {name: tensor.astype(np.float16) for name, tensor in some().items()}
    back = from_bytes(safetensors.numpy.save(half), LAYOUT)
    assert all(back[name].dtype == np.float32 and (back[name] == half[name]).all() for name in half)


def test_norm_and_difference() -> None:
    one, other = some(1), some(2)
    apart = subtract(one, other)
    assert all((apart[name] == one[name] - other[name]).all() for name in one)
    together = np.concatenate([apart[name].ravel() for name in apart])
    assert norm(apart) == pytest.approx(float(np.linalg.norm(together)), rel=1e-6)
    assert LAYOUT.parameters == 9


def test_the_norm_of_large_numbers_is_finite() -> None:
    assert norm({"w": np.full(4, 1e30, np.float32)}) == pytest.approx(2e30)


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"a.weight": some()["a.weight"]},
        {**some(), "extra": np.zeros(1, np.float32)},
        {**some(), "a.bias": np.zeros(4, np.float32)},
        {**some(), "a.bias": np.zeros(3, np.float64)},
        {**some(), "a.bias": np.zeros(3, ">f4")},
        {**some(), "a.bias": np.float32([0, np.nan, 0])},
        {**some(), "a.bias": np.float32([0, np.inf, 0])},
    ],
    ids=["none", "missing", "extra", "shape", "double", "big-endian", "nan", "infinite"],
)
def test_weights_that_do_not_fit_are_refused(weights: Weights) -> None:
    with pytest.raises(ModelDamaged) as caught:
        LAYOUT.check(weights)
    assert caught.value.remedy


DATA = to_bytes(some())[-36:]
HOSTILE = {
    "empty": b"",
    "seven bytes": b"\0" * 7,
    "header longer than the file": struct.pack("<Q", 2**63 - 1) + b"{}",
    "header of all memory": struct.pack("<Q", 2**64 - 1) + b"{}",
    "no json": file_of(b"\xff\xfe{", DATA),
    "a list": file_of([1, 2], DATA),
    "deep json": file_of(b"[" * 100_000, b""),
    "no tensors": file_of({}, b""),
    "truncated": file_of(GOOD, DATA[:-1]),
    "longer": file_of(GOOD, DATA + b"\0"),
    "extra tensor": safetensors.numpy.save({**some(), "extra": np.zeros(1, np.float32)}),
    "missing tensor": safetensors.numpy.save({"a.bias": some()["a.bias"]}),
    "double": safetensors.numpy.save({name: tensor.astype(np.float64) for name, tensor in some().items()}),
    "integers": safetensors.numpy.save({name: tensor.astype(np.int32) for name, tensor in some().items()}),
    "nan": safetensors.numpy.save({**some(), "a.bias": np.float32([0, np.nan, 0])}),
    "infinite half": safetensors.numpy.save({**some(), "a.bias": np.float16([0, np.inf, 0])}),
    "overlap": file_of({**GOOD, "a.bias": {"dtype": "F32", "shape": [3], "data_offsets": [12, 24]}}, DATA),
    "backwards": file_of({**GOOD, "a.bias": {"dtype": "F32", "shape": [3], "data_offsets": [36, 24]}}, DATA),
    "huge shape": file_of({**GOOD, "a.bias": {"dtype": "F32", "shape": [2**62] * 2, "data_offsets": [24, 36]}}, DATA),
    "negative shape": file_of({**GOOD, "a.bias": {"dtype": "F32", "shape": [-3], "data_offsets": [24, 36]}}, DATA),
    "name twice": file_of(json.dumps(GOOD).encode()[:-1] + b', "a.bias": 3}', DATA),
    "too long": b"\0" * (LARGEST_FILE + 1),
} | {
    f"type {kind}": file_of({**GOOD, "a.bias": {"dtype": kind, "shape": shape, "data_offsets": [24, 36]}}, DATA)
    for kind, shape in {
        "BF16": [6], "F8_E4M3": [12], "F8_E5M2": [12], "F8_E8M0": [12], "F4": [24], "F6_E2M3": [16], "BOOL": [12],
        "I8": [12], "U16": [6], "C64": [1], "F31": [3], "": [3],
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_are_damaged_models_and_nothing_worse(data: bytes) -> None:
    with pytest.raises(ModelDamaged) as caught:
        from_bytes(data, LAYOUT)
    assert len(str(caught.value)) < 400


def is_refused_or_sound(data: bytes) -> bool:
    """Whether the file is read as finite weights of the layout's shapes, or refused as damaged."""
    try:
        weights = from_bytes(data, LAYOUT)
    except ModelDamaged:
        return True
    shapes = {name: array.shape for name, array in weights.items()}
    return shapes == dict(LAYOUT.shapes) and all(np.isfinite(array).all() for array in weights.values())


@calm
@given(st.binary(max_size=200))
def test_random_bytes_are_no_model(data: bytes) -> None:
    with pytest.raises(ModelDamaged):
        from_bytes(data, LAYOUT)


@calm
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8), st.integers(0, 400))
def test_damaged_files_are_refused_or_sound(edits: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(to_bytes(some()))
    for place, value in edits:
        data[place % len(data)] = value
    assert is_refused_or_sound(bytes(data[: len(data) - cut % 3]))


entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "F64", "I64", "U8", "F8_E4M3", "x", 3]),
        "shape": st.lists(st.integers(-1, 2**64), max_size=4) | st.sampled_from([[2, 3], [3], "x", None]),
        "data_offsets": st.lists(st.integers(-1, 2**64), max_size=3) | st.sampled_from([[0, 24], [24, 36], [0, 36]]),
    }
)


@calm
@given(st.dictionaries(st.sampled_from(["a.weight", "a.bias", "__metadata__", "x", ""]), entries, max_size=4))
def test_files_with_any_header_are_refused_or_sound(header: dict[str, Any]) -> None:
    assert is_refused_or_sound(file_of(header, DATA))
