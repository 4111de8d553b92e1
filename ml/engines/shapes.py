"""Networks of published sizes with random weights, to measure speed and memory where no checkpoint is at hand.

A network's time does not depend on the values of its weights when the lengths of what goes in and comes out are fixed,
as they are here: every run hears the same seconds and makes the same number of tokens or frames. What such a network
says is noise. Knows no clock and no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ml.device import Placement
from ml.engines.generation import LONGEST
from ml.engines.loading import placed, silently
from ml.engines.steps import Size, Steps
from ml.engines.whisper_decoding import size_of
from ml.errors import EngineFailed, Unavailable

Job = Literal["whisper", "moonshine", "translate", "speech", "speaker", "hear"]
TOKENS = 40
"""That Whisper makes of a window of 30 s, about 10 s of speech, and Moonshine of 10 s; and that a translator makes of a
sentence."""
SENTENCE = 24
"""Tokens that a translator or a voice reads."""
BEAMS = 4
SPEECH_STEPS = 5
"""Decoder steps of SpeechT5 for a letter; each makes two frames of 16 ms."""


@dataclass(frozen=True)
class Shape:
    """A published architecture: classes of transformers, what its configuration says beyond the class's defaults, and
    where that was published. `parameters` is how many it learns, as a check."""

    name: str
    network: str
    config: str
    job: Job
    parameters: int
    source: str
    values: Mapping[str, Any] = field(default_factory=dict)


def _whisper(name: str, width: int, layers: tuple[int, int], heads: int, parameters: int, **more: int) -> Shape:
    values = {
        "vocab_size": 51865,
        "d_model": width,
        "encoder_layers": layers[0],
        "decoder_layers": layers[1],
        "encoder_attention_heads": heads,
        "decoder_attention_heads": heads,
        "encoder_ffn_dim": 4 * width,
        "decoder_ffn_dim": 4 * width,
        **more,
    }
    source = f"config.json of openai/{name}"
    return Shape(name, "WhisperForConditionalGeneration", "WhisperConfig", "whisper", parameters, source, values)


def _moonshine(name: str, width: int, layers: int, rotary: float, parameters: int) -> Shape:
    values = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "encoder_num_hidden_layers": layers,
        "decoder_num_hidden_layers": layers,
        "pad_head_dim_to_multiple_of": 8,
        "max_position_embeddings": 194,
        "partial_rotary_factor": rotary,
        "pad_token_id": 2,
    }
    source = f"config.json of UsefulSensors/{name}"
    network = "MoonshineForConditionalGeneration"
    return Shape(name, network, "MoonshineConfig", "moonshine", parameters, source, values)


def _streaming(name: str, widths: tuple[int, int], layers: int, heads: tuple[int, int], parameters: int) -> Shape:
    """`widths` are those of encoder and decoder, each of so many `layers`; `heads` are number and width."""
    number, wide = heads
    ahead, alone = [[16, 4]] * 2, [[16, 0]] * (layers - 4)
    encoder = {
        "model_type": "moonshine_streaming_encoder",
        "hidden_size": widths[0],
        "intermediate_size": 4 * widths[0],
        "num_hidden_layers": layers,
        "num_attention_heads": number,
        "num_key_value_heads": number,
        "head_dim": wide,
        "sliding_windows": [*ahead, *alone, *ahead],
    }
    values = {
        "encoder_config": encoder,
        "hidden_size": widths[1],
        "intermediate_size": 4 * widths[1],
        "num_hidden_layers": layers,
        "num_attention_heads": number,
        "num_key_value_heads": number,
    }
    source = f"config.json of UsefulSensors/{name}"
    network = "MoonshineStreamingForConditionalGeneration"
    return Shape(name, network, "MoonshineStreamingConfig", "moonshine", parameters, source, values)


SHAPES: Mapping[str, Shape] = {
    shape.name: shape
    for shape in (
        _whisper("whisper-tiny", 384, (4, 4), 6, 37_184_640),
        _whisper("whisper-base", 512, (6, 6), 8, 71_825_920),
        _whisper("whisper-small", 768, (12, 12), 12, 240_582_912),
        _whisper("whisper-large-v3-turbo", 1280, (32, 4), 20, 806_958_080, vocab_size=51866, num_mel_bins=128),
        _moonshine("moonshine-tiny", 288, 6, 0.9, 27_092_736),
        _moonshine("moonshine-base", 416, 8, 0.62, 61_513_920),
        _streaming("moonshine-streaming-tiny", (320, 320), 6, (8, 40), 44_054_721),
        _streaming("moonshine-streaming-small", (620, 512), 10, (8, 64), 140_135_225),
        Shape(
            "opus-mt",
            "MarianMTModel",
            "MarianConfig",
            "translate",
            73_886_208,
            "config.json of Helsinki-NLP/opus-mt-en-de",
            {
                "vocab_size": 58101,
                "d_model": 512,
                "encoder_layers": 6,
                "decoder_layers": 6,
                "encoder_attention_heads": 8,
                "decoder_attention_heads": 8,
                "encoder_ffn_dim": 2048,
                "decoder_ffn_dim": 2048,
                "max_position_embeddings": 512,
                "activation_function": "swish",
                "scale_embedding": True,
                "pad_token_id": 58100,
                "decoder_start_token_id": 58100,
                "eos_token_id": 0,
                "forced_eos_token_id": None,
            },
        ),
        Shape(
            "nllb-200-distilled-600M",
            "M2M100ForConditionalGeneration",
            "M2M100Config",
            "translate",
            615_073_792,
            "config.json of facebook/nllb-200-distilled-600M",
            {
                "vocab_size": 256206,
                "d_model": 1024,
                "encoder_layers": 12,
                "decoder_layers": 12,
                "encoder_attention_heads": 16,
                "decoder_attention_heads": 16,
                "encoder_ffn_dim": 4096,
                "decoder_ffn_dim": 4096,
                "max_position_embeddings": 1024,
                "scale_embedding": True,
                "decoder_start_token_id": 2,
            },
        ),
        Shape(
            "speecht5",
            "SpeechT5ForTextToSpeech",
            "SpeechT5Config",
            "speech",
            144_431_684,
            "the defaults of SpeechT5Config, which are microsoft/speecht5_tts; with its HiFi-GAN",
        ),
        Shape(
            "wavlm-base-plus-sv",
            "WavLMForXVector",
            "WavLMConfig",
            "speaker",
            100_493_132,
            "the defaults of WavLMConfig, which are microsoft/wavlm-base",
        ),
        Shape(
            "wav2vec2-base-960h",
            "Wav2Vec2ForCTC",
            "Wav2Vec2Config",
            "hear",
            94_396_320,
            "the defaults of Wav2Vec2Config, which are facebook/wav2vec2-base-960h",
        ),
    )
}
"""By name."""


@dataclass(frozen=True)
class Built:
    """A network that is ready. `run` does its job once; `sound` is the seconds of sound in a job, heard or made, and 0
    for text; `what` says what the job is."""

    run: Callable[[], object]
    sound: float
    what: str
    compiled: bool = False


def parameters(shape: Shape) -> int:
    """How many the network learns; builds nothing but its outline."""
    import torch

    with torch.device("meta"):
        network = _random(shape.network, shape.config, shape.values)
    return sum(one.numel() for one in network.parameters() if one.requires_grad)


def build(shape: Shape, placement: Placement) -> Built:
    """The network with random weights at a place, in its numbers; its decoder's steps compiled where the placement asks
    for that. Raises Unavailable, OutOfMemory, and EngineFailed where it cannot be compiled."""
    import torch

    torch.manual_seed(0)
    network = _placed(_random(shape.network, shape.config, shape.values), placement)
    return _JOBS[shape.job](network, placement)


def _random(network: str, config: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    try:
        import transformers
    except ImportError as error:
        raise Unavailable("transformers is not installed.", "pip install -c constraints.txt transformers") from error
    with silently(transformers):
        return getattr(transformers, network)(getattr(transformers, config)(**values)).eval()


def _placed(network: Any, placement: Placement) -> Any:  # noqa: ANN401
    import torch

    if placement.dtype != "int8":
        network = network.to(getattr(torch, placement.dtype))
    return placed(network, placement)


def _numbers(placement: Placement) -> Any:  # noqa: ANN401
    import torch

    return torch.float32 if placement.dtype == "int8" else getattr(torch, placement.dtype)


def _whisper_job(network: Any, placement: Placement) -> Built:  # noqa: ANN401
    import torch
    import transformers

    mel = torch.randn(1, network.config.num_mel_bins, 3000).to(placement.device, _numbers(placement))
    prompt = torch.tensor([[50258, 50259, 50359, 50363]], device=placement.device)
    fixed_lengths: Any = transformers.GenerationConfig
    generate: Any = transformers.GenerationMixin.generate  # Whisper's own cuts recordings up, and looks for timestamps
    fixed = fixed_lengths(
        min_new_tokens=TOKENS,
        max_new_tokens=TOKENS,
        do_sample=False,
        eos_token_id=50257,
        pad_token_id=50257,
        decoder_start_token_id=50258,
        disable_compile=True,
    )

    def said(steps: Steps, size: Size | None) -> object:
        with torch.inference_mode():
            given = {"encoder_outputs": network.get_encoder()(mel), "decoder_input_ids": prompt}
            if size is None:
                return generate(network, **given, generation_config=fixed).tolist()
            with steps.leading():
                cache = steps.cache(size)
                return generate(network, **given, generation_config=fixed, past_key_values=cache).tolist()

    run = _stepped(network, placement, size_of(network, 1), said)
    return Built(run, 30.0, f"a window of 30 s, {TOKENS} tokens, greedy", placement.compiled)


def _moonshine_job(network: Any, placement: Placement) -> Built:  # noqa: ANN401
    import torch
    import transformers

    sound = torch.randn(1, 10 * 16_000).to(placement.device, _numbers(placement))
    streaming = network.config.model_type == "moonshine_streaming"  # looks at all of it without a mask
    heard = {"attention_mask": torch.ones(sound.shape, dtype=torch.long, device=placement.device)} if streaming else {}
    prompt = torch.tensor([[1]], device=placement.device)
    fixed_lengths: Any = transformers.GenerationConfig
    fixed = fixed_lengths(
        min_new_tokens=TOKENS,
        max_new_tokens=TOKENS,
        do_sample=False,
        eos_token_id=2,
        pad_token_id=2,
        decoder_start_token_id=1,
    )

    def run() -> object:
        with torch.inference_mode():
            encoded = network.get_encoder()(sound, **heard)
            return network.generate(encoder_outputs=encoded, decoder_input_ids=prompt, generation_config=fixed).tolist()

    return Built(run, 10.0, f"10 s of sound, {TOKENS} tokens, greedy")


def _translate_job(network: Any, placement: Placement) -> Built:  # noqa: ANN401
    import torch

    ids = torch.arange(1, SENTENCE + 1, device=placement.device)[None]

    def said(steps: Steps, size: Size | None) -> object:
        width = SENTENCE if size is None else size.source
        given = {
            "input_ids": torch.nn.functional.pad(ids, (0, width - SENTENCE)),
            "attention_mask": (torch.arange(width, device=ids.device) < SENTENCE).long()[None],
            "num_beams": BEAMS,
            "do_sample": False,
            "min_new_tokens": TOKENS,
            "max_new_tokens": TOKENS,
            "forced_eos_token_id": None,
            "disable_compile": True,
        }
        with torch.inference_mode():
            if size is None:
                return network.generate(**given).tolist()
            read = network.get_encoder()(given.pop("input_ids"), given["attention_mask"])
            with steps.leading():
                return network.generate(**given, encoder_outputs=read, past_key_values=steps.cache(size)).tolist()

    run = _stepped(network, placement, Size(BEAMS, LONGEST, 3 * LONGEST), said)
    return Built(run, 0.0, f"a sentence of {SENTENCE} tokens into {TOKENS}, {BEAMS} beams", placement.compiled)


def _stepped(
    network: Any,  # noqa: ANN401
    placement: Placement,
    size: Size,
    said: Callable[[Steps, Size | None], object],
) -> Callable[[], object]:
    """The job `said`, by steps of a size that are compiled here and now where the placement asks for that."""
    steps = Steps(network, placement)
    if trouble := steps.rehearse([size], lambda size: said(steps, size)):
        raise EngineFailed(trouble, "Measure it without --compile.")
    return lambda: steps.run(lambda: said(steps, steps.fitting(size)))


def _speech_job(network: Any, placement: Placement) -> Built:  # noqa: ANN401
    import torch

    vocoder = _placed(_random("SpeechT5HifiGan", "SpeechT5HifiGanConfig", {}), placement)
    ids = torch.arange(5, 5 + SENTENCE, device=placement.device)[None]
    who = torch.zeros(1, network.config.speaker_embedding_dim).to(placement.device, _numbers(placement))
    ratio = float(SPEECH_STEPS * network.config.reduction_factor)

    def run() -> object:
        with torch.inference_mode():
            wave = network.generate_speech(
                ids, who, threshold=2.0, minlenratio=ratio, maxlenratio=ratio, vocoder=vocoder
            )
            return wave.float().cpu().numpy()

    frames = SENTENCE * SPEECH_STEPS * network.config.reduction_factor
    return Built(run, frames * 0.016, f"{SENTENCE} letters into {frames * 0.016:.1f} s, with the vocoder")


def _sound_job(network: Any, placement: Placement) -> Built:  # noqa: ANN401
    import torch

    sound = torch.randn(1, 10 * 16_000).to(placement.device, _numbers(placement))

    def run() -> object:
        with torch.inference_mode():
            made = network(sound)
            return made[0].float().cpu().numpy()

    return Built(run, 10.0, "10 s of sound")


_JOBS: Mapping[Job, Callable[[Any, Placement], Built]] = {
    "whisper": _whisper_job,
    "moonshine": _moonshine_job,
    "translate": _translate_job,
    "speech": _speech_job,
    "speaker": _sound_job,
    "hear": _sound_job,
}
