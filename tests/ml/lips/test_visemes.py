# ruff: noqa: RUF001 -- letters of the IPA look like other letters
from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.espeak import EspeakTts
from ml.errors import BadText, EngineFailed
from ml.lips.visemes import _NAME_OF, SILENCE, VISEMES, _letters, visemes
from ml.types import Delivery

SENTENCES = {
    "en": "The quick brown fox jumps over the lazy dog; which joy, measure, bath and pure air, my boy!",
    "fr": "Le petit garçon a vu un grand chien brun, huit feuilles, du pain et une montagne verte.",
    "es": "El perro grande corre rápido por el jardín. Muchas gracias, señor, llueve aquí y en Jerez.",
    "de": "Die Bücher sind schön. Ich möchte heute Äpfel kaufen, zwölf Pfund, auch Käse und Möhren.",
    "ru": "Быстрая коричневая лиса прыгает. Ещё хорошо, что мы здесь: щука, жизнь, подъезд, цирк.",
    "cmn": "今天天气很好，我们去公园玩。请问你是谁？绿色女人，日本，儿子，四十。",
    "hi": "मैं भारत में रहता हूँ। घर, झूठ, ठंडा, ढोल, फूल, छात्र, ज्ञान, बाज़ार, लड़का।",
    "ar": "مرحبا بكم في بلادنا الجميلة. صباح الخير، ضوء، قلب، حق، غرب، ظل، طعام، ثوب، ذهب، عين.",
    "ja": "きょうは とても いい てんきですね。ありがとう、ひゃく、じゅう、つくえ、ふじさん、にほん。",
    "pt": "O menino não quer comer pão. Obrigado, coração, senhora, chuva, trabalho, muito longe.",
    "it": "Il ragazzo mangia gli gnocchi. Grazie, scusi, zio, famiglia, pizza, giorno, cielo, uovo.",
}
PAIRS = {
    "": ("sil",), "p": ("PP",), "bʰ": ("PP",), "m̩": ("PP",), "f": ("FF",), "β": ("FF",), "θ": ("TH",), "dʲ": ("DD",),
    "ɡ": ("kk",), "ʁ": ("kk",), "tʃ": ("CH",), "d͡zʲ": ("SS",), "tsʰ": ("SS",), "tS": ("CH",), "pf": ("PP", "FF"),
    "ɹ": ("RR",), "r": ("DD",), "aɪ": ("aa", "ih"), "ɔø": ("oh",), "əʊ": ("uh", "ou"), "aː": ("aa",), "ɑ̃": ("aa",),
    "õ": ("oh",), "y": ("ou",), "kʷ": ("kk", "ou"), "ɯᵝ": ("ih", "ou"), "ja": ("ih", "aa"), "əl": ("uh", "DD"),
    "th": ("DD",), "onɡ": ("oh", "nn", "kk"), "ʲ": ("ih",), "ʰ": ("kk",), "iou": ("ih", "oh", "ou"), "ː": (), "1": (),
    "ж": ("uh",),
}  # fmt: skip


def is_known(symbol: str) -> bool:
    """Whether each letter of a symbol is one that the table has."""
    return all(letter in _NAME_OF for letter in _letters(symbol))


@pytest.mark.parametrize("symbol", PAIRS)
def test_a_sound_has_the_shapes_it_is_made_with(symbol: str) -> None:
    assert tuple(viseme.name for viseme in visemes(symbol)) == PAIRS[symbol]


@pytest.mark.parametrize("language", SENTENCES)
def test_every_sound_of_a_language_is_known(tts: EspeakTts, language: str) -> None:
    spoken = tts.speak(SENTENCES[language], language, Delivery()).phonemes
    assert [p.symbol for p in spoken if not is_known(p.symbol)] == []
    assert len({v.name for p in spoken for v in visemes(p.symbol)}) >= 9


@pytest.mark.slow
def test_every_sound_of_every_language_of_espeak_is_known(tts: EspeakTts) -> None:
    unknown, crashed = {}, set()
    for language in tts.voices:
        for text in ("1 2 3 4 5 6 7 8 9 10 20 100 1000", *SENTENCES.values()):
            try:
                spoken = tts.speak(text, language, Delivery()).phonemes
            except BadText:  # a voice that has no digits, or cannot read this script
                continue
            except EngineFailed:
                crashed.add(language)
                continue
            unknown.update({p.symbol: language for p in spoken if not is_known(p.symbol)})
    assert unknown == {}
    assert crashed <= {"kl"}, "the library of espeak-ng 1.52 dies of the Greenlandic 8, and of nothing else"


def test_all_sixteen_are_used_and_within_bounds() -> None:
    letters = [chr(point) for point in (*range(0x61, 0x7B), *range(0x250, 0x2B0), 0xE6, 0xF8, 0x153, 0x3B2, 0x3B8)]
    assert {v.name for letter in letters for v in visemes(letter)} | {"sil"} == set(VISEMES)
    assert len(VISEMES) == 16
    for viseme in VISEMES.values():
        assert 0 <= viseme.open <= 1
        assert -1 <= viseme.wide <= 1
        assert 0 <= viseme.round <= 1
        assert viseme.press == {"PP": 1.0, "FF": 0.7}.get(viseme.name, 0.0)


def test_the_whole_block_of_ipa_letters_is_known() -> None:
    block = (*range(0x250, 0x2A9), 0x3B2, 0x3B8, 0x3C7)
    unknown = [chr(point) for point in block if not is_known(chr(point))]
    assert set(unknown) <= set("ʅʆʇʓʖʗʚʞʠɼɷɩɿ"), "these were withdrawn from the IPA, or never of it"


@settings(deadline=None)
@given(st.text(max_size=8))
def test_whatever_a_symbol_is_it_has_an_answer(symbol: str) -> None:
    shapes = visemes(symbol)
    assert all(shape in VISEMES.values() for shape in shapes)
    assert (SILENCE in shapes) == (symbol == "")
    assert all(a is not b for a, b in itertools.pairwise(shapes))


@given(st.sampled_from(sorted(PAIRS)), st.sampled_from(["NFC", "NFD"]))
def test_the_form_of_unicode_makes_no_difference(symbol: str, form: str) -> None:
    assert visemes(unicodedata.normalize(form, symbol)) == visemes(symbol)  # type: ignore[arg-type]
