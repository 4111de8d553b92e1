"""Compressions of whole stacks: what the node sends arrives to the bit, rows stand alone, sizes are those of bodies."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.compression import COMPRESSIONS, Wired
from ml.federated.diff import Encoding, decode, encode
from ml.federated.method import Compression
from ml.voice.genesis import genesis
from ml.voice.stacked import flat, named
from ml.weights import Layout

calm = settings(deadline=None, max_examples=40)
"""No deadline: a busy machine is no defect."""

TINY = Layout("tiny", {"w": (3, 5), "b": (3,), "conv": (2, 1, 3)})
REAL = genesis().autoencoder.layout
every = pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS.keys())
layouts = st.lists(st.lists(st.integers(1, 6), max_size=3), min_size=1, max_size=4).map(
    lambda shapes: Layout("any", {f"t{at}": tuple(shape) for at, shape in enumerate(shapes)})
)


def differences(layout: Layout = TINY, count: int = 5, seed: int = 0, spread: float = 0.1) -> np.ndarray:
    """Some numbers zero, some rows alike, as real differences have it."""
    rng = np.random.default_rng(seed)
    made = rng.normal(0, spread, (count, layout.parameters)) * (rng.random((count, layout.parameters)) > 0.2)
    return np.asarray(made, np.float32)


@calm
@given(layouts, st.sampled_from(Encoding), st.integers(0, 2**32), st.floats(1e-6, 1.0), st.integers(1, 20))
def test_what_the_node_sends_arrives_bit_for_bit(
    layout: Layout, encoding: Encoding, seed: int, spread: float, count: int
) -> None:
    rng = np.random.default_rng(seed)
    base = rng.normal(0, 1, layout.parameters).astype(np.float32)
    local = base + differences(layout, count, seed, spread)
    arrived = base + COMPRESSIONS[encoding.value].arrives(local - base, layout)
    for own, there in zip(local, arrived, strict=True):
        sent = encode(named(own, layout), named(base, layout), layout, encoding)
        assert flat(sent.result, layout).tobytes() == there.tobytes()
        assert flat(decode(sent.body, named(base, layout), layout), layout).tobytes() == there.tobytes()


@pytest.mark.parametrize("encoding", Encoding)
def test_and_so_it_does_for_the_shipped_model(encoding: Encoding) -> None:
    base = flat(genesis().weights, REAL)
    local = base + differences(REAL, 9, spread=0.01)
    arrived = base + COMPRESSIONS[encoding.value].arrives(local - base, REAL)
    for own, there in zip(local, arrived, strict=True):
        sent = encode(named(own, REAL), genesis().weights, REAL, encoding)
        assert flat(sent.result, REAL).tobytes() == there.tobytes()


@every
@calm
@given(st.integers(0, 2**32), st.integers(1, 20))
def test_rows_are_independent_of_each_other(compression: Compression, seed: int, count: int) -> None:
    stack = differences(count=count, seed=seed)
    together = compression.arrives(stack, TINY)
    assert together.dtype == np.float32
    for at in range(count):
        assert together[at].tobytes() == compression.arrives(stack[at : at + 1], TINY)[0].tobytes()


@every
def test_what_is_left_shrinks_round_by_round_behind_a_shadow(compression: Compression) -> None:
    wanted = differences(REAL, 2, spread=0.01)
    shadow, lengths = np.zeros_like(wanted), []
    for _ in range(40):
        lengths.append(float(np.linalg.norm(wanted - shadow)))
        shadow = shadow + compression.arrives(wanted - shadow, REAL)
    assert all(after <= before * 1.000001 for before, after in pairwise(lengths))
    assert lengths[-1] < (0.9 if compression.name in {"top-1%", "ternary-2.5"} else 0.1) * lengths[0]


@every
def test_the_argument_is_left_alone_and_nothing_stays_nothing(compression: Compression) -> None:
    stack = differences()
    before = stack.copy()
    arrived = compression.arrives(stack, TINY)
    assert stack.tobytes() == before.tobytes()
    assert not np.shares_memory(arrived, stack)
    assert not compression.arrives(np.zeros((3, TINY.parameters), np.float32), TINY).any()
    assert compression.arrives(stack[:0], TINY).shape == (0, TINY.parameters)


@every
def test_what_cannot_be_sent_arrives_as_it_is_and_spoils_no_other(compression: Compression) -> None:
    stack = differences(count=12)
    stack[1, 3], stack[4, 0], stack[7] = np.nan, np.inf, 1e30
    stack[9] *= 1000
    arrived = compression.arrives(stack, TINY)
    for at in (1, 4, 7, 9):
        assert arrived[at].tobytes() == stack[at].tobytes()
        assert compression.size(stack[at], TINY) > 0
    kept = [at for at in range(12) if at not in (1, 4, 7, 9)]
    assert arrived[kept].tobytes() == compression.arrives(stack[kept], TINY).tobytes()


def test_the_size_is_that_of_the_body() -> None:
    one = differences(REAL, 1, spread=0.01)[0]
    nothing = named(np.zeros_like(one), REAL)
    for encoding in Encoding:
        body = encode(named(one, REAL), nothing, REAL, encoding).body
        assert COMPRESSIONS[encoding.value].size(one, REAL) == len(body)


def test_coarser_is_smaller() -> None:
    one = differences(REAL, 1, spread=0.01)[0]
    names = ["fp32", "fp16", "int8", "int4", "int2", "top-10%", "ternary", "ternary-1.5-lean", "ternary-2", "top-1%"]
    sizes = [COMPRESSIONS[name].size(one, REAL) for name in names]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 600


def test_every_cut_of_three_levels_is_a_ternary_body_that_any_node_reads() -> None:
    one = differences(REAL, 1, spread=0.01)
    base = flat(genesis().weights, REAL)
    own = [body for body in COMPRESSIONS.values() if isinstance(body, Wired) and body.cut is not None]
    assert len(own) >= 5
    for body in own:
        sent = encode(named(base + one[0], REAL), genesis().weights, REAL, Encoding.TERNARY, body.cut)
        read = decode(sent.body, genesis().weights, REAL)
        assert flat(read, REAL).tobytes() == flat(sent.result, REAL).tobytes()
        difference = (base + one[0]) - base
        assert (base + body.arrives(difference[None], REAL)[0]).tobytes() == flat(read, REAL).tobytes()


def test_top_k_sends_the_largest_in_magnitude() -> None:
    one = np.zeros((1, TINY.parameters), np.float32)
    one[0, [2, 7, 11]] = -5, 1, -3
    found = COMPRESSIONS["top-10%"].arrives(one, TINY)[0]
    assert found[2] == pytest.approx(-5, rel=1e-6)
    assert found[11] == pytest.approx(-3, rel=0.01)
    assert np.flatnonzero(found).tolist() == [2, 11]


def test_names_say_whether_there_is_a_shadow() -> None:
    assert all(body.name == name for name, body in COMPRESSIONS.items())
    assert all(body.shadow is not name.endswith("-plain") for name, body in COMPRESSIONS.items())
