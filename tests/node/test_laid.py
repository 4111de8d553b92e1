"""What was laid is told again as it was, and takes no memory in between."""

from __future__ import annotations

import tempfile
import tracemalloc
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.speech.items import Utterance
from ml.types import Audio, Phoneme, Speech
from node.laid import Laid


def utterance(index: int, samples: int | None) -> Utterance:
    audio = Audio(np.random.default_rng(index).normal(size=samples or 0).astype(np.float32))
    dub = Speech(audio, "ama", "es", "voice", phonemes=(Phoneme("a", 0.0, 0.1),))
    original = Audio(np.ones(16_000, np.float32))
    spoken = replace(dub, text="unfitted")
    return Utterance(
        index, index, index + 1, index + 2, original, "k", speech=spoken, dub=dub if samples is not None else None
    )


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 400)), max_size=8))
def test_utterances_come_back_in_order_with_their_dubs(sizes: list[int | None]) -> None:
    made = [utterance(at, size) for at, size in enumerate(sizes)]
    with tempfile.TemporaryDirectory() as folder, closing(Laid(Path(folder, "sound.wav"))) as laid:
        for at, one in enumerate(made):
            laid.add(one)
            assert len(list(laid)) == len(laid) == at + 1, "it may be asked for in between"
        for _ in range(2):
            for before, after in zip(made, laid, strict=True):
                assert (after.index, after.start, after.room) == (before.index, before.start, before.room)
                assert (before.dub is None) == (after.dub is None)
                if before.dub is not None and after.dub is not None:
                    np.testing.assert_array_equal(after.dub.audio.samples, before.dub.audio.samples)
                    assert (after.dub.phonemes, after.dub.text) == (before.dub.phonemes, "ama")
        assert not list(Path(folder).iterdir()), "nobody else sees the file"
    laid.close()


def test_memory_does_not_grow_with_speech(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        with closing(Laid(tmp_path / "sound.wav")) as laid:
            laid.add(utterance(0, 16_000))
            before = tracemalloc.get_traced_memory()[0]
            for at in range(100):
                laid.add(utterance(at, 16_000))
            assert sum(len(one.dub.audio.samples) for one in laid if one.dub) == 101 * 16_000
            assert tracemalloc.get_traced_memory()[0] - before < 500_000, "of 12.8 MB"
    finally:
        tracemalloc.stop()
