"""The table of languages: what each is called in BCP 47, in ISO 639 and by the models, and its English name.

Sources of `data/languages.tsv`: ISO 639 by Debian's iso-codes 4.15; NLLB, M2M100, Whisper and Canary by the lists in
transformers 5.23; SeamlessM4T v2 by its conversion script there; MADLAD-400 by its published model card (plain codes,
no script variants; the engine asks the checkpoint's own tokens); MMS-TTS by its published list of voices (those of
languages that another scheme has too); espeak-ng by the voices of 1.52. A code stands in a scheme's column only where
the scheme has it. Where a model has only one member of a group, that member stands in the group's row: NLLB's
`arb_Arab` is `ar`, its `swh_Latn` `sw`. `find` takes any of these codes back to its row.

Knows no model and no engine: they ask here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ml.errors import BadText, UnsupportedLanguage

SCHEMES = ("nllb", "whisper", "m2m100", "madlad", "seamless", "canary", "mms", "espeak")
"""The models' own code lists."""
_TABLE = Path(__file__).parent / "data" / "languages.tsv"
_SHAPE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*")
_SCRIPT_OF = {"zh-tw": "zh-Hant", "zh-hk": "zh-Hant", "zh-mo": "zh-Hant"}
"""Regions that imply another script than their language's usual one (CLDR, likely subtags)."""
_OPUS_ALSO = {"ja": ("jap",), "zh": ("cmn", "cmn_Hans", "zh_CN"), "zh-Hant": ("cmn_Hant", "zh_TW"), "nb": ("no",)}
"""Names that opus-mt has for a language besides its ISO codes."""


@dataclass(frozen=True)
class Language:
    """One row: `tag` is BCP 47; `iso1`, `iso2` (639-2/T), `iso2b` (639-2/B) are empty where the standard has none.

    `codes` holds the schemes that know the language. A row of a second script (`ace-Arab`) has only `iso3`, which
    leads back to the row of the usual script. `aliases` are further codes that mean this row.
    """

    tag: str
    name: str
    iso1: str
    iso2: str
    iso2b: str
    iso3: str
    codes: Mapping[str, str]
    aliases: tuple[str, ...] = ()


def languages() -> tuple[Language, ...]:
    """All rows, by tag."""
    return tuple(_rows().values())


def find(code: str) -> Language:
    """The row of a code: BCP 47 (subtags it does not need are dropped from the right, RFC 4647), ISO 639-1, -2, -3,
    FLORES-200 as NLLB writes it, or an alias. Raises BadText for what is no code, UnsupportedLanguage."""
    wanted = code.strip()
    if len(wanted) > 40 or not _SHAPE.fullmatch(wanted):
        raise BadText(f"{code[:20]!r} is not a language code.", "Use codes such as en, es, pt-BR.")
    wanted = wanted.replace("_", "-").lower()
    while True:
        tag = _index().get(_SCRIPT_OF.get(wanted, wanted).lower())
        if tag is not None:
            return _rows()[tag]
        wanted, dash, _ = wanted.rpartition("-")
        if not dash:
            raise UnsupportedLanguage(f"No language {code!r} is known here.", "Use codes such as en, es, pt-BR.")


def canonical(code: str) -> str:
    """A BCP 47 code as RFC 5646 (2.1.1) writes it: `ES` is `es`, `PT-br` `pt-BR`, `zh-hANT` `zh-Hant`. What is none, or
    another scheme's, such as NLLB's `spa_Latn`, stays as it is."""
    wanted = code.strip()
    if "_" in wanted or not _SHAPE.fullmatch(wanted):
        return code
    parts = wanted.lower().split("-")
    plain = next((at for at, part in enumerate(parts) if len(part) == 1), len(parts))  # extensions stay small
    case = {2: str.upper, 4: str.title}
    return "-".join(case.get(len(part), str)(part) if 0 < at < plain else part for at, part in enumerate(parts))


def known(code: str) -> bool:
    """Whether `find` has a row for it."""
    try:
        find(code)
    except BadText:
        return False
    return True


def to_code(code: str, scheme: str) -> str:
    """What a model calls a language. Raises UnsupportedLanguage where the model has it not."""
    language = find(code)
    if scheme not in language.codes:
        raise UnsupportedLanguage(
            f"{language.name} ({code}) is not among the languages of {scheme}.", "Choose another model or language."
        )
    return language.codes[scheme]


def opus_codes(code: str) -> Iterator[str]:
    """The names that opus-mt may have for a language in its `>>xxx<<` tokens, likeliest first: newer models use ISO
    639-3, some with a script, older ones ISO 639-1, a few a region (`pt_BR`). Which one a model has, its vocabulary
    says."""
    language = find(code)
    exact = code.strip().replace("-", "_")
    if exact.lower() not in {language.tag.lower(), language.iso3}:
        yield exact  # a region, as it was asked for
    flores = language.codes.get("nllb", "")
    single, _, script = flores.partition("_")
    plain = "-" not in language.tag
    for name in dict.fromkeys((language.iso3, single, language.iso1)):
        if name and plain:
            yield name
        if name and script:
            yield f"{name}_{script}"
    yield from _OPUS_ALSO.get(language.tag, ())


@cache
def _rows() -> Mapping[str, Language]:
    head, *lines = _TABLE.read_text(encoding="utf-8").splitlines()
    names = head.split("\t")
    found: dict[str, Language] = {}
    for line in lines:
        row = {name: "" if value == "-" else value for name, value in zip(names, line.split("\t"), strict=True)}
        codes = {scheme: row[scheme] for scheme in SCHEMES if row[scheme]}
        iso = (row["iso1"], row["iso2"], row["iso2b"], row["iso3"])
        found[row["tag"]] = Language(row["tag"], row["name"], *iso, codes, tuple(row["aliases"].split()))
    return found


@cache
def _index() -> Mapping[str, str]:
    """Every general code, in lower case with hyphens, to its tag; a row's own tag outranks another's alias."""
    found: dict[str, str] = {}
    for language in languages():
        found.setdefault(language.tag.lower(), language.tag)
    for language in languages():
        plain = (language.iso1, language.iso2, language.iso2b, language.iso3) if "-" not in language.tag else ()
        flores = language.codes.get("nllb", "").replace("_", "-")
        for code in (*plain, flores, *language.aliases):
            if code:
                found.setdefault(code.lower(), language.tag)
    return found
