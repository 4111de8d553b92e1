"""What is wrong with a catalogue is told in words, with what may stand there."""

from __future__ import annotations

import pytest

from ml.models.catalogue import Catalogue
from ml.models.complaints import line_of

BASE = """
[[model]]
name = "one"
task = "asr"
engine = "whisper"
summary = "s"
licence = "l"
source = { at = "folder", path = "p" }
files = [{ path = "x" }]
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"one"', '"One Two"', "the entry One Two (line 2), name: expected small letters, digits, dots and hyphens"),
        ('licence = "l"', "", "the entry one (line 2): `licence` is missing"),
        ('licence = "l"', 'license = "l"', "`licence` is missing|there is no field `license`; is `licence` meant?"),
        ('"folder"', '"disk"', "source.at: 'disk' is none of hub, folder, pypi"),
        ('"folder", path = "p"', '"hub", repo = "x"', "source.repo: expected OWNER/NAME"),
        ('path = "x"', 'path = "x", sha256 = "3"', "files[0].sha256: expected 64 digits"),
        ('path = "x"', 'path = "x", bytes = 0', "files[0].bytes: expected a whole number from 1 on"),
        ("files", 'use = "noncommercial"\nfiles', "use: 'noncommercial' is none of any, non-commercial, ask"),
        ("files", "memory = { fp32 = 5 }\nfiles", "memory: each key is one of float32, bfloat16, float16, int8"),
        ("files", "memory = { float32 = 9, int8 = -1 }\nfiles", "memory: int8: expected a whole number from 1 on"),
        ("files", 'memory = { float32 = "9" }\nfiles', "memory: float32: expected a whole number, not text in quotes"),
        ("files", 'parts = { a = "b", c = "D E" }\nfiles', "parts: c: expected the name of a model"),
        ("files", 'languages = "en"\nfiles', "languages: expected a list in [ ], not text in quotes"),
        ("files", "cpu_rank = 1.5\nfiles", "cpu_rank: expected a whole number or nothing, not a number"),
        ("[[model]]", "[[models]]", "there is no field `models`; is `model` meant?"),
        ("[[model]]", "[sets]\na = 3\n[[model]]", "sets[...]: a: expected text in quotes, not a whole number"),
        ("[[model]]", "[model]", "model: expected a list in [ ], not a table in { }"),
    ],
)
def test_a_field_is_told_with_what_may_stand_there(old: str, new: str, told: str) -> None:
    assert old in BASE
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it says is compared below
        Catalogue.parse(BASE.replace(old, new, 1).encode())
    assert any(one in str(caught.value) for one in told.split("|")), str(caught.value)
    assert "regex" not in str(caught.value)


def test_an_entry_is_found_by_its_name() -> None:
    assert line_of(BASE + BASE.replace("one", "two"), "two") == "the entry two (line 11)"
    assert line_of(BASE, "three") == ""
