"""Utterances of a recogniser that hears chunk by chunk: which samples it is given, when, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.streamed import TAIL, StreamSession
from ml.engines.transducer import Piece
from ml.errors import BadAudio, EngineFailed
from ml.types import SAMPLE_RATE, Samples


@dataclass
class Recorder:
    """A `Stream` of chunks of 100 samples, the first of 60, that looks 30 samples ahead. It says at each chunk the
    chunk's number, and a language at the third."""

    before: int = 20
    frame: float = 100 / SAMPLE_RATE
    told: str | None = "es"
    given: list[Samples] = field(default_factory=list)
    heard: int = 0
    language: str | None = None

    def reach(self, chunks: int) -> tuple[int, int]:
        new = 100 * chunks - (0 if self.heard else 40)
        return new + 30, new

    def take(self, samples: Samples, chunks: int) -> list[Piece]:
        assert len(samples) == self.reach(chunks)[0]
        self.given.append(samples[: self.reach(chunks)[1]])
        first, self.heard = self.heard, self.heard + chunks
        if first <= 2 < self.heard:
            self.language = self.told
        return [Piece(chunk, chunk, chunk + 1, 0.0) for chunk in range(first, self.heard)]

    def text(self, token: int) -> str:
        return f" {token}"


def session(stream: Recorder, *, live: bool = True, step: int = 1, language: str | None = "en") -> StreamSession:
    return StreamSession(stream, "it", language, live=live, step=step)


@settings(deadline=None)
@given(st.lists(st.integers(0, 400), max_size=8), st.integers(1, 5))
def test_every_sample_is_heard_once_in_its_place_and_silence_after_it(sizes: list[int], step: int) -> None:
    stream, sound = Recorder(), np.linspace(0.1, 1.0, sum(sizes) or 1, dtype=np.float32)[: sum(sizes)]
    hearing = session(stream, step=step)
    for first, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
        hearing.accept(sound[first : first + size])
    done = hearing.finish()
    if not len(sound):
        assert (done.text, stream.given) == ("", [])
        return
    heard = np.concatenate(stream.given)
    np.testing.assert_array_equal(heard[: 20 + len(sound)], [*np.zeros(20, np.float32), *sound])
    after = heard[20 + len(sound) :]
    assert not after.any()
    assert len(after) + 30 >= TAIL * SAMPLE_RATE
    assert len(after) < TAIL * SAMPLE_RATE + 200
    assert done.text.split()[:3] == ["0", "1", "2"]
    assert done.end == len(sound) / SAMPLE_RATE


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), max_size=10), st.integers(1, 4))
def test_steps_lie_where_they_lie_however_the_sound_was_cut(sizes: list[int], step: int) -> None:
    sound = np.full(sum(sizes), 0.5, np.float32)
    one, other = Recorder(), Recorder()
    whole, pieces = session(one, step=step), session(other, step=step)
    whole.accept(sound)
    for size in sizes:
        pieces.accept(np.full(size, 0.5, np.float32))
    assert [len(samples) for samples in one.given] == [len(samples) for samples in other.given]
    assert whole.finish() == pieces.finish()


def test_no_more_is_kept_than_a_step_needs() -> None:
    stream = Recorder()
    hearing = session(stream, step=3)
    for _ in range(100):
        hearing.accept(np.full(77, 0.5, np.float32))
        stream.given.clear()
        assert sum(map(len, hearing._pieces)) == hearing._waiting < 3 * 100 + 30


def test_partial_results_come_live_only_and_grow() -> None:
    hearing, deaf = session(Recorder()), session(Recorder(), live=False)
    assert hearing.partial() is None
    said: tuple[str, ...] = ()
    for _ in range(20):
        hearing.accept(np.full(90, 0.5, np.float32))
        deaf.accept(np.full(90, 0.5, np.float32))
        partial = hearing.partial()
        now = tuple(word.text for word in partial.words) if partial else ()
        assert now[: len(said)] == said
        assert partial is None or not partial.final
        said = now
    assert len(said) > 10
    assert deaf.partial() is None
    assert deaf.finish().words
    assert hearing.pause() == 0.0


def test_the_language_is_what_was_asked_or_heard() -> None:
    for language, wanted in ((None, "es"), ("en", "en")):
        hearing = session(Recorder(), language=language)
        hearing.accept(np.full(1000, 0.5, np.float32))
        assert hearing.finish().language == wanted
    hearing = session(Recorder(told=None), language=None)
    hearing.accept(np.full(1000, 0.5, np.float32))
    assert hearing.finish().language == "", "it never said so"


def test_words_are_cut_anew_as_soon_as_the_language_is_known() -> None:
    class Chinese(Recorder):
        def text(self, token: int) -> str:
            return "\u4f60"

    hearing = session(Chinese(told="zh"), language=None)
    hearing.accept(np.full(200, 0.5, np.float32))
    partial = hearing.partial()
    assert partial is not None
    assert (partial.language, len(partial.words), partial.text) == ("", 1, "\u4f60" * 2)
    hearing.accept(np.full(300, 0.5, np.float32))
    partial = hearing.partial()
    assert partial is not None
    assert (partial.language, len(partial.words), partial.text) == ("zh", 5, "\u4f60" * 5)


def test_what_a_network_makes_of_silence_is_not_told() -> None:
    hearing = session(Recorder())
    hearing.accept(np.zeros(1000, np.float32))
    assert hearing.partial() is None
    assert hearing.finish().text == ""
    hearing = session(Recorder())
    hearing.accept(np.zeros(1000, np.float32))
    hearing.accept(np.full(1000, 0.5, np.float32))
    assert "0" not in hearing.finish().text.split()


def test_an_utterance_ends_once() -> None:
    hearing = session(Recorder())
    with pytest.raises(BadAudio):
        hearing.accept(np.zeros((2, 2), np.float32))
    hearing.abandon()
    hearing.abandon()
    for call in (hearing.finish, hearing.partial, hearing.pause, lambda: hearing.accept(np.zeros(1, np.float32))):
        with pytest.raises(EngineFailed, match="ended"):
            call()
