from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines import espeak_languages
from ml.engines.espeak import EspeakTts
from ml.errors import BadText, UnsupportedLanguage


@pytest.mark.parametrize(
    ("tag", "voice"),
    [
        ("es", "roa/es"),
        ("es-ES", "roa/es"),
        ("es-419", "roa/es-419"),
        ("es-AR", "roa/es-419"),
        ("es_MX", "roa/es-419"),
        ("pt", "roa/pt"),
        ("pt-BR", "roa/pt-BR"),
        ("pt-AO", "roa/pt"),
        ("en-GB", "gmw/en"),
        ("en-US", "gmw/en-US"),
        ("en-AU", "gmw/en"),
        ("fr-FR", "roa/fr"),
        ("fr-CA", "roa/fr"),
        ("it", "roa/it"),
        ("ca-valencia", "roa/ca"),
        ("zh", "sit/cmn"),
        ("zh-Hant-TW", "sit/cmn"),
        ("zh-HK", "sit/yue"),
        ("no", "gmq/nb"),
        ("ru-RU", "zle/ru"),
        ("de-AT-1996", "gmw/de"),
    ],
)
def test_a_tag_finds_the_nearest_voice(tag: str, voice: str, tts: EspeakTts) -> None:
    assert espeak_languages.find(tag, tts.voices) == voice


@pytest.mark.parametrize("tag", ["tlh", "xx", "zz-ES", "zzz"])
def test_a_language_nobody_speaks_is_unsupported(tag: str, tts: EspeakTts) -> None:
    with pytest.raises(UnsupportedLanguage) as failure:
        espeak_languages.find(tag, tts.voices)
    assert tag in failure.value.sentence
    assert "es" in failure.value.remedy


@pytest.mark.parametrize("tag", ["", "e", "es-", "-es", "es--419", "español", "es+f2", "../es", "es\0", "x" * 5000])
def test_what_is_no_tag_is_refused_as_such(tag: str) -> None:
    with pytest.raises(BadText):
        espeak_languages.find(tag, {"es": "roa/es"})


def test_every_listed_language_finds_itself(tts: EspeakTts) -> None:
    assert len(tts.voices) > 130
    assert all(espeak_languages.find(tag, tts.voices) == voice for tag, voice in tts.voices.items())


@given(st.lists(st.tuples(st.text(max_size=4), st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["es", "EN"]))))))
def test_the_lowest_priority_number_wins(voices: list[tuple[str, list[tuple[int, str]]]]) -> None:
    known = espeak_languages.index(voices)
    for tag, voice in known.items():
        offers = [(p, who) for who, languages in voices for p, language in languages if language.lower() == tag]
        assert (min(p for p, _ in offers), voice) in offers
