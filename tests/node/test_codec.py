"""Files of coded speech: with everybody's codebook or a voice's own, whole or with holes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ml.audio.logmel import HOP_SECONDS, log_mel
from ml.audio.read import read
from ml.audio.write import write
from ml.errors import BadAudio, CannotWrite
from ml.types import Audio
from ml.voice.codec.codebook import genesis_codebook
from ml.voice.codec.container import Coded, from_file, to_file
from ml.voice.codec.moments import bands_of
from ml.voice.codec.together import Together, learnt_together, stated
from node.codebooks import CodebookShelf
from node.codec import decode_file, encode_file, judged_by_enough, own_codebook
from node.errors import BadRequest, NotFound
from node.frames import FrameShelf
from tests.fakes import fake_identity
from tests.ml.voice.codec.conftest import made_speech
from tests.node.statements import offered


@pytest.fixture
def shelf(tmp_path: Path) -> FrameShelf:
    frames = FrameShelf(tmp_path / "frames")
    frames.add("me", [log_mel(made_speech(2.5, seed, colour=1.5)) for seed in range(8)])
    return frames


def test_a_voice_pays_less_with_its_own_codebook(tmp_path: Path, shelf: FrameShelf) -> None:
    write(tmp_path / "a.flac", Audio(made_speech(4.0, 20, colour=1.5)))
    plain = encode_file(tmp_path / "a.flac", tmp_path / "plain.bmc", 1.6, None, shelf)
    own = encode_file(tmp_path / "a.flac", tmp_path / "own.bmc", 1.6, "me", shelf)
    assert own.bits_saved is not None
    assert own.bits_saved > 0
    assert own.codebook != plain.codebook
    assert own.codebook_bytes < 16_000
    assert own.kbits < plain.kbits
    back = decode_file(tmp_path / "own.bmc", tmp_path / "own.wav")
    assert back.codebook == own.codebook
    assert len(read(tmp_path / "own.wav").samples) == 64_000


def heard(tmp_path: Path, count: int = 2, seed: int = 0) -> tuple[CodebookShelf, list[str]]:
    """Statements of some voices like that on the shelf."""
    kept = CodebookShelf(tmp_path / "codebooks", genesis_codebook())
    for number in range(count):
        spoken = [log_mel(made_speech(2.5, 100 * seed + 10 * number + take, colour=1.5)) for take in range(3)]
        who, statement = fake_identity(number), stated(genesis_codebook(), bands_of(spoken))
        kept.keep(who.peer_id, *offered(who, statement))
    return kept, [fake_identity(number).peer_id for number in range(count)]


def test_what_peers_stated_saves_more_and_is_told(tmp_path: Path) -> None:
    frames = FrameShelf(tmp_path / "few")
    frames.add("me", [log_mel(made_speech(3.1, seed, colour=1.5)) for seed in range(2)])
    write(tmp_path / "a.flac", Audio(made_speech(4.0, 20, colour=1.5)))
    alone = encode_file(tmp_path / "a.flac", tmp_path / "alone.bmc", 1.6, "me", frames)
    helped = encode_file(tmp_path / "a.flac", tmp_path / "helped.bmc", 1.6, "me", frames, heard(tmp_path))
    assert alone.peers == 0
    assert alone.saved_by_peers == 0
    assert helped.peers in (1, 2)
    assert helped.bits_saved == pytest.approx(alone.bits_saved + helped.saved_by_peers, abs=0.02)
    assert helped.saved_by_peers > 0
    assert helped.kbits < alone.kbits


def test_a_codebook_is_made_again_only_for_other_speech_or_statements(
    tmp_path: Path, shelf: FrameShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = heard(tmp_path)
    first = own_codebook("me", shelf, peers)
    calls = []

    def made(*given: object) -> Together:
        calls.append(given)
        return learnt_together(*given)

    monkeypatch.setattr("node.codec.learnt_together", made)
    again = own_codebook("me", FrameShelf(tmp_path / "frames"), peers)
    assert (again.codebook.digest, again.saved, again.peers) == (first.codebook.digest, first.saved, first.peers)
    assert not calls
    own_codebook("me", shelf, heard(tmp_path, 1, seed=3))
    assert len(calls) == 1, "another statement"
    shelf.add("me", [log_mel(made_speech(1.0, 77))])
    own_codebook("me", shelf, heard(tmp_path, 1, seed=3))
    assert len(calls) == 2, "more speech"
    (shelf.path("me") / "codebook").write_bytes(b"broken")
    own_codebook("me", shelf, heard(tmp_path, 1, seed=3))
    assert len(calls) == 3, "what is damaged is as good as not there"


def test_too_little_speech_is_said(tmp_path: Path, shelf: FrameShelf) -> None:
    shelf.add("short", [log_mel(made_speech(1.0))])
    with pytest.raises(BadRequest, match="too little"):
        own_codebook("short", shelf)
    with pytest.raises(NotFound, match="no voice called 'you' with speech") as caught:
        own_codebook("you", shelf)
    assert "node voice add you RECORDING..." in caught.value.remedy
    assert "Here are: " in caught.value.remedy


@pytest.mark.parametrize(("seconds", "judged"), [((2.9, 2.9), None), ((2.0,) * 4, 2), ((4.0, 4.0), 1)])
def test_a_codebook_is_chosen_by_three_seconds_of_speech_or_there_is_none(
    tmp_path: Path, seconds: tuple[float, ...], judged: int | None
) -> None:
    """By two seconds a codebook was once chosen that cost its owner a fifth more."""
    spoken = [log_mel(made_speech(length, seed)) for seed, length in enumerate(seconds)]
    parts = judged_by_enough(spoken)
    if judged is None:
        assert parts is None
        frames = FrameShelf(tmp_path / "frames")
        frames.add("me", spoken)
        with pytest.raises(BadRequest, match="too little") as caught:
            own_codebook("me", frames)
        assert "3 s in whole utterances" in caught.value.remedy
        return
    assert parts is not None
    assert parts.train
    assert len(parts.held_out) == judged
    assert sum(map(len, parts.held_out)) * HOP_SECONDS >= 3.0 - 0.1


def test_holes_are_counted_and_filled(tmp_path: Path, shelf: FrameShelf) -> None:
    write(tmp_path / "a.flac", Audio(made_speech(1.0)))
    encode_file(tmp_path / "a.flac", tmp_path / "a.bmc", 1.0, None, shelf)
    coded = from_file((tmp_path / "a.bmc").read_bytes(), [genesis_codebook()])
    packets = tuple(None if number == 3 else packet for number, packet in enumerate(coded.packets))
    holed = Coded(coded.codebook, coded.step, coded.gain, coded.samples, packets)
    (tmp_path / "holed.bmc").write_bytes(to_file(holed, genesis_codebook()))
    facts = decode_file(tmp_path / "holed.bmc", tmp_path / "a.wav")
    assert facts.lost == 1
    assert np.isfinite(read(tmp_path / "a.wav").samples).all()


def test_endless_and_empty_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "long.bmc").write_bytes(bytes(5_000_000))
    with pytest.raises(BadAudio, match="longer"):
        decode_file(tmp_path / "long.bmc", tmp_path / "a.wav")
    empty = to_file(Coded(genesis_codebook(), 76, 0, 0, ()), genesis_codebook())
    (tmp_path / "empty.bmc").write_bytes(empty)
    with pytest.raises(BadAudio, match="no speech"):
        decode_file(tmp_path / "empty.bmc", tmp_path / "a.wav")


def test_the_result_goes_where_its_name_leads_with_the_rights_that_are_usual(tmp_path: Path, shelf: FrameShelf) -> None:
    write(tmp_path / "a.flac", Audio(made_speech(1.0, 20)))
    (tmp_path / "disk").mkdir()
    (tmp_path / "link.bmc").symlink_to(tmp_path / "disk" / "kept.bmc")
    before = os.umask(0o077)
    try:
        encode_file(tmp_path / "a.flac", tmp_path / "link.bmc", 1.6, None, shelf)
    finally:
        os.umask(before)
    assert (tmp_path / "link.bmc").is_symlink()
    assert (tmp_path / "disk" / "kept.bmc").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["kept.bmc"]
    os.mkfifo(tmp_path / "pipe.bmc")
    with pytest.raises(CannotWrite, match=r"pipe\.bmc is not an ordinary file"):
        encode_file(tmp_path / "a.flac", tmp_path / "pipe.bmc", 1.6, None, shelf)
    assert (tmp_path / "pipe.bmc").is_fifo()
    with pytest.raises(BadAudio):
        encode_file(tmp_path / "nowhere.flac", tmp_path / "disk" / "new.bmc", 1.6, None, shelf)
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["kept.bmc"]
