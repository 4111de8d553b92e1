# ruff: noqa: RUF001 -- letters of the IPA look like other letters
from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.read import read
from ml.engines.espeak import EspeakTts
from ml.engines.protocols import Alignment
from ml.errors import BadAudio, BadText
from ml.lips.laid import _lasting, laid, told, within_words
from ml.types import SAMPLE_RATE, Audio, Delivery, Phoneme, Speech, Word

TEXTS = {
    "en-us": "Every morning people happily climb the steep path above the village.",
    "fr": "Le premier bébé mange beaucoup de pommes et boit un peu de lait.",
    "es": "Mi primo siempre viaja por el campo con sus amigos más valientes.",
    "de": "Bitte bringen Sie mir morgen früh ein paar warme Brote.",
    "ru": "Мама купила большой белый платок и пять бумажных пакетов.",
    "cmn": "请把这本书给我的爸爸妈妈。",
    "hi": "मेरे पिताजी बाज़ार से फल और सब्ज़ी लाते हैं।",
    "ar": "ذهب الولد إلى المكتبة مع أبيه مبكرا.",
    "ja": "ともだちと いっしょに まちへ いきました。",
    "pt": "Minha avó prepara um bom bolo para o domingo.",
    "it": "Vorrei bere un bicchiere di vino bianco, per favore.",
}


def unsaid(speech: Speech) -> Speech:
    """What a voice that tells nothing would have given."""
    return replace(speech, words=(), phonemes=())


def alike(found: Sequence[Phoneme], true: Sequence[Phoneme]) -> list[tuple[Phoneme, Phoneme]]:
    """Pairs of the same sound. A voice may say a text a little otherwise, and espeak-ng's first sound is now and then
    missing from what it tells."""
    symbols = [[p.symbol for p in each] for each in (found, true)]
    blocks = SequenceMatcher(None, *symbols, autojunk=False).get_matching_blocks()
    return [(found[a + n], true[b + n]) for a, b, size in blocks for n in range(size)]


@pytest.mark.parametrize("voice", ["Annie", "klatt4"])
@pytest.mark.parametrize("language", TEXTS)
def test_sounds_of_another_voice_are_found_where_they_are(tts: EspeakTts, language: str, voice: str) -> None:
    speech = tts.speak(TEXTS[language], language, Delivery(voice=voice, speed=0.9))
    true = [p for p in speech.phonemes if p.symbol]
    found = laid(unsaid(speech), tts)
    errors = np.abs([a.start - b.start for a, b in alike(found, true)])
    assert len(errors) >= 0.95 * len(true)
    assert np.median(errors) < 0.008
    assert np.percentile(errors, 90) < 0.035


def test_silence_around_speech_and_a_pause_in_it_hold_no_sound(tts: EspeakTts) -> None:
    speech = tts.speak(TEXTS["it"], "it", Delivery(voice="f2"))
    word = speech.words[3].start
    one, two = speech.audio.cut(0, word).samples, speech.audio.cut(word, 99).samples
    gap = np.zeros(round(0.6 * SAMPLE_RATE), np.float32)
    moved = unsaid(replace(speech, audio=Audio(np.concatenate([gap, one, gap, two, gap]))))
    found = laid(moved, tts)
    for silence in ((0.02, 0.58), (0.62 + word, 1.18 + word), (1.22 + speech.audio.seconds, 9.0)):
        assert not [p for p in found if p.start < silence[1] and p.end > silence[0]], silence
    assert len(found) >= 0.9 * len([p for p in speech.phonemes if p.symbol])


def test_a_human_voice_is_laid_too(tts: EspeakTts, shared_speech: Path) -> None:
    """A reader (LJ Speech, public domain); where words begin is what pocketsphinx's forced alignment says."""
    audio = read(shared_speech / "speech" / "LJ001-0004.flac")
    text = "produced the block books, which were the immediate predecessors of the true printed book,"
    found = laid(Speech(audio, text, "en-us", "a reader"), tts)
    begins = {"b": (0.64, 4.66), "w": (1.76, 1.94), "ɪ": (2.29,), "p": (2.84, 4.21), "ʌ": (3.65,), "t": (3.84,)}
    for symbol, times in begins.items():
        for time in times:
            assert min(abs(p.start - time) for p in found if p.symbol == symbol) < 0.08, symbol


@pytest.mark.parametrize("other", ["Nobody knew whether seven sailors should have sold their old fishing gear.", "No."])
def test_another_text_is_refused(tts: EspeakTts, other: str) -> None:
    speech = tts.speak(TEXTS["en-us"], "en-us", Delivery(voice="f2"))
    with pytest.raises(BadText, match="does not seem to say"):
        laid(replace(unsaid(speech), text=other), tts)


def test_what_cannot_be_heard_is_refused(tts: EspeakTts) -> None:
    with pytest.raises(BadAudio, match="nothing"):
        laid(Speech(Audio(np.zeros(8000, np.float32)), "one", "en", ""), tts)
    with pytest.raises(BadAudio, match="16000"):
        laid(Speech(Audio(np.ones(8000, np.float32), 8000), "one", "en", ""), tts)


def test_words_of_an_aligner_carry_their_sounds(tts: EspeakTts) -> None:
    speech = tts.speak(TEXTS["es"], "es", Delivery(speed=0.8))
    found = within_words(speech, speech.words, tts)
    true = [p for p in speech.phonemes if p.symbol]
    pairs = alike(found, true)
    assert len(pairs) >= 0.95 * len(true)
    assert np.median([abs(a.start - b.start) for a, b in pairs]) < 0.012
    with pytest.raises(BadText, match="same words"):
        within_words(speech, speech.words[1:], tts)


def test_sounds_of_a_network_fill_their_word() -> None:
    words = (Word("ab", 0.1, 0.5), Word("c", 0.9, 1.0))
    sounds = (Phoneme("a", 0.12, 0.14), Phoneme("b", 0.4, 0.42), Phoneme("k", 0.9, 0.92), Phoneme("x", 2.0, 2.1))
    assert told(Alignment(words, sounds)) == (
        Phoneme("a", 0.1, 0.27),
        Phoneme("b", 0.27, 0.5),
        Phoneme("k", 0.9, 1.0),
        Phoneme("x", 2.0, 2.1),
    )
    assert told(Alignment(())) == ()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), min_size=1, max_size=40), st.floats(0.1, 4))
def test_every_sound_keeps_its_order_and_some_time(spans: list[tuple[float, float]], seconds: float) -> None:
    edges = [("a", start, start + last) for start, last in sorted(spans)]
    found = _lasting(edges, seconds)
    assert len(found) == len(edges)
    assert all(a.end <= b.start + 1e-9 for a, b in itertools.pairwise(found))
    assert all(p.end > p.start for p in found)
    assert found[-1].end <= seconds + 1e-9
