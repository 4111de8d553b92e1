"""Writes TFLite models of one operator, with the schema that LiteRT ships."""

from __future__ import annotations

import numpy as np


def convolution(kernel: np.ndarray, shape: tuple[int, int, int, int]) -> bytes:
    """`y` = the 1 x 1 convolution of `x` with a kernel `[out, 1, 1, in]`, without bias."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph, code, op = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.OperatorT()
    model.version, model.description, graph.name = 3, "tiny", "tiny"
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = 1
    model.operatorCodes, model.subgraphs = [code], [graph]
    model.buffers = [schema.BufferT() for _ in range(3)]
    for at, values in ((1, kernel), (2, np.zeros(len(kernel)))):
        model.buffers[at].data = np.frombuffer(values.astype(np.float32).tobytes(), np.uint8)
    graph.tensors = []
    shapes = (shape, kernel.shape, (len(kernel),), (*shape[:3], len(kernel)))
    for name, size, buffer in zip(("x", "kernel", "bias", "y"), shapes, (0, 1, 2, 0), strict=True):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(size), buffer
        graph.tensors.append(tensor)
    options = schema.Conv2DOptionsT()
    options.padding, options.strideH, options.strideW = schema.Padding.VALID, 1, 1
    options.dilationHFactor = options.dilationWFactor = 1
    op.opcodeIndex, op.inputs, op.outputs = 0, [0, 1, 2], [3]
    op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options
    graph.operators, graph.inputs, graph.outputs = [op], [0], [3]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
