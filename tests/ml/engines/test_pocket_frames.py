"""Pocket TTS frame by frame: the frames of transformers' own loop, and blocks that sound as the whole does."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
import transformers

from ml.device import Placement
from ml.engines.pocket_frames import KEPT, Frames
from ml.engines.pocket_tts import CONTEXT
from ml.engines.speaking import seeded
from ml.types import SAMPLE_RATE, Audio
from tests.conftest import ROOT
from tests.ml.engines.tiny import checkpoint
from tests.ml.engines.tiny_pocket_tts import processor

TEXT = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def network():
    return transformers.PocketTTSForConditionalGeneration.from_pretrained(checkpoint("tiny-pocket-tts").folder).eval()


@pytest.fixture(scope="module")
def codec():
    folder = checkpoint("tiny-pocket-tts").folder / "audio_tokenizer"
    return transformers.PocketTTSAudioTokenizerModel.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def frames(network, codec) -> Frames:
    return Frames(network, codec, Placement())


def voice() -> torch.Tensor:
    return torch.randn(15, 8, generator=torch.Generator().manual_seed(3))


def ours(frames: Frames, text: str) -> list[torch.Tensor]:
    made = processor()
    prompt = made.apply_chat_template([{"role": "user", "content": [{"type": "text", "text": text}]}])
    state = frames.begin(made.tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids, 2, voice())
    while not state.ended:
        frames.step(state)
    frames.step(state)
    return state.latents


@pytest.mark.parametrize("sampled", [False, True])
def test_the_latents_are_those_of_transformers(network, codec, sampled: bool) -> None:
    """With the voice in one prompt with the text, and transformers' own loop."""
    network.generation_config.do_sample = sampled
    made = processor()
    prompt = made.apply_chat_template(
        [{"role": "user", "content": [{"type": "audio"}, {"type": "text", "text": TEXT}]}]
    )
    inputs = made(text=prompt, audio_prompt_latents=[voice()], return_tensors="pt")
    with torch.inference_mode(), seeded(0):
        wanted = network.generate(**inputs)
    wanted = wanted[0] if isinstance(wanted, list) else wanted.audio_latents[0]
    found = torch.stack(ours(Frames(network, codec, Placement()), TEXT))
    network.generation_config.do_sample = True
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_blocks_sound_as_the_whole_does(frames, codec) -> None:
    latents = list(torch.randn(90, 8, generator=torch.Generator().manual_seed(1)))
    with torch.inference_mode():
        whole = codec.decode(torch.stack(latents)[None]).audio_values[0, 0].numpy()
    parts, done = [], 0
    for size in (2, 10, 18, 50, 51, 90):
        parts.append(frames.sound(latents[:size], done, CONTEXT))
        done = size
    made = np.concatenate(parts)
    assert made.shape == whole.shape
    assert np.abs(made - whole).max() < 1e-3 * np.abs(whole).max()
    careless = frames.sound(latents, 60, 0)
    assert np.abs(careless - whole[-len(careless) :]).max() > 1e-2 * np.abs(whole).max()


def test_a_voice_is_computed_once(frames) -> None:
    first = frames._prefix(voice())
    length = first.get_seq_length()
    ours(frames, "fox")
    assert frames._prefix(voice()) is first
    assert first.get_seq_length() == length == 16, "what is spoken is not added to the voice"
    for seed in range(KEPT + 2):
        frames._prefix(torch.full((3, 8), float(seed)))
    assert len(frames._prefixes) == KEPT


def test_a_voice_is_heard_as_the_processor_hears_it(frames, codec) -> None:
    import soxr

    samples = soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0][: 2 * SAMPLE_RATE]
    made = processor()
    made.audio_tokenizer = codec
    wanted, _ = made._process_audio([soxr.resample(samples, SAMPLE_RATE, 24_000)], sampling_rate=24_000)
    found = frames.heard(Audio(samples), made.feature_extractor)
    count = int(wanted["audio_latents_mask"].sum())
    torch.testing.assert_close(found, wanted["audio_latents"][0][:count], atol=1e-4, rtol=1e-4)
