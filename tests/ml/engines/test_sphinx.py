"""PocketSphinx itself, on real speech and on what is no speech."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines import sphinx
from ml.engines.protocols import Asr, AsrOptions, EngineHome
from ml.errors import BadAudio, BadText, EngineFailed, UnsupportedLanguage
from ml.types import SAMPLE_RATE, Samples, Transcript

LIVE = AsrOptions(live=True)
SENTENCE = "he might even have been made amiable himself"
GRAMMAR = f"#JSGF V1.0;\ngrammar austen;\npublic <line> = {SENTENCE} | had he married a zorblaxian woman;\n"


@pytest.fixture(scope="module")
def engine() -> Iterator[sphinx.Sphinx]:
    made = sphinx.SPEC.factory(EngineHome(Path("unused")))
    assert isinstance(made, sphinx.Sphinx)
    yield made
    made.close()


@pytest.fixture(scope="module")
def recording(repository: Path) -> Samples:
    """Three sentences of one reader, with pauses."""
    samples, rate = soundfile.read(repository / "examples" / "audio" / "demo.flac", dtype="float32")
    assert rate == SAMPLE_RATE
    return np.asarray(samples, np.float32)


@pytest.fixture(scope="module")
def himself(recording: Samples) -> Samples:
    """The last sentence, about three seconds."""
    return recording[-round(3.6 * SAMPLE_RATE) :]


def hear(engine: sphinx.Sphinx, options: AsrOptions, samples: Samples) -> Transcript:
    session = engine.listen(options)
    for at in range(0, len(samples), 1600):
        session.accept(samples[at : at + 1600])
    return session.finish()


def test_it_keeps_the_contract_of_a_recogniser(engine: sphinx.Sphinx) -> None:
    assert isinstance(engine, Asr)
    assert not sphinx.SPEC.missing(EngineHome(Path("unused")))
    assert engine.capabilities().languages == ("en",) == sphinx.SPEC.languages
    assert engine.capabilities().version.startswith("pocketsphinx 5")


@pytest.mark.parametrize("live", [True, False])
def test_a_real_sentence_is_heard_with_times_and_confidence(
    engine: sphinx.Sphinx, himself: Samples, live: bool
) -> None:
    result = hear(engine, AsrOptions(live=live), himself)
    assert len(set(result.text.split()) & set(SENTENCE.split())) >= 6, result.text
    assert result.final
    assert result.end == pytest.approx(len(himself) / SAMPLE_RATE)
    assert 0.3 < result.confidence <= 1.0
    assert " ".join(word.text for word in result.words) == result.text
    times = [time for word in result.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] >= 0.0
    assert times[-1] <= result.end + 0.1


def test_partials_grow_while_it_listens(engine: sphinx.Sphinx, himself: Samples) -> None:
    session = engine.listen(LIVE)
    seen = []
    for at in range(0, len(himself), 3200):
        session.accept(himself[at : at + 3200])
        partial = session.partial()
        if partial is not None:
            assert not partial.final
            seen.append(partial.text)
    final = session.finish()
    assert len(set(seen)) >= 4
    assert len(set(seen[-1].split()) & set(final.text.split())) >= 5


@given(st.lists(st.integers(1, 9000), max_size=12))
@settings(deadline=None, max_examples=2)
def test_pieces_of_any_size_are_heard_alike(engine: sphinx.Sphinx, himself: Samples, cuts: list[int]) -> None:
    session = engine.listen(LIVE)
    at = 0
    for cut in (*cuts, len(himself)):
        session.accept(himself[at : at + cut])
        at += cut
    assert session.finish() == hear(engine, LIVE, himself)


def test_an_utterance_leaves_no_trace_on_the_next(engine: sphinx.Sphinx, recording: Samples, himself: Samples) -> None:
    start = himself[: 3 * SAMPLE_RATE // 2]
    for options in (LIVE, AsrOptions()):
        first = hear(engine, options, start)
        hear(engine, options, 3 * recording[:SAMPLE_RATE])
        assert first.text
        assert hear(engine, options, start) == first


def test_notes_make_their_words_heard_also_those_no_dictionary_has(
    engine: sphinx.Sphinx, himself: Samples, repository: Path
) -> None:
    notes = (repository / "examples" / "audio" / "demo-notes.txt").read_text(encoding="utf-8")
    options = AsrOptions(live=True, notes=notes + "\nThe zorblaxian kubernetes.")
    engine.prepare(options)
    assert hear(engine, options, himself).text == SENTENCE


def test_a_grammar_allows_its_sentences_and_nothing_else(
    engine: sphinx.Sphinx, recording: Samples, himself: Samples
) -> None:
    for live in (True, False):
        options = AsrOptions(live=live, grammar=GRAMMAR)
        assert hear(engine, options, himself).text == SENTENCE
        other = hear(engine, options, recording[: 4 * SAMPLE_RATE]).text
        assert set(other.split()) <= set(f"{SENTENCE} had he married a zorblaxian woman".split())


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        (AsrOptions(language="es"), UnsupportedLanguage, "No installed recogniser knows the language 'es'"),
        (AsrOptions(notes=" "), BadText, "empty"),
        (AsrOptions(grammar="lights on"), BadText, "#JSGF"),
        (AsrOptions(grammar=GRAMMAR + "public <x> = <y>;"), BadText, "Line 4"),
        (AsrOptions(notes="hello", grammar=GRAMMAR), BadText, "not|exclude"),
    ],
)
@pytest.mark.parametrize("live", [True, False])
def test_wrong_options_are_refused_at_once(
    engine: sphinx.Sphinx, options: AsrOptions, error: type[BadText], complaint: str, live: bool
) -> None:
    with pytest.raises(error, match=complaint) as caught:
        engine.listen(replace(options, live=live))
    assert caught.value.remedy


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.ones(1, np.float32),
        np.full(100, -1e30, np.float32),
        np.zeros(16000, np.float32),
        np.full(8000, 0.5, np.float32),
        np.tile(np.array([1e9, -1e9], np.float32), 8000),
        np.random.default_rng(0).normal(0, 1e-5, 16000).astype(np.float32),
        np.random.default_rng(0).normal(0, 0.3, 16000).astype(np.float32),
    ],
    ids=["none", "one", "beyond", "silence", "offset", "clipping", "whisper", "noise"],
)
def test_what_is_no_speech_harms_nobody(engine: sphinx.Sphinx, samples: Samples, live: bool) -> None:
    result = hear(engine, AsrOptions(live=live), samples)
    assert result.final
    assert 0.0 <= result.confidence <= 1.0
    if not samples.any():
        assert result.text == ""


def test_samples_that_are_no_numbers_are_refused_and_the_utterance_lives(
    engine: sphinx.Sphinx, himself: Samples
) -> None:
    session = engine.listen(LIVE)
    session.accept(himself)
    with pytest.raises(BadAudio):
        session.accept(np.array([0.1, np.nan], np.float32))
    assert session.finish() == hear(engine, LIVE, himself)


def test_several_utterances_at_a_time_do_not_mix(engine: sphinx.Sphinx, recording: Samples, himself: Samples) -> None:
    spoken = {True: himself[: 2 * SAMPLE_RATE], False: recording[: 2 * SAMPLE_RATE]}
    alone = {odd: hear(engine, LIVE, samples) for odd, samples in spoken.items()}
    found: dict[int, Transcript] = {}

    def work(number: int) -> None:
        found[number] = hear(engine, LIVE, spoken[bool(number % 2)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: alone[bool(number % 2)] for number in range(3)}


def test_too_many_live_utterances_are_told_so_and_abandoning_one_helps(engine: sphinx.Sphinx) -> None:
    sessions = [engine.listen(LIVE) for _ in range(sphinx.DECODERS)]
    with pytest.raises(EngineFailed, match="at a time"):
        engine.listen(LIVE)
    sessions[0].abandon()
    engine.listen(LIVE).abandon()
    for session in sessions:
        session.abandon()


def test_the_library_says_nothing_on_its_own(
    engine: sphinx.Sphinx, himself: Samples, capfd: pytest.CaptureFixture[str]
) -> None:
    hear(engine, LIVE, himself)
    with pytest.raises(BadText):
        engine.listen(AsrOptions(grammar="no grammar"))
    assert capfd.readouterr() == ("", "")


def test_after_close_nothing_is_heard(himself: Samples) -> None:
    engine = sphinx.SPEC.factory(EngineHome(Path("unused")))
    assert isinstance(engine, sphinx.Sphinx)
    session = engine.listen(LIVE)
    engine.close()
    engine.close()
    session.accept(himself)
    assert session.finish().text
    for call in (lambda: engine.listen(LIVE), lambda: engine.listen(AsrOptions()), lambda: engine.prepare(LIVE)):
        with pytest.raises(EngineFailed, match="closed"):
            call()
