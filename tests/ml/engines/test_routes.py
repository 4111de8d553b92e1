"""Which pairs are installed, and the way through them, on folders of mode files made here."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines.routes import BROKEN, LONGEST_ROUTE, MEASURED, TO_SHORT, VARIANTS, Pairs, find_pairs, language, tag
from ml.errors import BadText, UnsupportedLanguage

FULL = ["eng-cat", "cat-eng", "eng-cat_valencia", "eng-spa", "spa-eng", "spa-eng_US", "cat-spa", "spa-cat", "cat-fra"]
FULL += ["fra-cat", "cat-por", "cat-por_BR", "por-cat", "cat-ita", "ita-cat"]


def pairs(folder: Path, *names: str) -> Pairs:
    for name in names:
        (folder / f"{name}.mode").write_text("lt-proc x\n")
    return find_pairs(folder)


@pytest.fixture
def full(tmp_path: Path) -> Pairs:
    return pairs(tmp_path, *FULL)


@pytest.mark.parametrize(
    ("source", "target", "languages", "modes"),
    [
        ("en", "es", ("en", "ca", "es"), ("eng-cat", "cat-spa")),
        ("en", "fr", ("en", "ca", "fr"), ("eng-cat", "cat-fra")),
        ("en", "it", ("en", "ca", "it"), ("eng-cat", "cat-ita")),
        ("en", "ca", ("en", "ca"), ("eng-cat",)),
        ("en", "pt", ("en", "ca", "pt"), ("eng-cat", "cat-por_BR")),
        ("en", "pt-BR", ("en", "ca", "pt-BR"), ("eng-cat", "cat-por_BR")),
        ("en", "pt-PT", ("en", "ca", "pt-PT"), ("eng-cat", "cat-por")),
        ("en", "ca-valencia", ("en", "ca-valencia"), ("eng-cat_valencia",)),
        ("es", "en", ("es", "en"), ("spa-eng",)),
        ("es", "en-US", ("es", "en-US"), ("spa-eng_US",)),
        ("fr", "en", ("fr", "ca", "es", "en"), ("fra-cat", "cat-spa", "spa-eng")),
        ("pt", "it", ("pt", "ca", "it"), ("por-cat", "cat-ita")),
        ("eng", "spa", ("en", "ca", "es"), ("eng-cat", "cat-spa")),
        ("en-GB", "es-MX", ("en", "ca", "es"), ("eng-cat", "cat-spa")),
        ("EN", "pt_br", ("en", "ca", "pt-BR"), ("eng-cat", "cat-por_BR")),
    ],
)
def test_the_best_measured_way_is_taken(
    full: Pairs, source: str, target: str, languages: tuple[str, ...], modes: tuple[str, ...]
) -> None:
    route = full.route(source, target)
    assert (route.languages, route.modes) == (languages, modes)


def test_a_measured_way_that_is_not_installed_falls_back_to_the_next_and_says_so(tmp_path: Path) -> None:
    direct = pairs(tmp_path, "eng-spa", "eng-cat").route("en", "es")
    assert direct.languages == ("en", "es")
    assert direct.chrf == MEASURED["en", "es"]


def test_an_unmeasured_way_is_the_shortest_and_prefers_the_better_pivot(tmp_path: Path) -> None:
    found = pairs(tmp_path, "swe-dan", "dan-nor", "oci-fra", "fra-cat", "oc-ca", "es-gl", "oc-es", "ca-gl")
    assert found.route("sv", "no").languages == ("sv", "da", "no")
    assert found.route("oc", "gl").languages == ("oc", "ca", "gl")
    assert found.route("oc", "gl").chrf is None


def test_a_chain_is_no_longer_than_it_makes_sense(tmp_path: Path) -> None:
    found = pairs(tmp_path, "en-eo", "eo-fr", "fr-oc", "oc-ca")
    assert found.route("en", "oc").languages == ("en", "eo", "fr", "oc")
    with pytest.raises(UnsupportedLanguage):
        found.route("en", "ca")
    assert LONGEST_ROUTE == 3


def test_broken_data_is_neither_offered_nor_passed_through(tmp_path: Path) -> None:
    found = pairs(tmp_path, "eng-hbs", "hbs-eng", "eng-hbs_SR", "hbs-slv", "hbs-mkd", "mkd-bul", "eng-spa")
    assert found.targets("en") == ("es",)
    for target in ("sh", "hbs", "sl", "mk", "bg"):
        with pytest.raises(UnsupportedLanguage, match="reach es"):
            found.route("en", target)
    assert {"sh"} == BROKEN


@pytest.mark.parametrize(
    ("installed", "source", "target", "remedy"),
    [
        ((), "en", "es", "sudo apt install apertium apertium-eng-cat apertium-spa-cat"),
        (("eng-cat",), "en", "es", "sudo apt install apertium apertium-spa-cat"),
        (("eng-cat", "cat-eng"), "en", "fr", "sudo apt install apertium apertium-fra-cat"),
        (("eng-cat",), "en", "gl", "sudo apt install apertium apertium-en-gl"),
        (("eng-cat",), "uk", "ru", "sudo apt install apertium apertium-rus-ukr"),
        (("eng-cat",), "sv", "no", "sudo apt install apertium apertium-swe-nor"),
    ],
)
def test_a_language_that_a_package_would_bring_is_answered_with_its_apt_line(
    tmp_path: Path, installed: tuple[str, ...], source: str, target: str, remedy: str
) -> None:
    with pytest.raises(UnsupportedLanguage) as failure:
        pairs(tmp_path, *installed).route(source, target)
    assert failure.value.remedy == remedy


def test_a_language_that_nothing_would_bring_is_answered_with_those_that_can_be_reached(full: Pairs) -> None:
    with pytest.raises(UnsupportedLanguage) as failure:
        full.route("en", "zh")
    assert "ca, ca-valencia, es, fr, it, pt, pt-BR, pt-PT" in failure.value.sentence
    assert "apt" not in failure.value.remedy
    assert failure.value.remedy


@pytest.mark.parametrize(("source", "target"), [("en", "en"), ("en", "en-US"), ("pt-BR", "pt-PT"), ("eng", "en")])
def test_a_language_is_not_translated_into_itself(full: Pairs, source: str, target: str) -> None:
    with pytest.raises(UnsupportedLanguage, match="nothing to translate"):
        full.route(source, target)


def test_other_files_and_absent_folders_are_no_pairs(tmp_path: Path) -> None:
    for name in ("README", "eng-cat.mode.bak", "en-eo-bytecode.mode", "eco-fr-es.mode", "x.mode"):
        (tmp_path / name).write_text("")
    assert find_pairs(tmp_path).modes == {}
    assert find_pairs(tmp_path / "nowhere").all() == ()


def test_everything_listed_can_be_routed(full: Pairs) -> None:
    listed = full.all()
    assert ("en", "es") in listed
    assert ("ca", "ca-valencia") not in listed
    for source, target in listed:
        route = full.route(source, target)
        assert route.languages[0] == source
        assert route.languages[-1] == target
        assert len(route.modes) == len(route.languages) - 1


@given(
    st.sets(st.sampled_from(FULL)),
    st.sampled_from(["en", "es", "ca", "fr", "pt", "it"]),
    st.sampled_from(sorted({*VARIANTS, "es", "it"})),
)
def test_a_route_is_a_chain_of_installed_modes_or_an_error(names: set[str], source: str, target: str) -> None:
    def key(name: str) -> tuple[str, str, str]:
        pair, _, variant = name.partition("_")
        first, second = pair.split("-")
        return TO_SHORT[first], TO_SHORT[second], variant

    found = Pairs({key(name): name for name in names})
    if tag(target) not in found.targets(source):
        with pytest.raises(UnsupportedLanguage) as failure:
            found.route(source, target)
        assert failure.value.remedy
        return
    route = found.route(source, target)
    assert set(route.modes) <= names
    steps = [key(mode)[:2] for mode in route.modes]
    assert [step[0] for step in steps] + [steps[-1][1]] == [language(code) for code in route.languages]


@pytest.mark.parametrize("code", ["", "e", "english language", "en/es", "../x", "12"])
def test_what_is_no_code_is_refused(code: str) -> None:
    with pytest.raises(BadText, match="not a language code"):
        tag(code)


def test_codes_are_brought_to_their_usual_writing() -> None:
    assert [tag(code) for code in ("spa", "ES", "es-MX", "PT_br", "cat-valencia", "nno")] == [
        "es", "es", "es", "pt-BR", "ca-valencia", "nn",
    ]  # fmt: skip
