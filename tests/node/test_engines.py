"""Engines of a job: started together, the missing one told, the unneeded one left alone."""

from dataclasses import replace

import pytest

from ml.engines.protocols import EngineHome, EngineSpec
from ml.engines.registry import Registry
from ml.errors import EngineFailed, ModelDamaged, OutOfMemory, Unavailable, UnsupportedLanguage
from node.engines import EngineNames, Languages, describe, load_engines, source_language, spoken_language
from tests.fakes import (
    CountingAsr,
    CountingAst,
    ManyMt,
    PolyglotAsr,
    TellingAsr,
    TellingMt,
    absent,
    fake_registry,
    spec_of,
)


def test_all_engines_of_a_dubbing(tmp_path):
    engines = load_engines(fake_registry(tmp_path), EngineNames())
    assert engines.asr is not None
    assert engines.tts is not None
    assert engines.speaker is not None
    assert engines.warnings == ()


def test_text_needs_neither_ears_nor_mouth(tmp_path):
    engines = load_engines(fake_registry(tmp_path, asr=None, tts=None), EngineNames(), hear=False, speak=False)
    assert (engines.asr, engines.tts) == (None, None)


def test_without_the_speaker_model_the_rest_goes_on_and_says_so(tmp_path):
    engines = load_engines(fake_registry(tmp_path, speaker=None), EngineNames())
    assert engines.speaker is None
    assert "apt install speaker" in engines.warnings[0]


@pytest.mark.parametrize("task", ["asr", "mt", "tts"])
def test_anything_else_that_is_missing_is_an_error_with_its_remedy(tmp_path, task):
    with pytest.raises(Unavailable) as caught:
        load_engines(fake_registry(tmp_path, **{task: None}), EngineNames())
    assert caught.value.remedy == f"apt install {task}"


def test_the_language_of_the_input():
    assert source_language("en", CountingAsr()) == ("en", None)
    language, remark = source_language("auto", CountingAsr())
    assert language == "en"
    assert "knows no other" in remark
    with pytest.raises(UnsupportedLanguage, match="de"):
        source_language("de", CountingAsr())
    for asked in ("en-GB", "en-US"):
        assert source_language(asked, CountingAsr()) == ("en", None)
    for asked in ("de-AT", "no code"):
        with pytest.raises(UnsupportedLanguage, match=asked):
            source_language(asked, CountingAsr())


def test_the_report_says_which_engine_and_why(tmp_path):
    engines = load_engines(fake_registry(tmp_path), EngineNames(mt="fake-mt"))
    line = describe(engines.mt, "mt", engines, ("en", "es"))
    assert (line.name, line.why, line.route) == ("upper", "asked for by name", ("en", "es"))
    assert engines.asr is not None
    assert describe(engines.asr, "asr", engines).why == "the best that is installed"


def test_a_damaged_speaker_model_stops_nobody_either(tmp_path):
    registry = fake_registry(tmp_path)

    def damaged(wish, name=None, *more):
        if wish.task == "speaker":
            raise ModelDamaged("x.safetensors cannot be read.", "node models pull resemblyzer")
        return Registry.pick(registry, wish, name, *more)

    registry.pick = damaged
    engines = load_engines(registry, EngineNames())
    assert engines.speaker is None
    assert "node models pull" in engines.warnings[0]


def test_straight_needs_neither_ears_nor_a_translator_and_comes_only_by_name(tmp_path):
    registry = fake_registry(tmp_path, asr=None, mt=None, ast=CountingAst())
    engines = load_engines(registry, EngineNames(ast="fake-ast"))
    assert (engines.asr, engines.mt) == (None, None)
    assert engines.ast is not None
    assert engines.why["ast"]
    with pytest.raises(Unavailable):
        load_engines(registry, EngineNames())
    assert load_engines(fake_registry(tmp_path, ast=CountingAst()), EngineNames()).ast is None
    with pytest.raises(Unavailable, match="nonesuch"):
        load_engines(fake_registry(tmp_path, ast=CountingAst()), EngineNames(ast="nonesuch"))


def test_text_is_never_interpreted(tmp_path):
    registry = fake_registry(tmp_path, ast=CountingAst())
    engines = load_engines(registry, EngineNames(ast="fake-ast"), hear=False)
    assert engines.ast is None
    assert engines.mt is not None


def test_the_language_of_speech_that_goes_straight(tmp_path):
    assert spoken_language("auto", CountingAst(), "es") == (None, None)
    assert spoken_language("deu", CountingAst(), "es-MX") == ("de", None)
    deaf = CountingAst(detects=False)
    with pytest.raises(UnsupportedLanguage) as failure:
        spoken_language("auto", deaf, "es")
    assert "de, en" in failure.value.remedy
    with pytest.raises(UnsupportedLanguage):
        spoken_language("fr", deaf, "es")
    with pytest.raises(UnsupportedLanguage) as failure:
        spoken_language("en", deaf, "de")
    assert "es" in failure.value.remedy


def test_an_engine_that_tells_languages_apart_is_not_asked_for_one():
    assert source_language("auto", PolyglotAsr("de")) == (None, None)
    assert source_language("de", PolyglotAsr("en")) == ("de", None)
    language, remark = source_language("auto", PolyglotAsr("de", languages=("de",)))
    assert (language, remark is None) == ("de", False)


def test_a_translator_can_be_had_for_a_language_that_is_only_heard(tmp_path):
    mt = ManyMt("de")
    engines = load_engines(fake_registry(tmp_path, mt=mt), EngineNames())
    assert engines.translator is not None
    assert engines.translator("de") is mt


def test_the_translator_of_a_heard_language_is_the_best_that_knows_it(tmp_path):
    def translator(name: str, source: str, rank: int) -> EngineSpec:
        return replace(spec_of(name, "mt", lambda spec: ManyMt(source), rank=rank), pairs=((source, "es"),))

    specs = [spec for spec in fake_registry(tmp_path).specs() if spec.task != "mt"]
    specs += [translator("english", "en", 9), translator("german", "de", 5)]
    engines = load_engines(Registry(specs, EngineHome(tmp_path)), EngineNames(), Languages("auto", "es"))
    assert engines.mt is not None
    assert engines.mt.capabilities().pairs == (("en", "es"),)
    assert engines.translator is not None
    assert engines.translator("en") is engines.mt
    assert engines.translator("de").capabilities().pairs == (("de", "es"),)
    with pytest.raises(UnsupportedLanguage, match="fr to es"):
        engines.translator("fr")


@pytest.mark.parametrize("error", [OutOfMemory("No room.", "Close programs."), EngineFailed("It fell.", "Again.")])
def test_a_speaker_model_that_fails_or_has_no_room_stops_nobody_either(tmp_path, error):
    registry = fake_registry(tmp_path)

    def failing(wish, name=None, *more):
        if wish.task == "speaker":
            raise error
        return Registry.pick(registry, wish, name, *more)

    registry.pick = failing
    engines = load_engines(registry, EngineNames())
    assert engines.speaker is None
    assert error.remedy in engines.warnings[0]


def test_a_direction_that_the_translator_has_not_is_refused_before_anything_is_heard(tmp_path):
    class Knowing(TellingMt):
        def prepare(self, source, target):
            raise UnsupportedLanguage(f"No dictionaries lead from {source} to {target}.", "Choose another.")

    need = replace(absent("the model far", "node models pull far"), kind="model")
    far = replace(spec_of("far", "mt", TellingMt, missing=(need,)), pairs=(("en", "ru"),))
    specs = [spec_of("ear", "asr", lambda spec: TellingAsr(spec, "")), spec_of("words", "mt", Knowing), far]
    registry = Registry(specs, EngineHome(tmp_path))
    assert load_engines(registry, EngineNames(), Languages(None, "es"), speak=False).mt
    for source in (None, "en"):
        with pytest.raises(UnsupportedLanguage, match="lead from en to ru") as caught:
            load_engines(registry, EngineNames(), Languages(source, "ru"), speak=False)
        assert caught.value.remedy == "node models pull far"


def untouched(name: str, task: str) -> EngineSpec:
    def build(spec):
        raise AssertionError(f"{name} was built for nothing")

    return spec_of(name, task, build)


@pytest.mark.parametrize(
    ("names", "languages", "wrong"),
    [
        (EngineNames(asr="nope"), Languages("en", "es"), "asr engine called 'nope'"),
        (EngineNames(mt="nope"), Languages("en", "es"), "mt engine called 'nope'"),
        (EngineNames(tts="nope"), Languages("en", "es"), "tts engine called 'nope'"),
        (EngineNames(tts="ear"), Languages("en", "es"), "ear is no tts engine"),
        (EngineNames(), Languages("en", "xx"), "no language 'xx'"),
        (EngineNames(), Languages("qzq", "es"), "no language 'qzq'"),
        (EngineNames(mt="cut"), Languages("en", "es"), "cut cannot be used"),
        (EngineNames(), Languages("en", "fi"), "No tts engine can serve fi"),
    ],
)
def test_what_cannot_be_is_refused_before_any_engine_starts(tmp_path, names, languages, wrong):
    mouth = replace(untouched("mouth", "tts"), languages=("es",))
    cut = spec_of("cut", "mt", TellingMt, missing=(absent("its weights", "node models pull cut"),))
    specs = [untouched("ear", "asr"), untouched("words", "mt"), mouth, cut]
    with pytest.raises((Unavailable, UnsupportedLanguage)) as told:
        load_engines(Registry(specs, EngineHome(tmp_path)), names, languages)
    assert wrong in told.value.sentence
    assert told.value.remedy


def test_a_wrong_name_is_told_also_where_nothing_is_spoken(tmp_path):
    registry = fake_registry(tmp_path)
    for names in (EngineNames(tts="nope"), EngineNames(asr="nope"), EngineNames(ast="nope")):
        with pytest.raises(Unavailable, match="nope"):
            load_engines(registry, names, Languages("en", "es"), hear=False, speak=False)
    assert load_engines(registry, EngineNames(tts="auto"), Languages("en", "es"), hear=False, speak=False).mt


def test_a_languages_name_is_answered_with_its_code(tmp_path):
    for said, meant in (("spanish", "es (Spanish)"), ("Catalan", "ca (Catalan)"), ("frensh", "fr (French)")):
        with pytest.raises(UnsupportedLanguage, match=said) as told:
            load_engines(fake_registry(tmp_path), EngineNames(), Languages("en", said))
        assert told.value.remedy == f"Did you mean {meant}?"


def test_a_language_that_only_an_engine_knows_is_let_through(tmp_path):
    own = replace(spec_of("own", "mt", TellingMt), languages=("en", "qzq"))
    registry = Registry([own], EngineHome(tmp_path))
    assert load_engines(registry, EngineNames(), Languages("en", "QZQ"), hear=False, speak=False).mt
