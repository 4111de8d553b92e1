"""Networks of published sizes: as many parameters as published, runs of fixed length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.device import Placement
from ml.engines import shapes
from ml.engines.shapes import SHAPES, build, parameters
from ml.errors import EngineFailed

SMALL = {
    "whisper": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16},
    "moonshine": {
        "hidden_size": 16,
        "intermediate_size": 16,
        "encoder_num_hidden_layers": 1,
        "decoder_num_hidden_layers": 1,
        "encoder_num_attention_heads": 2,
        "decoder_num_attention_heads": 2,
    },
    "translate": {
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_ffn_dim": 16,
        "decoder_ffn_dim": 16,
    },
}


@pytest.mark.parametrize("name", SHAPES)
def test_it_has_the_parameters_that_were_counted(name: str) -> None:
    assert parameters(SHAPES[name]) == SHAPES[name].parameters


def test_an_int8_one_cannot_be_compiled_and_says_so() -> None:
    shape = SHAPES["opus-mt"]
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    small = replace(shape, values={**shape.values, **SMALL["translate"], **heads})
    with pytest.raises(EngineFailed, match="int8"):
        build(small, Placement("cpu", "int8", compiled=True))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["whisper-tiny", "opus-mt"])
def test_a_compiled_run_makes_the_same_tokens(name: str) -> None:
    shape = SHAPES[name]
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    small = replace(shape, values={**shape.values, **SMALL[shape.job], **heads})
    bare, compiled = build(small, Placement()), build(small, Placement(compiled=True))
    assert (bare.compiled, compiled.compiled) == (False, True)
    assert compiled.run() == bare.run()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("name", ["whisper-tiny", "moonshine-tiny", "opus-mt"])
def test_a_run_makes_as_many_tokens_as_it_says(name: str, dtype: str) -> None:
    shape = SHAPES[name]
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    small = replace(shape, values={**shape.values, **SMALL[shape.job], **heads})
    built = build(small, Placement("cpu", dtype))
    (tokens,) = built.run()  # type: ignore[misc]
    assert len(tokens) == shapes.TOKENS + (4 if shape.job == "whisper" else 1)
    assert str(shapes.TOKENS) in built.what
    assert built.run() == [tokens], "it is the same each time"


def test_moonshine_streaming_makes_as_many_tokens_too() -> None:
    shape = SHAPES["moonshine-streaming-tiny"]
    few = {"num_hidden_layers": 1, "intermediate_size": 16}
    encoder = {**shape.values["encoder_config"], **few, "sliding_windows": [[16, 4]]}
    built = build(replace(shape, values={**shape.values, **few, "encoder_config": encoder}), Placement())
    (tokens,) = built.run()  # type: ignore[misc]
    assert len(tokens) == shapes.TOKENS + 1
    assert built.run() == [tokens], "what it read is not changed by reading"


def test_speech_is_as_long_as_it_says() -> None:
    widths = {"hidden_size": 24, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_layers": 1}
    more = {"decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "speech_decoder_prenet_units": 16}
    built = build(replace(SHAPES["speecht5"], values={**widths, **more}), Placement())
    wave = built.run()
    assert isinstance(wave, np.ndarray)
    assert len(wave) / 16_000 == pytest.approx(built.sound, abs=0.05)
