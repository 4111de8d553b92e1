"""The table of languages: every code of every scheme comes back to its row, and no list of a model is left out."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.routes import TO_SHORT
from ml.errors import BadText, UnsupportedLanguage
from ml.languages import SCHEMES, Language, canonical, find, known, languages, opus_codes, to_code

ROWS = languages()
rows = st.sampled_from(ROWS)


def lists_in_transformers() -> dict[str, list[str]]:
    """The codes as transformers has them, read from its source: importing it takes seconds."""
    found = find_spec("transformers")
    assert found is not None
    assert found.origin is not None

    def literal(module: str, name: str) -> Any:
        tree = ast.parse((Path(found.origin).parent / "models" / module).read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
                return ast.literal_eval(node.value)
        raise AssertionError(f"{module} has no {name}")

    m2m100 = literal("m2m_100/tokenization_m2m_100.py", "FAIRSEQ_LANGUAGE_CODES")
    return {
        "nllb": literal("nllb/tokenization_nllb.py", "FAIRSEQ_LANGUAGE_CODES"),
        "m2m100": m2m100["m2m100"],
        "wmt21": m2m100["wmt21"],
        "whisper": list(literal("whisper/tokenization_whisper.py", "LANGUAGES")),
        "canary": list(literal("canary/processing_canary.py", "LANGUAGE_CODE_TO_NAME")),
    }


def test_the_table_covers_the_lists_in_transformers_exactly() -> None:
    lists = lists_in_transformers()
    assert set(lists.pop("wmt21")) < set(lists["m2m100"])
    for scheme, codes in lists.items():
        ours = [row.codes[scheme] for row in ROWS if scheme in row.codes]
        assert sorted(ours) == sorted(codes), scheme


def test_the_columns_are_as_long_as_their_lists() -> None:
    counted = {scheme: sum(scheme in row.codes for row in ROWS) for scheme in SCHEMES}
    assert counted["nllb"] == 202
    assert counted["whisper"] == 100
    assert counted["m2m100"] == 100
    assert counted["canary"] == 25
    assert counted["seamless"] == 98
    assert counted["madlad"] > 350


@settings(deadline=None)
@given(rows)
def test_every_code_comes_back(row: Language) -> None:
    assert find(row.tag) is row
    assert find(row.tag.upper().replace("-", "_")) is row
    for scheme, code in row.codes.items():
        assert [other for other in ROWS if other.codes.get(scheme) == code] == [row]
        assert to_code(row.tag, scheme) == code
    assert all(find(alias) is row for alias in row.aliases)
    if row.codes.get("nllb"):
        assert find(row.codes["nllb"]) is row
    usual = find(row.iso3)
    assert usual.iso3 == row.iso3, "a second script leads to the usual one"
    if usual is row:
        assert all(find(code) is row for code in (row.iso1, row.iso2, row.iso2b) if code)
    else:
        assert "-" in row.tag


@settings(deadline=None)
@given(rows, st.sampled_from(["", "-XX", "-Latn", "-419", "-x-private"]))
def test_a_subtag_too_many_is_dropped(row: Language, more: str) -> None:
    assert find(row.tag + more).iso3 == row.iso3


def test_no_two_rows_claim_one_code() -> None:
    for codes in (
        [row.tag.lower() for row in ROWS],
        [row.iso1 for row in ROWS if row.iso1],
        [row.iso2b for row in ROWS if row.iso2b],
        [row.iso3 for row in ROWS if "-" not in row.tag],
        [alias for row in ROWS for alias in row.aliases],
        [row.name for row in ROWS],
    ):
        assert len(codes) == len(set(codes))
    tags = {row.tag for row in ROWS}
    assert not [alias for row in ROWS for alias in row.aliases if alias in tags]


def test_the_rows_are_well_formed() -> None:
    for row in ROWS:
        assert row.name
        assert re.fullmatch(r"[a-z]{2,3}(-[A-Z][a-z]{3})?", row.tag), row
        assert re.fullmatch("[a-z]{3}", row.iso3), row
        assert row.iso1 in ("", row.tag), "a language with a two-letter code is called by it"
        assert all(code in {row.iso1, ""} or len(code) == 3 for code in (row.iso2, row.iso2b))


@pytest.mark.parametrize(
    ("code", "tag"),
    [
        ("eng", "en"), ("spa_Latn", "es"), ("ger", "de"), ("deu", "de"), ("pt-BR", "pt"), ("zh-TW", "zh-Hant"),
        ("zh_CN", "zh"), ("cmn", "zh"), ("iw", "he"), ("in", "id"), ("no", "nb"), ("nor", "nb"), ("arb", "ar"),
        ("ara", "ar"), ("swh_Latn", "sw"), ("zho_Hant", "zh-Hant"), ("fil", "tl"), ("EN-gb", "en"), ("yue", "yue"),
        ("per", "fa"), ("pes_Arab", "fa"), ("zh-Hant-HK", "zh-Hant"), ("hbs", "sh"), ("sr-Latn", "sr"),
    ],
)  # fmt: skip
def test_codes_that_people_and_models_write(code: str, tag: str) -> None:
    assert find(code).tag == tag


@pytest.mark.parametrize(
    ("tag", "scheme", "code"),
    [
        ("jv", "whisper", "jw"), ("nb", "whisper", "no"), ("nso", "m2m100", "ns"), ("tl", "madlad", "fil"),
        ("zh", "seamless", "cmn"), ("zh-Hant", "seamless", "cmn_Hant"), ("ms", "seamless", "zlm"), ("ar", "mms", "ara"),
        ("uz", "mms", "uzb-script_cyrillic"), ("zh", "espeak", "cmn"), ("en-US", "nllb", "eng_Latn"),
    ],
)  # fmt: skip
def test_models_that_call_a_language_otherwise(tag: str, scheme: str, code: str) -> None:
    assert to_code(tag, scheme) == code


def test_what_is_not_there_is_refused() -> None:
    for code in ("", "e", "english", "e n", "en\0", "x" * 50):
        with pytest.raises(BadText):
            find(code)
        assert not known(code)
    for code in ("xx", "qaa", "xx-YY"):
        with pytest.raises(UnsupportedLanguage):
            find(code)
    with pytest.raises(UnsupportedLanguage, match="Latin"):
        to_code("la", "nllb")


@settings(deadline=None)
@given(st.text(max_size=12))
def test_any_text_has_a_row_or_an_error_of_ours(text: str) -> None:
    assert known(text) in (True, False)


def test_opus_names() -> None:
    assert list(opus_codes("es")) == ["spa", "spa_Latn", "es", "es_Latn"]
    assert next(opus_codes("pt-BR")) == "pt_BR"
    assert "jap" in opus_codes("ja")
    assert {"cmn_Hant", "zho_Hant"} <= set(opus_codes("zh-TW"))
    assert "zho" not in set(opus_codes("zh-Hant"))


def test_the_codes_of_apertium_mean_the_same() -> None:
    for long, short in TO_SHORT.items():
        assert find(long).tag == {"no": "nb"}.get(short, short)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("ES", "es"),
        (" es ", "es"),
        ("PT-br", "pt-BR"),
        ("zh-hANT-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("EN-gb-X-RP-Fast", "en-GB-x-rp-fast"),
        ("spa_Latn", "spa_Latn"),
        ("Spanish", "Spanish"),
        ("", ""),
    ],
)
def test_a_code_is_written_in_one_way(said: str, meant: str) -> None:
    assert canonical(said) == meant


@given(rows, st.sampled_from([str.upper, str.lower, str.title]))
def test_writing_a_code_in_the_usual_way_changes_no_language(row: Language, written: Any) -> None:
    code = canonical(written(row.tag))
    assert find(code) is find(row.tag)
    assert canonical(code) == code
