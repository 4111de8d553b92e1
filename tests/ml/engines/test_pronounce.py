"""Spelling to sound: learned from a dictionary, checked against it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines.pronounce import ALPHABET, Phones, Speller, pronounce, read_dictionary
from ml.engines.sphinx_decoder import model_folder

CONSONANTS = {"b": "B", "d": "D", "k": "K", "l": "L", "m": "M", "n": "N", "p": "P", "t": "T", "x": "K S", "c": "K"}
VOWELS = {"a": "AE", "e": "EH", "i": "IH", "o": "AA", "u": "AH"}


def regular(word: str) -> Phones:
    """A language with rules: a final e is silent, sh is one sound, x is two."""
    phones: list[str] = []
    silent = word.endswith("e") and len(word) > 3
    letters = (word[:-1] if silent else word).replace("sh", "$")
    for letter in letters:
        phones += ["SH"] if letter == "$" else ({**CONSONANTS, **VOWELS}[letter]).split()
    return tuple(phones)


def words(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    onsets = [*CONSONANTS, "sh"]
    return [
        "".join(rng.choice(onsets) + rng.choice("aeiou") for _ in range(rng.randint(1, 3)))
        + rng.choice(onsets)
        + rng.choice(["", "e"])
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def speller() -> Speller:
    return Speller({word: regular(word) for word in words(3000, 1)})


def test_the_rules_of_a_regular_language_are_learned(speller: Speller) -> None:
    held_out = [word for word in words(200, 2) if word not in set(words(3000, 1))]
    assert len(held_out) > 100
    wrong = [word for word in held_out if speller.guess(word) != regular(word)]
    assert len(wrong) <= 0.03 * len(held_out), wrong


@given(st.text(alphabet=ALPHABET, min_size=1, max_size=30))
def test_every_word_gets_known_phones(speller: Speller, word: str) -> None:
    phones = speller.guess(word)
    assert phones
    assert set(phones) <= {"SH", "S", "AH", *CONSONANTS.values(), *VOWELS.values()}


def test_possessives_and_letters_need_no_guess(speller: Speller) -> None:
    dictionary: dict[str, Phones] = {
        "fox": ("F", "AA", "K", "S"),
        "cat": ("K", "AE", "T"),
        "dog": ("D", "AO", "G"),
        "b.": ("B", "IY"),
        "c.": ("S", "IY"),
    }
    assert pronounce("fox's", dictionary, speller)[-2:] == ("IH", "Z")
    assert pronounce("cat's", dictionary, speller)[-1] == "S"
    assert pronounce("dog's", dictionary, speller)[-1] == "Z"
    assert pronounce("bbc", dictionary, speller) == ("B", "IY", "B", "IY", "S", "IY")
    assert pronounce("bat", dictionary, speller) == regular("bat")


def test_further_pronunciations_of_a_dictionary_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "words.dict"
    path.write_text("read R EH D\nread(2) R IY D\nreal R IY L\n", encoding="utf-8")
    assert read_dictionary(path) == {"read": ("R", "EH", "D"), "real": ("R", "IY", "L")}


def errors(truth: Phones, guess: Phones) -> int:
    row = list(range(len(guess) + 1))
    for i, phone in enumerate(truth, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(guess, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (phone != other))
    return row[-1]


@pytest.mark.slow
def test_held_out_words_of_the_real_dictionary_have_few_wrong_phones() -> None:
    """Measured: 8.6 % of phones, 37 % of words, over 1000 words."""
    folder = model_folder()
    if folder is None:
        pytest.skip("needs the pocketsphinx package")
    dictionary = read_dictionary(folder / "cmudict-en-us.dict")
    plain = sorted(word for word in dictionary if set(word) <= set(ALPHABET))
    held_out = set(random.Random(1).sample(plain, 1000))
    speller = Speller({word: phones for word, phones in dictionary.items() if word not in held_out})
    wrong = sum(errors(dictionary[word], speller.guess(word)) for word in held_out)
    assert wrong / sum(len(dictionary[word]) for word in held_out) < 0.10
