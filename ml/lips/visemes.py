"""What the lips do for each sound of speech: IPA symbols to one or two of sixteen visemes.

The names are those of the OVR LipSync reference (fifteen, and one for the neutral vowel); the figures are our own,
after what phonetics says of lips and jaw (P. Ladefoged and I. Maddieson, "The Sounds of the World's Languages", 1996).
Symbols are read as espeak-ng and phone recognisers write them: every letter of the IPA chart, and the ASCII stand-ins
that espeak-ng leaves in some languages. Knows no times, and nothing of how shapes are blended.
"""

# ruff: noqa: RUF001 -- letters of the IPA look like other letters
from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Viseme:
    """One shape of the lips. `open`, `wide`, `round` and `press` are what `ml.lips.types.Curves` has as columns.

    `jaw` and `lips` are how firmly the sound holds its opening, and its width and rounding, against its neighbours.
    `loudness` is how many dB its vowels are louder than close ones, in the mean of eleven languages of espeak-ng (0 for
    consonants, whose loudness says nothing of the jaw).
    """

    name: str
    open: float
    wide: float
    round: float
    press: float
    jaw: float
    lips: float
    loudness: float = 0.0

    @property
    def is_vowel(self) -> bool:
        """Whether the mouth opens the further, the louder it is said."""
        return self.name in _VOWELS


_VOWELS = frozenset({"aa", "E", "ih", "oh", "ou", "uh"})

SILENCE = Viseme("sil", 0.0, 0.0, 0.0, 0.0, jaw=0.8, lips=0.6)
VISEMES = {
    each.name: each
    for each in (
        SILENCE,
        Viseme("PP", 0.15, 0.0, 0.05, 1.0, jaw=0.5, lips=0.25),
        Viseme("FF", 0.12, 0.1, 0.0, 0.7, jaw=0.9, lips=0.4),
        Viseme("TH", 0.22, 0.1, 0.0, 0.0, jaw=1.0, lips=0.4),
        Viseme("DD", 0.20, 0.1, 0.0, 0.0, jaw=0.8, lips=0.3),
        Viseme("kk", 0.26, 0.05, 0.0, 0.0, jaw=0.5, lips=0.15),
        Viseme("CH", 0.22, -0.3, 0.6, 0.0, jaw=1.1, lips=1.1),
        Viseme("SS", 0.12, 0.3, 0.0, 0.0, jaw=1.3, lips=0.5),
        Viseme("nn", 0.20, 0.1, 0.0, 0.0, jaw=0.7, lips=0.3),
        Viseme("RR", 0.24, -0.25, 0.45, 0.0, jaw=0.9, lips=0.8),
        Viseme("aa", 0.90, 0.05, 0.0, 0.0, jaw=1.3, lips=1.0, loudness=2.5),
        Viseme("E", 0.58, 0.35, 0.0, 0.0, jaw=1.2, lips=1.0, loudness=2.0),
        Viseme("ih", 0.34, 0.55, 0.0, 0.0, jaw=1.2, lips=1.1),
        Viseme("oh", 0.62, -0.4, 0.6, 0.0, jaw=1.3, lips=1.3, loudness=2.0),
        Viseme("ou", 0.28, -0.75, 1.0, 0.0, jaw=1.4, lips=1.6),
        Viseme("uh", 0.42, 0.0, 0.05, 0.0, jaw=0.8, lips=0.5, loudness=1.0),
    )
}

_LETTERS = {
    "PP": "pbmɓʙʘ",
    "FF": "fvɱʋɸβⱱ",
    "TH": "θð",
    "DD": "tdlɫɬɮɺʟʎɭʈɖɗᶑrɾɽǀǁǃǂ",
    "kk": "kgɡɠʛxɣqɢcɟʄçχʁʀhɦħʕʜʢʡʔɧ",
    "CH": "ʃʒɕʑʧʤʨʥ",
    "SS": "szʂʐʦʣ",
    "nn": "nɲɳŋɴ",
    "RR": "ɹɻ",
    "aa": "aɑæʌɶᴀ",
    "E": "eɛε",
    "ih": "iɪjɨʝᵻɯɰʲ",
    "oh": "oɔɒøœɞɵ",
    "ou": "uʊwʍɥyʏʉʷᵝᵿ",
    "uh": "əɚɘɤɐɜɝ",
}
_NAME_OF = {letter: name for name, letters in _LETTERS.items() for letter in letters}
_STAND_INS = str.maketrans({"S": "ʃ", "Z": "ʒ", "N": "ŋ", "X": "χ", "A": "ɑ", "?": "ʔ", ":": "ː"})
"""ASCII for IPA that espeak-ng's tables still have, as in Kirgiz and Cherokee (E. Kirshenbaum's notation)."""
_ASPIRATION = "ʰʱ"
_STOPS = frozenset("tdʈɖkgɡcɟq")
_FRICATIVES = frozenset("szʃʒɕʑʂʐɬɮxχθðɣ")


@lru_cache(maxsize=4096)
def visemes(symbol: str) -> tuple[Viseme, ...]:
    """The shapes of one sound in the order they are taken: two or more of a diphthong, one of an affricate whose lips
    are set from the start ("tʃ"), two of one whose lips move ("pf").

    '' is a pause and gives SILENCE. What says only how the sound before goes on, a mark of length or tone, gives
    nothing. A letter that is not of the IPA gives the neutral vowel: somebody speaks, and nobody knows what.
    """
    if not symbol:
        return (SILENCE,)
    letters = _letters(symbol)
    if not letters:
        return (VISEMES["kk"],) if any(mark in symbol for mark in _ASPIRATION) else ()
    names: list[str] = []
    for place, letter in enumerate(letters):
        following = letters[place + 1] if place + 1 < len(letters) else ""
        released = letter in _STOPS and following in _FRICATIVES
        aspiration = letter == "h" and place > 0
        if not released and not aspiration:
            name = _NAME_OF.get(letter, "uh")
            names += [name] if not names or names[-1] != name else []
    return tuple(VISEMES[name] for name in names)


def _letters(symbol: str) -> list[str]:
    """The letters of a symbol without the marks on them; marks that are movements of the lips count as letters.

    A palatal or labial mark after a letter is said with it, so it stands for a second shape only where it is alone
    or rounds the lips.
    """
    plain = unicodedata.normalize("NFD", symbol).translate(_STAND_INS)
    found = [c for c in plain if c in _NAME_OF or unicodedata.category(c) in {"Lu", "Ll", "Lo", "Lt"}]
    return found if len(found) == 1 else [c for c in found if c != "ʲ"]
