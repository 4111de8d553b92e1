"""Wav2Lip's network against its published names, shapes and sizes, and against itself written a second time."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor

from ml.lips.wav2lip_network import PARAMETERS, fused, layout
from tests.ml.engines.published import facts
from tests.ml.lips.lively import wav2lip_network

FACE = "6-16k7 | 16-32s R R | 32-64s R R R | 64-128s R R | 128-256s R R | 256-512s R | 512-512p0 512-512k1"
SOUND = "1-32 R R 32-64v R R 64-128b R R 128-256w R 256-512p0 512-512k1"
DECODER = "512-512k1 | T1024-512x R | T1024-512 R R | T768-384 R R | T512-256 R R | T320-128 R R | T160-64 R R"
"""The published table: channels; s: half the size; v, b, w: strides (3, 1), (3, 3), (3, 2); T: twice the size, x: from
1 to 3; R: with a way around it."""


def block(tensors: Mapping[str, Tensor], name: str, told: str, x: Tensor) -> Tensor:
    weight, bias = tensors[f"{name}.conv_block.0.weight"], tensors[f"{name}.conv_block.0.bias"]
    if told.startswith("T"):
        done = functional.conv_transpose2d(x, weight, bias, *((1, 0, 0) if told.endswith("x") else (2, 1, 1)))
    else:
        stride = {"s": (2, 2), "v": (3, 1), "b": (3, 3), "w": (3, 2)}.get(told[-1], (1, 1))
        padding = 3 if told.endswith("k7") else 0 if told.endswith(("k1", "p0")) else 1
        done = functional.conv2d(x, weight, bias, stride, padding)
    mean, var, scale, shift = (
        tensors[f"{name}.conv_block.1.{part}"][:, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    done = (done - mean) / torch.sqrt(var + 1e-5) * scale + shift
    return (done + x if told == "R" else done).clamp(0)


def reference(tensors: Mapping[str, Tensor], sound: Tensor, faces: Tensor) -> Tensor:
    seen, x = [], faces
    for level, told in enumerate(FACE.split(" | ")):
        for index, one in enumerate(told.split()):
            x = block(tensors, f"face_encoder_blocks.{level}.{index}", one, x)
        seen.append(x)
    x = sound
    for index, one in enumerate(SOUND.split()):
        x = block(tensors, f"audio_encoder.{index}", one, x)
    for level, told in enumerate(DECODER.split(" | ")):
        for index, one in enumerate(told.split()):
            x = block(tensors, f"face_decoder_blocks.{level}.{index}", one, x)
        x = torch.cat([x, seen.pop()], dim=1)
    x = block(tensors, "output_block.0", "80-32", x)
    return torch.sigmoid(functional.conv2d(x, tensors["output_block.1.weight"], tensors["output_block.1.bias"]))


def test_the_layout_is_the_published_one() -> None:
    told, shapes = facts("wav2lip"), layout()
    digest = hashlib.sha256(json.dumps(sorted([name, list(shape)] for name, shape in shapes.items())).encode())
    counted = [shape for name, shape in shapes.items() if not name.endswith(("_mean", "_var", "_tracked"))]
    assert len(shapes) == told["tensors"]
    assert digest.hexdigest() == told["layout_sha256"]
    assert sum(map(math.prod, counted)) == told["parameters"] == PARAMETERS
    for name, shape in told["shapes"].items():
        assert list(shapes[name]) == shape, name


def test_the_published_files_have_room_for_it_and_its_optimiser() -> None:
    """Adam keeps two numbers for each parameter; names and descriptions take less than 0.1 %."""
    for file in facts("wav2lip")["files"].values():
        numbers = sum(map(math.prod, layout().values())) + 2 * PARAMETERS
        assert 0 < file["bytes"] - 4 * numbers < 0.001 * file["bytes"]


def test_computes_what_the_table_says_fused_or_not() -> None:
    torch.manual_seed(1)
    sound, faces = torch.randn(2, 1, 80, 16), torch.rand(2, 6, 96, 96)
    with torch.no_grad():
        expected = reference(wav2lip_network().state_dict(), sound, faces)
        drawn = wav2lip_network()(sound, faces)
        quick = fused(copy.deepcopy(wav2lip_network()))(sound, faces)
    assert drawn.shape == (2, 3, 96, 96)
    assert 0 <= float(drawn.min()) < float(drawn.max()) <= 1
    assert torch.allclose(drawn, expected, atol=1e-5)
    assert torch.allclose(quick, drawn, atol=1e-5)
    assert float((drawn[0] - drawn[1]).abs().max()) > 1e-3  # it does depend on what it is given


@pytest.mark.parametrize("which", ["sound", "faces"])
def test_heeds_both_sound_and_face(which: str) -> None:
    torch.manual_seed(2)
    sound, faces = torch.randn(1, 1, 80, 16), torch.rand(1, 6, 96, 96)
    with torch.no_grad():
        before = wav2lip_network()(sound, faces)
        after = wav2lip_network()(sound + 3, faces) if which == "sound" else wav2lip_network()(sound, 1 - faces)
    assert float((before - after).abs().max()) > 1e-3
