"""What is wrong with a setting, in a person's words and not in those of the validator.

Knows no setting but by the bounds of its type.
"""

from __future__ import annotations

import re

import msgspec

WORDS = {
    "`str` matching regex '^[a-z]{2,3}$'": 'a language code like "es"',
    "`str` matching regex '^(fp32|fp16|int8|int4|ternary)$'": "one of fp32, fp16, int8, int4, ternary",
    "`str` matching regex '^(shared-prior|mix)$'": "shared-prior or mix",
    "`str` matching regex '^(res64|b4h80)$'": "res64 or b4h80",
    "`str` matching regex '^(auto|off|on)$'": "one of auto, off, on",
    "`str` matching regex '^(all|part|subspace)$'": "one of all, part, subspace",
    "`str` matching regex '^(encoder|decoder|biases)$'": "one of encoder, decoder, biases",
    "`str` matching regex '^[a-z0-9-]{1,40}$'": 'a word like "after-2026"',
    "`str | null` matching regex '^[1-9][0-9]{0,5}( ?)[MG]B$'": 'a size like "4 GB" or "800 MB", in whole MB or GB',
    "`str` matching regex '^[1-9][0-9]{0,5}( ?)[MG]B$'": 'a size like "4 GB" or "800 MB", in whole MB or GB',
    "`str` matching regex '^auto$'": 'a number or "auto"',
    "`str | null`": "text",
    "`float | str`": 'a number or "auto"',
    "`str`": "text",
    "`bool`": "true or false",
    "`object`": "a section",
    "`int | null`": "a whole number",
    "`float | null`": "a number",
    "`int`": "a whole number",
    "`float`": "a number",
    "`array`": "a list",
    " >= ": " of at least ",
    " <= ": " of at most ",
    " < ": " below ",
    " > ": " above ",
    " of length of at most ": " of at most this many letters: ",
}
"""How a person calls what the validator calls by its type and its bounds; replaced in this order."""

MEND = "Mend that value."
"""What to do where the complaint says all."""

EXAMPLES = {
    "engines.isolation": 'Write a list of engines, such as isolation = ["whisper-small"].',
    "engines.compile": 'Write compile = "auto", "off" or "on".',
    "engines.memory": 'Write a size, such as memory = "4 GB".',
    "engines.warm": "Write warm = true or warm = false.",
}
"""How a setting that is easily written wrong is written."""


def remedy(key: str) -> str:
    """What to write in the place of a value that is wrong."""
    return EXAMPLES.get(key, MEND)


def complaint(error: msgspec.ValidationError) -> tuple[str, str]:
    """The key that the validator complains of, without a place in a list, and the complaint in plain words."""
    what, _, where = str(error).rpartition(" - at `$.")
    for code, word in WORDS.items():
        what = what.replace(code, word)
    key = re.sub(r"\[.*", "", where.rstrip("`"))
    if key.endswith("alpha") and "number" in what and "auto" not in what:
        what += ' or "auto"'
    return key, what[:1].lower() + what[1:]
