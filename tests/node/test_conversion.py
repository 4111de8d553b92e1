"""A recording in another voice: what is converted, in whose voice, and what is told."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.read import read
from ml.audio.vad import SileroNetwork
from ml.audio.write import AudioWriter, write
from ml.engines.registry import Registry
from ml.errors import BadAudio, EngineFailed, Unavailable
from ml.speech.items import InputEnded, SpeechClosed
from ml.types import SAMPLE_RATE, Audio
from ml.voice.profile import build_profile
from node import conversion
from node.conversion import LONGEST_PIECE, REFERENCE_SECONDS, ConvertOptions, convert
from node.errors import BadRequest, NotFound
from node.voices import VoiceShelf
from tests.fakes import QuarterLonger, TellingEncoder, fake_registry, fake_spec, silence


def quiet(stage: str, done: float, total: float | None) -> None:
    """Nobody watches."""


@pytest.fixture
def demo(repository: Path) -> Path:
    return repository / "examples" / "audio" / "demo.flac"


@pytest.fixture
def voices(tmp_path: Path, demo: Path) -> VoiceShelf:
    """One voice, with a recording kept."""
    shelf = VoiceShelf(tmp_path / "voices")
    heard = read(demo)
    encoder = TellingEncoder(fake_spec("fake-speaker", "speaker"))
    shelf.put("anna", build_profile([Audio(heard.samples)], encoder, None, "en"))
    folder = shelf.recordings("anna")
    folder.mkdir()
    write(folder / "0000.flac", Audio(heard.samples))
    return shelf


def registry(tmp_path: Path, converter: object, like: float = 1.0) -> Registry:
    """`like` is the cosine of all that is heard to what was enrolled."""
    embedding = np.zeros(8, np.float32)
    embedding[:2] = like, np.sqrt(1 - like * like)
    speaker = TellingEncoder(fake_spec("fake-speaker", "speaker"), embedding)
    return fake_registry(tmp_path, conversion=converter, speaker=speaker)


def speech(path: Path) -> list[SpeechClosed]:
    return [one for one in conversion._speech(path, SileroNetwork.load()) if isinstance(one, SpeechClosed)]


def test_speech_is_converted_and_pauses_keep_their_length(tmp_path: Path, demo: Path, voices: VoiceShelf) -> None:
    engine, places = QuarterLonger(), []
    done = convert(
        demo,
        tmp_path / "out.wav",
        ConvertOptions("anna"),
        registry(tmp_path, engine, like=0.8),
        voices,
        lambda stage, at, total: places.append((at, total)),
    )
    said, made, given = speech(demo), read(tmp_path / "out.wav").samples, read(demo)
    assert done.pieces == len(said) == len(engine.given) == 3
    assert done.seconds == pytest.approx(given.seconds + sum(one.audio.seconds for one in said) / 4, abs=0.01)
    assert done.seconds == pytest.approx(len(made) / SAMPLE_RATE, abs=1e-3)
    late = 0
    for one in said:  # each where it was, later by what those before it grew, after silence
        first, size = round(one.start * SAMPLE_RATE) + late, len(one.audio.samples)
        heard = made[first : first + size]
        assert np.corrcoef(heard, one.audio.samples)[0, 1] > 0.98, "the same, but for the mark"
        assert np.abs(heard).max() == pytest.approx(np.abs(one.audio.samples).max() / 2, rel=0.15)
        assert np.abs(made[first - 800 : first]).max() < 2e-3
        late += size // 4
    assert (done.engine, done.reference, done.silent) == ("quarter-longer", "the recordings kept with the voice", ())
    assert done.similarity_before == done.similarity_after == pytest.approx(0.8, abs=1e-4)
    assert all(REFERENCE_SECONDS >= seconds > 8 for seconds in engine.references)
    assert places[-1][1] == pytest.approx(given.seconds, abs=0.01)
    assert places == sorted(places)


def test_long_speech_comes_in_pieces_that_are_not_long(tmp_path: Path, repository: Path) -> None:
    spoken = read(repository / "examples" / "audio" / "lj.flac").samples
    with AudioWriter(tmp_path / "long.flac") as writer:
        for _ in range(6):
            writer.write(spoken[2000 : 2000 + 4 * SAMPLE_RATE])
    found = list(conversion._speech(tmp_path / "long.flac", SileroNetwork.load()))
    assert isinstance(found[-1], InputEnded)
    assert found[-1].seconds == pytest.approx(24, abs=0.01)
    pieces = [one for one in found if isinstance(one, SpeechClosed)]
    assert max(one.audio.seconds for one in pieces) <= LONGEST_PIECE + 0.3
    assert all(one.end <= two.start + 1e-6 for one, two in pairwise(pieces))
    assert sum(one.audio.seconds for one in pieces) > 20


@given(st.integers(1, 3 * SAMPLE_RATE))
@settings(deadline=None, max_examples=20)
def test_silence_is_put_around_short_pieces_and_taken_away_again(count: int) -> None:
    engine, reference = QuarterLonger(), Audio(silence(1))
    made = conversion._converted(Audio(np.ones(count, np.float32)), engine, reference)
    assert engine.given == [max(count, SAMPLE_RATE) / SAMPLE_RATE]
    assert np.count_nonzero(made) == count, "nothing that sounds is lost"
    padding = max(0, SAMPLE_RATE - count)
    assert len(made) <= 1.25 * max(count, SAMPLE_RATE) - 1.125 * padding + 2


def test_of_silence_alone_nothing_is_cut_off() -> None:
    made = conversion._converted(Audio(silence(0.3)), QuarterLonger(), Audio(silence(1)))
    assert len(made) == 1.25 * SAMPLE_RATE


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_what_an_engine_makes_of_a_short_piece_without_its_silence_is_kept_whole(kept: float) -> None:
    class Shortening(QuarterLonger):
        """Leaves out all silence before, and of that after all but a part."""

        def convert(self, audio: Audio, reference: Audio) -> Audio:
            sounds = np.flatnonzero(audio.samples)
            end = sounds[-1] + 1
            return Audio(audio.samples[sounds[0] : end + int(kept * (len(audio.samples) - end))])

    spoken = np.full(4800, 0.5, np.float32)
    made = conversion._converted(Audio(spoken), Shortening(), Audio(silence(1)))
    assert (made[:4800] == spoken).all()
    assert len(made) <= 4800 + kept * 5600


def test_words_with_pauses_between_stay_words_with_pauses(tmp_path: Path, demo: Path, voices: VoiceShelf) -> None:
    spoken = read(demo).samples
    loudest = int(np.argmax(np.convolve(spoken**2, np.ones(4800), "valid")))
    word = spoken[loudest : loudest + 4800]
    with AudioWriter(tmp_path / "words.flac") as writer:
        for _ in range(8):
            writer.write(silence(0.5))
            writer.write(word)
            writer.write(silence(0.5))
    engine = QuarterLonger()
    done = convert(
        tmp_path / "words.flac", tmp_path / "out.wav", ConvertOptions("anna"), registry(tmp_path, engine), voices, quiet
    )
    said = speech(tmp_path / "words.flac")
    assert done.pieces == len(said) == 8
    assert all(one.audio.seconds < 1 for one in said)
    grown = sum(1.25 - 1.125 * (1 - one.audio.seconds) - one.audio.seconds for one in said)
    assert done.seconds_before == pytest.approx(10.4, abs=0.01)
    assert done.seconds <= done.seconds_before + grown + 0.01
    assert done.seconds < 12.5, "a second each would be 15 and more"
    heard = read(tmp_path / "out.wav").samples
    assert (heard**2).sum() == pytest.approx(8 * ((word / 2) ** 2).sum(), rel=0.1), "every word is there"


def test_a_piece_that_fails_is_silent_and_told(tmp_path: Path, demo: Path, voices: VoiceShelf) -> None:
    done = convert(
        demo,
        tmp_path / "out.wav",
        ConvertOptions("anna"),
        registry(tmp_path, QuarterLonger(fails=[1])),
        voices,
        quiet,
    )
    second = speech(demo)[1]
    assert done.silent == ((round(second.start, 2), round(second.end, 2)),)
    assert any("1 of 3 pieces" in warning and "came to no end" in warning for warning in done.warnings)
    with pytest.raises(EngineFailed, match="no end"):
        convert(
            demo,
            tmp_path / "none.wav",
            ConvertOptions("anna"),
            registry(tmp_path, QuarterLonger(fails=range(3))),
            voices,
            quiet,
        )
    assert not (tmp_path / "none.wav").exists()


def test_a_voice_without_sound_needs_a_recording_that_is_like_it(
    tmp_path: Path, demo: Path, voices: VoiceShelf
) -> None:
    (voices.recordings("anna") / "0000.flac").unlink()
    out = tmp_path / "out.wav"
    with pytest.raises(BadRequest, match="keeps no sound") as refused:
        convert(demo, out, ConvertOptions("anna"), registry(tmp_path, QuarterLonger()), voices, quiet)
    assert "--like" in refused.value.remedy
    assert "--keep-recordings" in refused.value.remedy
    like = ConvertOptions("anna", like=(demo,))
    done = convert(demo, out, like, registry(tmp_path, QuarterLonger(), like=0.9), voices, quiet)
    assert done.reference == "the recordings given"
    out.unlink()
    with pytest.raises(BadRequest, match=r"do not sound like the voice anna: a cosine of 0\.50"):
        convert(demo, out, like, registry(tmp_path, QuarterLonger(), like=0.5), voices, quiet)
    anna = voices.get("anna")
    voices.put("anna", replace(anna, ceiling=0.5))  # an encoder whose cosines are lower throughout
    assert convert(demo, out, like, registry(tmp_path, QuarterLonger(), like=0.5), voices, quiet).pieces == 3
    out.unlink()
    with pytest.raises(BadRequest, match="Nothing can tell"):
        convert(demo, out, like, fake_registry(tmp_path, conversion=QuarterLonger(), speaker=None), voices, quiet)
    assert not out.exists()


def test_likeness_is_left_out_where_nothing_measures_it(tmp_path: Path, demo: Path, voices: VoiceShelf) -> None:
    engines = fake_registry(tmp_path, conversion=QuarterLonger(), speaker=None)
    done = convert(demo, tmp_path / "out.wav", ConvertOptions("anna"), engines, voices, quiet)
    assert done.similarity_before is done.similarity_after is None
    assert any("Likeness is not measured" in warning for warning in done.warnings)


def test_what_cannot_be_done_is_told_before_anything_is_written(tmp_path: Path, demo: Path, voices: VoiceShelf) -> None:
    engines, out = registry(tmp_path, QuarterLonger()), tmp_path / "out.wav"
    with pytest.raises(NotFound, match="nobody"):
        convert(demo, out, ConvertOptions("nobody"), engines, voices, quiet)
    with pytest.raises(Unavailable, match="conversion"):
        convert(demo, out, ConvertOptions("anna"), registry(tmp_path, None), voices, quiet)
    with pytest.raises(Unavailable, match="odd"):
        convert(demo, out, ConvertOptions("anna", "odd"), engines, voices, quiet)
    write(tmp_path / "still.wav", Audio(silence(3.0)))
    with pytest.raises(BadAudio, match="no speech"):
        convert(tmp_path / "still.wav", out, ConvertOptions("anna"), engines, voices, quiet)
    with pytest.raises(BadAudio, match="too little to hear"):
        convert(
            demo,
            out,
            ConvertOptions("anna", like=(tmp_path / "still.wav",)),
            registry(tmp_path, QuarterLonger()),
            voices,
            quiet,
        )
    copy = tmp_path / "copy.flac"
    copy.write_bytes(demo.read_bytes())
    with pytest.raises(BadRequest, match="overwrite"):
        convert(copy, tmp_path / "." / "copy.flac", ConvertOptions("anna"), engines, voices, quiet)
    with pytest.raises(BadRequest, match=r"overwrite the recording .*copy\.flac"):
        convert(demo, copy, ConvertOptions("anna", like=(demo, copy)), engines, voices, quiet)
    assert copy.read_bytes() == demo.read_bytes()
    assert not out.exists()
