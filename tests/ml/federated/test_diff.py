"""Weight diffs as bytes: both sides get the same bits, errors come back, and no bytes do harm."""

from __future__ import annotations

import gzip
import json
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import BadUpdate, ModelDamaged
from ml.federated import diff
from ml.federated.diff import Encoding, decode, encode
from ml.weights import Layout, Weights, digest, norm, subtract

calm = settings(deadline=None, max_examples=60)
"""No deadline: a busy machine is no defect."""

TINY = Layout("tiny", {"w": (3, 5), "b": (3,), "conv": (2, 1, 3)})
COARSE = (Encoding.INT8, Encoding.INT4, Encoding.TERNARY)


def some(layout: Layout = TINY, seed: int = 0, spread: float = 1.0) -> Weights:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, spread, shape).astype(np.float32) for name, shape in layout.shapes.items()}


def near(base: Weights, layout: Layout = TINY, seed: int = 1, spread: float = 0.1) -> Weights:
    step = some(layout, seed, spread)
    return {name: base[name] + step[name] for name in base}


def unpacked(body: bytes) -> dict[str, Any]:
    value: dict[str, Any] = msgpack.unpackb(gzip.decompress(body))
    return value


def packed(value: object) -> bytes:
    return gzip.compress(msgpack.packb(value))


layouts = st.lists(st.lists(st.integers(1, 6), max_size=3), min_size=1, max_size=4).map(
    lambda shapes: Layout("any", {f"t{at}": tuple(shape) for at, shape in enumerate(shapes)})
)


@calm
@given(layouts, st.sampled_from(Encoding), st.integers(0, 2**32), st.floats(1e-6, 1.2))
def test_the_receiver_has_what_the_sender_thinks_it_has(
    layout: Layout, encoding: Encoding, seed: int, spread: float
) -> None:
    base = some(layout, seed)
    local = near(base, layout, seed + 1, spread)
    sent = encode(local, base, layout, encoding)
    assert digest(decode(sent.body, base, layout)) == digest(sent.result)
    assert encode(local, base, layout, encoding).body == sent.body
    layout.check(sent.result)
    assert norm(subtract(local, sent.result)) <= norm(subtract(local, base)) * 1.001 + 1e-6


@pytest.mark.parametrize(
    ("encoding", "within"),
    [(Encoding.FP32, 1e-6), (Encoding.FP16, 1e-3), (Encoding.INT8, 1e-2), (Encoding.INT4, 0.25), (Encoding.TERNARY, 1)],
)
def test_finer_encodings_lose_less(encoding: Encoding, within: float) -> None:
    layout = Layout("wide", {"w": (40, 50), "b": (50,)})
    base = some(layout)
    local = near(base, layout)
    left = norm(subtract(local, encode(local, base, layout, encoding).result)) / norm(subtract(local, base))
    assert left < within


@calm
@given(layouts, st.sampled_from(COARSE), st.integers(0, 2**32))
def test_updates_against_the_shadow_converge_to_the_local_weights(
    layout: Layout, encoding: Encoding, seed: int
) -> None:
    base = some(layout, seed)
    local, shadow = near(base, layout, seed + 1), base
    start = norm(subtract(local, base))
    for _ in range(60):
        shadow = encode(local, shadow, layout, encoding).result
    assert norm(subtract(local, shadow)) <= 0.02 * start + 1e-6


def test_weights_that_are_the_same_give_a_diff_of_nothing() -> None:
    base = some()
    for encoding in Encoding:
        sent = encode(base, base, TINY, encoding)
        assert digest(sent.result) == digest(base)
        assert len(sent.body) < 200


@pytest.mark.parametrize("encoding", Encoding)
def test_weights_too_far_apart_are_not_sent(encoding: Encoding) -> None:
    base = some()
    with pytest.raises(ModelDamaged):
        encode(
            {**base, "b": np.full(3, 3e38, np.float32)}, {**base, "b": np.full(3, -3e38, np.float32)}, TINY, encoding
        )
    with pytest.raises(ModelDamaged):
        encode(base, {**base, "b": base["b"] + np.float32(1000)}, TINY, encoding)
    with pytest.raises(ModelDamaged):
        encode({**base, "b": np.float32([np.nan, 0, 0])}, base, TINY, encoding)


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("shape", [(), (1,), (3000,), (3000, 1), (1, 3000), (2, 3, 4, 5)])
def test_no_good_diff_is_longer_than_the_longest(shape: tuple[int, ...], encoding: Encoding) -> None:
    layout = Layout("a-layout-with-a-long-name", {"a.tensor.with.a.name": shape})
    base = some(layout)
    sent = encode(near(base, layout), base, layout, encoding)
    assert len(gzip.decompress(sent.body)) <= diff.largest_packed(layout)
    assert digest(decode(sent.body, base, layout)) == digest(sent.result)


def by_the_book(body: bytes, base: Weights) -> Weights:
    """What docs/protocol-diff.md says, with plain msgpack and numpy and nothing of ours."""
    book = msgpack.unpackb(body)
    result = {}
    for name, shape, scales, values in book["tensors"]:
        count, rows = int(np.prod(shape)), shape[0] if len(shape) > 1 else 1
        match book["encoding"]:
            case "fp32":
                step = np.frombuffer(values, "<f4")
            case "fp16":
                step = np.frombuffer(values, "<f2").astype(np.float32)
            case "int8":
                levels = [value - 256 if value > 127 else value for value in values]
            case "int4":
                halves = [half for value in values for half in (value & 15, value >> 4)][:count]
                levels = [half - 16 if half > 7 else half for half in halves]
            case "ternary":
                levels = [value // 3**place % 3 - 1 for value in values for place in range(5)][:count]
        if scales:
            factors = struct.unpack(f"<{rows}f", scales)
            step = np.array(
                [np.float32(factors[at * rows // count]) * np.float32(level) for at, level in enumerate(levels)],
                np.float32,
            )
        result[name] = (base[name].ravel() + step).reshape(shape)
    return result


def test_golden_vectors_decode_with_plain_msgpack(repository: Path) -> None:
    golden = json.loads((repository / "tests" / "golden" / "diff.json").read_text())
    layout = Layout(golden["layout"], {name: tuple(shape) for name, shape in golden["shapes"]})

    def tensors(texts: dict[str, str]) -> Weights:
        return {
            name: np.frombuffer(bytes.fromhex(texts[name]), "<f4").reshape(shape) for name, shape in golden["shapes"]
        }

    base, local = tensors(golden["base"]), tensors(golden["local"])
    assert {case["encoding"] for case in golden["cases"]} == set(Encoding)
    for case in golden["cases"]:
        body, result = bytes.fromhex(case["body"]), tensors(case["result"])
        assert digest(by_the_book(body, base)) == digest(result) == case["sha256"]
        assert digest(decode(gzip.compress(body), base, layout)) == case["sha256"]
        ours = encode(local, base, layout, Encoding(case["encoding"]))
        assert gzip.decompress(ours.body) == body
        assert digest(ours.result) == case["sha256"]


GOOD = {encoding: encode(near(some()), some(), TINY, encoding).body for encoding in Encoding}


INNER = gzip.decompress(GOOD[Encoding.INT8])


def changed(**fields: object) -> bytes:
    return packed(unpacked(GOOD[Encoding.INT8]) | fields)


def with_tensor(at: int, *tensor: object, encoding: Encoding = Encoding.INT8) -> bytes:
    value = unpacked(GOOD[encoding])
    value["tensors"][at] = list(tensor)
    return packed(value)


NAN, ONE = struct.pack("<f", float("nan")), struct.pack("<f", 1.0)
HOSTILE = {
    "empty": b"",
    "no gzip": b"hello",
    "a gzip header": GOOD[Encoding.INT8][:10],
    "truncated": GOOD[Encoding.INT8][:-1],
    "trailing": GOOD[Encoding.INT8] + b"\0",
    "two members": GOOD[Encoding.INT8] + GOOD[Encoding.INT8],
    "split members": gzip.compress(INNER[:20])
    + gzip.compress(INNER[20:]),
    "zlib": zlib.compress(INNER),
    "wrong crc": GOOD[Encoding.INT8][:-8] + b"\0\0\0\0" + GOOD[Encoding.INT8][-4:],
    "too long": b"\0" * (diff.LARGEST_BODY + 1),
    "bomb": gzip.compress(b"\0" * 50_000_000),
    "nested bomb": gzip.compress(b"\x91" * 1_000_000),
    "not a map": packed([1, 2]),
    "nothing": packed(None),
    "missing": packed({"v": 1, "layout": "tiny", "encoding": "int8"}),
    "extra field": changed(more=1),
    "field twice": gzip.compress(b"\x85" + INNER[1:] + b"\xa1v\x01"),
    "version": changed(v=2),
    "version true": changed(v=True),
    "huge version": changed(v=2**64 - 1),
    "other layout": changed(layout="res64"),
    "encoding": changed(encoding="int3"),
    "other encoding": changed(encoding="int4"),
    "no tensors": changed(tensors=[]),
    "tensor twice": changed(tensors=unpacked(GOOD[Encoding.INT8])["tensors"] * 2),
    "other order": changed(tensors=unpacked(GOOD[Encoding.INT8])["tensors"][::-1]),
    "name": with_tensor(1, "x", [3], ONE, b"\0\0\0"),
    "shape": with_tensor(1, "b", [4], ONE, b"\0\0\0\0"),
    "same size, other shape": with_tensor(1, "b", [1, 3], ONE, b"\0\0\0"),
    "shape of floats": with_tensor(1, "b", [3.0], ONE, b"\0\0\0"),
    "huge shape": with_tensor(1, "b", [2**63], ONE, b"\0\0\0"),
    "scales missing": with_tensor(1, "b", [3], b"", b"\0\0\0"),
    "values missing": with_tensor(1, "b", [3], ONE, b"\0\0"),
    "values as text": with_tensor(1, "b", [3], ONE, "abc"),
    "nan scale": with_tensor(1, "b", [3], NAN, b"\1\0\0"),
    "nan scale, zero level": with_tensor(1, "b", [3], NAN, b"\0\0\0"),
    "infinite scale": with_tensor(1, "b", [3], struct.pack("<f", float("inf")), b"\1\0\0"),
    "negative scale": with_tensor(1, "b", [3], struct.pack("<f", -1.0), b"\1\0\0"),
    "minus zero scale": with_tensor(1, "b", [3], struct.pack("<f", -0.0), b"\1\0\0"),
    "subnormal scale": with_tensor(1, "b", [3], struct.pack("<f", 1e-40), b"\1\0\0"),
    "overflowing scale": with_tensor(1, "b", [3], struct.pack("<f", 3e38), b"\x7f\0\0"),
    "level -128": with_tensor(1, "b", [3], ONE, b"\x80\0\0"),
    "nan value": with_tensor(1, "b", [3], b"", NAN + ONE + ONE, encoding=Encoding.FP32),
    "huge value": with_tensor(1, "b", [3], b"", struct.pack("<f", 1e30) * 3, encoding=Encoding.FP32),
    "norm": with_tensor(1, "b", [3], b"", struct.pack("<f", 60.0) * 3, encoding=Encoding.FP32),
    "infinite half": with_tensor(1, "b", [3], b"", struct.pack("<e", float("inf")) * 3, encoding=Encoding.FP16),
    "scales with floats": with_tensor(1, "b", [3], ONE, ONE * 3, encoding=Encoding.FP32),
    "nibble -8": with_tensor(1, "b", [3], ONE, b"\x08\x00", encoding=Encoding.INT4),
    "spare nibble": with_tensor(1, "b", [3], ONE, b"\x00\x10", encoding=Encoding.INT4),
    "trit 243": with_tensor(1, "b", [3], ONE, b"\xf3", encoding=Encoding.TERNARY),
    "spare trit": with_tensor(1, "b", [3], ONE, b"\x00", encoding=Encoding.TERNARY),
    "long form of a number": gzip.compress(INNER.replace(b"\xa1v\x01", b"\xa1v\xcc\x01")),
    "list of 2^32": gzip.compress(INNER.replace(b"sors\x93", b"sors\xdd\xff\xff\xff\xff")),
    "bytes of 2^32": gzip.compress(b"\x81\xa1v\xc6\xff\xff\xff\xff"),
    "bad text": gzip.compress(b"\x84\xa1v\x01\xa6layout\xa4\xff\xff\xff\xff"),
}  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_a_bad_update_and_cost_no_memory(body: bytes) -> None:
    base = some()
    tracemalloc.start()
    try:
        with pytest.raises(BadUpdate) as caught:
            decode(body, base, TINY)
        assert tracemalloc.get_traced_memory()[1] <= diff.memory_bound(TINY)
    finally:
        tracemalloc.stop()
    assert caught.value.remedy
    assert len(str(caught.value)) < 300


def test_every_change_to_a_good_diff_is_one_that_matters() -> None:
    assert "tensors" in unpacked(GOOD[Encoding.INT8])
    assert digest(decode(changed(), some(), TINY))
    assert b"\xa1v\x01" in INNER
    assert b"tensors\x93" in gzip.decompress(GOOD[Encoding.INT8])


def peak_of(body: bytes, base: Weights, layout: Layout) -> int:
    """Bytes of memory that decoding took at its highest, into sound weights of the layout or BadUpdate."""
    tracemalloc.start()
    try:
        layout.check(decode(body, base, layout))
    except BadUpdate:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


edits = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6)


@calm
@given(st.sampled_from(Encoding), edits, edits, st.integers(0, 30), st.binary(max_size=3))
def test_mutated_diffs_are_refused_or_sound(
    encoding: Encoding, inside: list[tuple[int, int]], outside: list[tuple[int, int]], cut: int, tail: bytes
) -> None:
    inner = bytearray(gzip.decompress(GOOD[encoding]))
    for place, value in inside:
        inner[place % len(inner)] = value
    body = bytearray(gzip.compress(bytes(inner[: len(inner) - cut // 10])))
    for place, value in outside:
        body[place % len(body)] = value
    assert peak_of(bytes(body) + tail, some(), TINY) <= diff.memory_bound(TINY)


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8) | st.binary()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@calm
@given(st.dictionaries(st.sampled_from(["v", "layout", "encoding", "tensors", "x"]), values), st.booleans())
def test_any_msgpack_is_refused_or_sound(fields: dict[str, Any], over: bool) -> None:
    body = packed(unpacked(GOOD[Encoding.INT4]) | fields if over else fields)
    assert peak_of(body, some(), TINY) <= diff.memory_bound(TINY)


@calm
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(BadUpdate):
        decode(body, some(), TINY)
    assert peak_of(body, some(), TINY) <= diff.memory_bound(TINY)


@pytest.mark.parametrize("encoding", Encoding)
def test_the_memory_bound_holds_for_good_diffs_of_a_real_size(encoding: Encoding) -> None:
    layout = Layout("real", {"w": (120, 80), "v": (80, 120), "b": (80,)})
    base = some(layout)
    made = encode(near(base, layout), base, layout, encoding)
    assert peak_of(made.body, base, layout) <= diff.memory_bound(layout)
    assert digest(decode(made.body, base, layout)) == digest(made.result), "it was good, so all of it was decoded"
