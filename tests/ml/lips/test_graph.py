"""A part of a model computes what the whole computes there, and a damaged file is refused."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.graph import cut
from ml.lips.mesh import split

flatbuffers = pytest.importorskip("flatbuffers", reason="needs LiteRT: pip install ai-edge-litert")
ATTENTION = "mediapipe-face/0.10.21/mediapipe/modules/face_landmark/face_landmark_with_attention.tflite"


def tiny(graphs: int = 1) -> bytes:
    """A model `twice = x + x; squared = twice * twice; shifted = squared + one`, as LiteRT's own writer packs it."""
    from ai_edge_litert import schema_py_generated as schema

    def op(code: int, inputs: list[int], output: int, kind: int, options: Any) -> Any:
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = code, inputs, [output]
        made.builtinOptionsType, made.builtinOptions = kind, options
        return made

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.description, graph.name = 3, "tiny", "tiny"
    model.buffers = [schema.BufferT(), schema.BufferT()]
    model.buffers[1].data = np.frombuffer(np.full(4, 1, np.float32).tobytes(), np.uint8)
    model.operatorCodes = []
    for builtin in (0, 18):  # ADD, MUL
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        model.operatorCodes.append(code)
    graph.tensors = []
    for name, buffer in (("x", 0), ("twice", 0), ("squared", 0), ("one", 1), ("shifted", 0)):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, [1, 4], buffer
        graph.tensors.append(tensor)
    add, mul = schema.BuiltinOptions.AddOptions, schema.BuiltinOptions.MulOptions
    graph.operators = [
        op(0, [0, 0], 1, add, schema.AddOptionsT()),
        op(1, [1, 1], 2, mul, schema.MulOptionsT()),
        op(0, [2, 3], 4, add, schema.AddOptionsT()),
    ]
    graph.inputs, graph.outputs = [0], [4]
    model.subgraphs = [graph] * graphs
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def computed(model: bytes, value: np.ndarray) -> list[np.ndarray]:
    """By LiteRT: all outputs of a model of one input."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    (fed,) = interpreter.get_input_details()
    interpreter.set_tensor(fed["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]


X = np.array([[1, 2, 3, -4]], np.float32)


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        (["x"], ["shifted"], [4 * X**2 + 1]),
        (["x"], ["twice"], [2 * X]),
        (["twice"], ["squared"], [X**2]),
        (["squared"], ["shifted"], [X + 1]),
        (["x"], ["squared", "twice"], [4 * X**2, 2 * X]),
    ],
)
def test_a_part_computes_what_the_whole_computes_there(
    inputs: list[str], outputs: list[str], expected: list[np.ndarray]
) -> None:
    found = computed(cut(tiny(), inputs, outputs), X)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_part_of_a_part_is_one() -> None:
    part = cut(cut(tiny(), ["x"], ["squared"]), ["twice"], ["squared"])
    np.testing.assert_array_equal(computed(part, X)[0], X**2)


def test_weights_stay_where_they_are_aligned() -> None:
    model = tiny()
    part = cut(model, ["x"], ["twice"])
    assert part.endswith(model)
    assert (len(part) - len(model)) % 16 == 0


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        (["x"], ["nonesuch"], "nonesuch"),
        (["y"], ["twice"], "no tensor y"),
        (["squared"], ["twice"], "more of the model's inputs"),
    ],
)
def test_names_that_do_not_fit_are_refused(inputs: list[str], outputs: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        cut(tiny(), inputs, outputs)


def test_several_graphs_are_refused() -> None:
    with pytest.raises(ValueError, match="one graph"):
        cut(tiny(2), ["x"], ["twice"])


@given(st.binary(max_size=200))
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="TFLite model"):
        cut(data, ["x"], ["twice"])


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_a_damaged_model_is_refused_or_cut_but_never_anything_else(data: st.DataObject) -> None:
    model = bytearray(tiny())
    for _ in range(data.draw(st.integers(1, 4))):
        model[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    short = bytes(model[: data.draw(st.integers(0, len(model)))])
    with contextlib.suppress(ValueError):
        assert cut(short, ["x"], ["twice"]).endswith(short)


def test_the_parts_of_the_published_model_are_always_the_same(models_dir: Path) -> None:
    path = models_dir / ATTENTION
    if not path.is_file():
        pytest.skip("needs the face networks: node models pull mediapipe-face")
    digests = [hashlib.sha256(part).hexdigest() for part in split(path.read_bytes())]
    assert digests == [
        "8cae2748d96ee514a11fb179e4c336561ed816f453f9b371b7dd41e7e07a323e",
        "710183171cf3035a6ce10e83554b88ae8f425973503efa982ca28c2af5c34888",
    ]
