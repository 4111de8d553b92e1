"""From a language tag to one of espeak-ng's voices.

Tags are BCP-47 ("es", "pt-BR", "zh-Hant-TW"); the nearest voice is found by dropping subtags from the right (RFC 4647
lookup) after the parent locales of CLDR, so that Mexican Spanish is read with the voice of Latin America and
Australian English with the British one. This module knows no process and no library, only their list of voices.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ml.errors import BadText, UnsupportedLanguage

_TAG = re.compile(r"[a-z]{2,4}(-[a-z0-9]{1,8})*")

_LATIN_AMERICA = "ar|bo|br|bz|cl|co|cr|cu|do|ec|gt|hn|mx|ni|pa|pe|pr|py|sv|us|uy|ve"
_COMMONWEALTH = "001|150|au|hk|ie|in|mt|my|ng|nz|pk|sg|za"
_LUSOPHONE = "ao|ch|cv|gw|lu|mo|mz|st|tl"

_PARENTS = (
    (re.compile(f"es-({_LATIN_AMERICA})"), "es-419"),
    (re.compile(f"en-({_COMMONWEALTH})"), "en-gb"),
    (re.compile("en-ca"), "en-us"),
    (re.compile(f"pt-({_LUSOPHONE})"), "pt-pt"),
    (re.compile("zh-(hk|mo)"), "yue"),
)
"""Parent locales as in CLDR's supplemental data; written Chinese of Hong Kong and Macau is read as Cantonese."""

_NAMES = {"zh": "cmn", "no": "nb", "iw": "he", "in": "id", "tl": "fil", "sh": "hbs"}
"""Codes that the list of voices may have under another name."""


def index(voices: Iterable[tuple[str, Sequence[tuple[int, str]]]]) -> dict[str, str]:
    """Language tag -> voice identifier, from (identifier, [(priority, tag), ...]); the lowest priority number wins."""
    best: dict[str, tuple[int, str]] = {}
    for identifier, languages in voices:
        for priority, tag in languages:
            tag = tag.lower()
            if tag not in best or priority < best[tag][0]:
                best[tag] = (priority, identifier)
    return {tag: identifier for tag, (_, identifier) in best.items()}


def find(tag: str, known: Mapping[str, str]) -> str:
    """The voice identifier for a language tag. Raises BadText for what is no tag, UnsupportedLanguage."""
    wanted = tag.strip().replace("_", "-").lower()
    if not _TAG.fullmatch(wanted):
        raise BadText(f"{tag[:40]!r} is not a language code.", 'Use codes such as "es", "pt-BR" or "en-GB".')
    while True:
        parents = [parent for pattern, parent in _PARENTS if pattern.fullmatch(wanted)]
        for candidate in (wanted, *parents, _NAMES.get(wanted, wanted)):
            if candidate in known:
                return known[candidate]
        wanted, dash, _ = wanted.rpartition("-")
        if not dash:
            codes = ", ".join(code for code in ("ca", "de", "en", "es", "fr", "it", "pt", "ru") if code in known)
            raise UnsupportedLanguage(
                f"espeak-ng has no voice for the language {tag!r}.",
                f"It speaks {len(known)} languages and dialects, among them {codes}.",
            )
