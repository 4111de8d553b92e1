"""Pocket TTS beyond the contract: sound while it is made, voices, and what its folder lacks."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ml.device import Placement
from ml.engines.pocket_tts import FIRST, PIECE, PocketVoice
from ml.engines.protocols import EngineHome, StreamingTts
from ml.errors import BadAudio, BadText, EngineFailed, ModelDamaged, Unavailable
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio, Delivery
from tests.conftest import ROOT
from tests.ml.engines.tiny import checkpoint, tiny_specs

(SPEC,) = tiny_specs(["tiny-pocket-tts"])
TEXT = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def engine():
    made = SPEC.factory(EngineHome(Path("nowhere")))
    yield made
    made.close()


def recording(name: str) -> Audio:
    return Audio(soundfile.read(ROOT / "examples" / "audio" / name, dtype="float32")[0][: 3 * SAMPLE_RATE])


def test_it_can_be_heard_before_it_is_ready(engine) -> None:
    assert isinstance(engine, StreamingTts)
    steps = []
    original = engine._frames.step
    engine._frames.step = lambda state: (steps.append(1), original(state))
    try:
        pieces = engine.stream(TEXT, "en", Delivery())
        first = next(pieces)
        assert len(steps) == FIRST
        rest = list(pieces)
    finally:
        del engine._frames.step
    assert 0 < first.seconds <= FIRST * 0.08
    assert rest
    whole = engine.speak(TEXT, "en", Delivery())
    np.testing.assert_array_equal(np.concatenate([piece.samples for piece in (first, *rest)]), whole.audio.samples)
    assert whole.audio.seconds == pytest.approx(len(steps) * 0.08, abs=0.01)


def test_a_stream_that_is_given_up_disturbs_no_other(engine) -> None:
    alone = engine.speak(TEXT, "en", Delivery()).audio.samples
    given_up = engine.stream(TEXT, "en", Delivery())
    next(given_up)
    given_up.close()
    one, other = engine.stream(TEXT, "en", Delivery()), engine.stream("Why?", "en", Delivery(voice="jean"))
    next(other)
    np.testing.assert_array_equal(np.concatenate([piece.samples for piece in one]), alone)


def test_voices_are_chosen_by_name_or_by_a_recording(engine) -> None:
    def said(**how: object) -> np.ndarray:
        return engine.speak("The fox jumps", "en", Delivery(**how)).audio.samples  # type: ignore[arg-type]

    np.testing.assert_array_equal(said(), said(voice="alba"))
    ways = [said(), said(voice="jean"), *(said(reference=recording(name)) for name in ("lj.flac", "demo.flac"))]
    for index, one in enumerate(ways):
        for other in ways[index + 1 :]:
            assert len(one) != len(other) or np.abs(one - other).max() > 1e-4
    with pytest.raises(BadText, match="nobody"):
        said(voice="nobody")
    with pytest.raises(BadAudio):
        said(reference=Audio(np.zeros(1000, np.float32)))


def test_long_texts_are_spoken_in_pieces_that_the_network_can_hold(engine) -> None:
    long = "the fox and the dog " * 30
    pieces = engine._pieces(f"{long.strip()}. {TEXT} Why?")
    sizes = [len(engine._processor.tokenizer(piece).input_ids) for piece in pieces]
    assert max(sizes) <= PIECE
    assert all(a + b > PIECE for a, b in pairwise(sizes)), "sentences that fit are spoken together"
    assert " ".join(pieces).split() == f"{long.strip()}. {TEXT} Why?".split()
    heard = list(engine.stream(f"{TEXT} " * 10, "en", Delivery()))
    pauses = [piece for piece in heard if not piece.samples.any()]
    assert len(pauses) == len(engine._pieces(f"{TEXT} " * 10)) - 1 > 0


def test_a_closed_voice_ends_its_streams() -> None:
    engine = SPEC.factory(EngineHome(Path("nowhere")))
    pieces = engine.stream(TEXT, "en", Delivery())
    next(pieces)
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        list(pieces)


def copied(to: Path) -> Checkpoint:
    found = checkpoint("tiny-pocket-tts")
    shutil.copytree(found.folder, to / "copy")
    return Checkpoint(found.entry, to / "copy", found.revision)


def test_what_the_folder_lacks_is_said(tmp_path: Path) -> None:
    made = copied(tmp_path)
    (made.folder / "voices" / "alba.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelDamaged, match="alba"):
        PocketVoice.load(SPEC, made, Placement())
    shutil.rmtree(made.folder / "voices")
    voiceless = PocketVoice.load(SPEC, made, Placement())
    with pytest.raises(BadText, match="no voice of its own"):
        voiceless.speak("fox", "en", Delivery())
    assert len(voiceless.speak("fox", "en", Delivery(reference=recording("lj.flac"))).audio.samples)
    (made.folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelDamaged, match="chat_template"):
        PocketVoice.load(SPEC, made, Placement())
    shutil.rmtree(made.folder / "audio_tokenizer")
    with pytest.raises(Unavailable, match="audio_tokenizer"):
        PocketVoice.load(SPEC, made, Placement())


def test_a_codec_that_cannot_hear_speaks_in_its_own_voices(tmp_path: Path) -> None:
    """The publisher has weights without voice cloning: the codec's encoder is left out."""
    from transformers import PocketTTSAudioTokenizerModel

    made = copied(tmp_path)
    folder = made.folder / "audio_tokenizer"
    codec = PocketTTSAudioTokenizerModel.from_pretrained(folder, encoder_config=None)
    codec.save_pretrained(folder)
    deaf = PocketVoice.load(SPEC, made, Placement())
    assert not deaf.capabilities().clones
    assert len(deaf.speak("fox", "en", Delivery(reference=recording("lj.flac"))).audio.samples)
