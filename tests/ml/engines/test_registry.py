"""Engines are found by entry points, built once, and what is missing is told with its remedy."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ml.device import Hardware
from ml.engines import registry as registry_module
from ml.engines.choice import Wish
from ml.engines.protocols import EngineHome, EngineSpec, Need
from ml.engines.registry import Registry, discover
from ml.errors import ModelDamaged, Unavailable, UnsupportedLanguage
from tests.fakes import UpperMt, fake_spec

HOME = EngineHome(Path("models"))


class Engine(UpperMt):
    built = 0

    def __init__(self) -> None:
        super().__init__()
        time.sleep(0.02)
        type(self).built += 1
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def spec(name: str, *, rank: int = 0, present: bool = True, factory=lambda home: Engine()) -> EngineSpec:
    need = Need("a thing", "debian", lambda home: present, "apt install thing")
    return EngineSpec(name, "mt", "", ("en",), "none", factory, (need,), rank=rank)


class Point:
    def __init__(self, value) -> None:
        self.name = self.value = "x"
        self.dist = None
        self._value = value

    def load(self):
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


def test_our_own_engines_come_through_the_same_door():
    assert {"apertium", "espeak-ng", "pocketsphinx", "resemblyzer"} <= {s.name for s in discover()}


def test_specs_are_ordered_by_rank_and_may_come_in_tuples(monkeypatch):
    points = [Point(spec("b")), Point((spec("a"), spec("c", rank=5)))]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: points)
    assert [s.name for s in discover()] == ["c", "a", "b"]


def test_a_package_that_does_not_import_is_told_and_stops_nobody(monkeypatch):
    points = [Point(ImportError("no numpy")), Point(spec("a"))]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: points)
    broken: list[Unavailable] = []
    assert [s.name for s in discover(broken)] == ["a"]
    assert "no numpy" in broken[0].sentence
    with pytest.raises(Unavailable, match="no numpy"):
        discover()


def test_one_build_however_many_threads_ask():
    Engine.built = 0
    engines = Registry([spec("one")], HOME)
    got = []
    threads = [threading.Thread(target=lambda: got.append(engines.load("mt"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Engine.built == 1
    assert len({id(engine) for engine in got}) == 1
    engines.close()
    assert got[0].closed == 1
    with pytest.raises(Unavailable, match="closed"):
        engines.load("mt")


def test_the_best_that_is_present_is_chosen():
    engines = Registry([spec("best", rank=9, present=False), spec("good", rank=5), spec("plain")], HOME)
    assert engines.choose("mt").name == "good"
    assert engines.choose("mt", "plain").name == "plain"


def test_what_is_missing_is_told_with_its_remedy():
    engines = Registry([spec("best", present=False)], HOME)
    for name in (None, "best"):
        with pytest.raises(Unavailable, match="a thing") as caught:
            engines.choose("mt", name)
        assert caught.value.remedy == "apt install thing"


def test_unknown_names_and_tasks_without_engines():
    engines = Registry([spec("one")], HOME)
    with pytest.raises(Unavailable) as caught:
        engines.choose("mt", "two")
    assert "one" in caught.value.remedy
    with pytest.raises(Unavailable):
        engines.choose("asr")
    with pytest.raises(Unavailable):
        engines.choose("tts", "one")


def test_an_engine_that_does_not_start_is_unavailable_and_tried_again():
    tries = []

    def factory(home):
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no such library")
        return Engine()

    engines = Registry([spec("one", factory=factory)], HOME)
    with pytest.raises(Unavailable, match="no such library"):
        engines.load("mt")
    assert engines.load("mt") is engines.load("mt")
    assert len(tries) == 2


def test_fake_specs_need_nothing():
    assert fake_spec("x", "mt").missing(HOME) == ()


def failing(home: EngineHome) -> Engine:
    raise ModelDamaged("The big model is damaged.", "node models verify big")


def test_one_that_does_not_start_is_told_and_the_next_real_one_serves():
    registry = Registry([spec("big", rank=9, factory=failing), spec("small", rank=1)], HOME)
    pick = registry.pick(Wish("mt", "en"))
    assert isinstance(pick.engine, Engine)
    assert pick.troubles == ("big does not start: The big model is damaged. To mend: node models verify big",)
    assert "others did not start" in pick.why
    with pytest.raises(ModelDamaged):
        registry.pick(Wish("mt", "en"), "big")
    with pytest.raises(ModelDamaged):
        Registry([spec("big", factory=failing)], HOME).pick(Wish("mt", "en"))


def test_nobody_for_a_language_says_who_knows_which():
    with pytest.raises(UnsupportedLanguage, match="small knows en") as caught:
        Registry([spec("small")], HOME).pick(Wish("mt", "de"))
    assert "node models list" in caught.value.remedy


def test_what_is_missing_comes_with_its_remedy():
    with pytest.raises(Unavailable, match="a thing is missing") as caught:
        Registry([spec("far", present=False)], HOME).pick(Wish("mt", "en"))
    assert caught.value.remedy == "apt install thing"
    for name in (None, "nonesuch"):
        with pytest.raises(Unavailable):
            Registry([], HOME).pick(Wish("mt"), name)


def test_the_hardware_is_looked_at_only_for_models_that_weigh():
    asked = []

    def hardware() -> Hardware:
        asked.append(1)
        return Hardware(10**9)

    light, heavy = spec("light"), replace(spec("heavy", rank=5), memory={"float32": 10**8})
    assert Registry([light], HOME, hardware).pick(Wish("mt")).why == "the best that is installed"
    assert not asked
    assert "cpu in float32" in Registry([light, heavy], HOME, hardware).pick(Wish("mt")).why
    assert asked


def test_a_licence_with_terms_is_never_a_default():
    unfree = replace(spec("unfree", rank=9), use="non-commercial")
    registry = Registry([unfree, spec("free")], HOME)
    assert registry.choose("mt").name == "free"
    assert registry.choose("mt", "unfree").name == "unfree"
    assert registry.pick(Wish("mt"), "unfree").why == "asked for by name"


def fetchable(name: str, **more: object) -> EngineSpec:
    """An engine whose model is not here."""
    need = Need(f"the model {name}", "model", lambda home: False, f"node models pull {name}", model=name)
    return replace(spec(name, rank=9), needs=(need,), **more)


def damaged(name: str) -> EngineSpec:
    """An engine with a damaged model, and something else that is not here."""
    gap = f"the model {name} is damaged"
    whole = Need(f"whole files of {name}", "file", lambda home: False, f"pull {name}", gap=gap, fault=True)
    return replace(spec(name), needs=(Need("a thing", "debian", lambda home: False, "apt install thing"), whole))


def test_what_is_damaged_is_told_as_such():
    registry = Registry([damaged("m")], HOME)
    for ask in (lambda: registry.load("mt", "m"), lambda: registry.pick(Wish("mt"), "m")):
        with pytest.raises(Unavailable) as caught:
            ask()
        assert caught.value.sentence == "m cannot be used: a thing is missing; the model m is damaged."
        assert caught.value.remedy == "pull m"
    with pytest.raises(Unavailable) as caught:
        registry.choose("mt")
    assert caught.value.sentence == "No mt engine can run here: a thing is missing; the model m is damaged."
    with pytest.raises(Unavailable) as caught:
        Registry([damaged("m"), damaged("n")], HOME).choose("mt")
    assert "a thing, a thing (or 1 other) is missing; the model m is damaged." in caught.value.sentence
    bare = [replace(damaged(name), needs=damaged(name).needs[1:]) for name in "abcd"]
    with pytest.raises(Unavailable) as caught:
        Registry(bare, HOME).choose("mt")
    assert caught.value.sentence.endswith("the model b is damaged; the model c is damaged (or 1 other).")


def test_what_can_be_mended_is_told_before_what_could_be_fetched():
    far = [fetchable(f"far-{number}") for number in range(5)]
    with pytest.raises(Unavailable, match=r"a thing, the model far-0, .* \(or 3 others\)") as caught:
        Registry([*far, spec("near", present=False)], HOME).choose("mt")
    assert caught.value.remedy == "apt install thing"


def test_nobody_for_a_language_stays_one_sentence_however_many_models_there_are():
    many = tuple(f"l{number}" for number in range(100))
    far = [fetchable(f"far-{number}", languages=many) for number in range(20)]
    pair = fetchable("pair", languages=(), pairs=(("en", "es"),))
    with pytest.raises(UnsupportedLanguage) as caught:
        Registry([*far, pair, spec("near")], HOME).pick(Wish("mt", "zu", "zu"))
    assert "near knows en, far-0 knows 100 others" in caught.value.sentence
    assert "and 19 others" in caught.value.sentence
    assert len(caught.value.sentence) < 200


@pytest.mark.parametrize("wrong", [RuntimeError("a defect"), SyntaxError("no Python"), 3, [3]])
def test_a_package_that_breaks_in_any_way_stops_nobody(monkeypatch, wrong):
    monkeypatch.setattr(registry_module, "entry_points", lambda group: [Point(wrong), Point(spec("a"))])
    broken = []
    assert [s.name for s in discover(broken)] == ["a"]
    assert "does not import" in broken[0].sentence
    with pytest.raises(Unavailable):
        discover()


def test_one_with_a_defect_is_told_and_the_next_one_serves_unless_it_was_asked_for():
    def defect(home):
        raise IndexError("index out of range in self")

    registry = Registry([spec("worse"), spec("bad", rank=9, factory=defect)], HOME)
    pick = registry.pick(Wish("mt"))
    assert pick.engine.spec.name == "upper"
    assert pick.troubles == ("bad does not start: it has a defect: IndexError: index out of range in self",)
    with pytest.raises(IndexError):
        registry.pick(Wish("mt"), "bad")


def test_all_are_closed_also_when_one_does_not_close():
    class Stubborn(Engine):
        def close(self):
            super().close()
            raise RuntimeError("it will not")

    made = [Engine(), Stubborn(), Engine()]
    registry = Registry(
        [spec(name, factory=lambda home, one=one: one) for name, one in zip("abc", made, strict=True)], HOME
    )
    for name in "abc":
        registry.load("mt", name)
    with pytest.raises(RuntimeError, match="it will not"):
        registry.close()
    assert [one.closed for one in made] == [1, 1, 1]


@pytest.mark.parametrize(
    ("sentence", "remedy", "line"),
    [
        ("It is cut", "node models verify it", "It is cut. To mend: node models verify it"),
        ("It is cut.", "node models verify it", "It is cut. To mend: node models verify it"),
        ("It is cut.", "", "It is cut."),
    ],
)
def test_a_sentence_and_its_remedy_do_not_run_into_each_other(sentence: str, remedy: str, line: str) -> None:
    assert Unavailable(sentence, remedy).whole == line


def test_auto_names_none():
    registry = Registry([spec("one"), spec("two", rank=-1)], HOME)
    assert registry.choose("mt", "auto").name == "one"
    assert registry.pick(Wish("mt"), "auto").why == "the best that is installed"


def test_a_name_that_is_nearly_right_is_told_and_not_all_the_others():
    registry = Registry([spec("marian"), *(fetchable(f"far-{number}") for number in range(40))], HOME)
    for ask in (lambda: registry.choose("mt", "marain"), lambda: registry.pick(Wish("mt"), "marain")):
        with pytest.raises(Unavailable) as caught:
            ask()
        assert "Did you mean marian?" in caught.value.remedy
        assert "far-7" not in caught.value.remedy


def test_the_name_of_another_task_is_told_with_its_task():
    with pytest.raises(Unavailable, match="one is no tts engine: its task is mt"):
        Registry([spec("one")], HOME).pick(Wish("tts"), "one")


def test_a_name_that_may_be_in_a_broken_package_is_told_with_it():
    broken = Unavailable("The engine package 'brk' does not import: no.", "pip uninstall brk, or mend it.")
    with pytest.raises(Unavailable, match=r"'brk'.* does not import") as caught:
        Registry([spec("one")], HOME, broken=[broken]).pick(Wish("mt"), "brk")
    assert caught.value.remedy == broken.remedy


def test_one_that_refuses_when_it_runs_leaves_it_to_the_next_and_its_words_are_the_last():
    no = UnsupportedLanguage("No way leads there.", "Choose another.")
    registry = Registry([spec("first", rank=9), spec("second")], HOME)
    wish = Wish("mt", None, None)
    pick = registry.pick(wish, None, lambda engine: no if engine is registry.load("mt", "first") else None)
    assert pick.engine is registry.load("mt", "second")
    for name in (None, "first"):
        with pytest.raises(UnsupportedLanguage, match="No way leads there"):
            registry.pick(wish, name, lambda engine: no)


def test_only_one_that_says_it_knows_the_languages_is_recommended_in_the_place_of_another():
    mine = replace(spec("mine"), languages=(), pairs=(("en", "es"),))
    any_ = replace(spec("any"), languages=())
    for others, told in (([any_], "node models list"), ([any_, replace(spec("sure"), languages=("en", "ru"))], "sure")):
        with pytest.raises(UnsupportedLanguage, match="mine does not know ru") as caught:
            Registry([mine, *others], HOME).pick(Wish("mt", None, "ru"), "mine")
        assert told in caught.value.remedy
        assert "any" not in caught.value.remedy


def test_a_model_with_terms_that_is_not_here_hides_nothing():
    unfree = fetchable("unfree", languages=("en", "de"), use="non-commercial")
    pair = fetchable("pair", languages=(), pairs=(("en", "de"),))
    with pytest.raises(UnsupportedLanguage) as caught:
        Registry([unfree, pair, spec("near")], HOME).pick(Wish("mt", None, "de"))
    assert caught.value.remedy == "node models pull pair"


def test_what_engines_say_is_heard_where_there_is_a_book_of_them():
    from ml.engines.residency import Residency

    residency = Residency(lambda: Hardware(0))
    news = Registry((), HOME, residency=residency).listen()
    residency.tell("It fell.")
    assert news() == ("It fell.",)
    assert Registry((), HOME).listen()() == ()


def test_of_many_engines_that_are_here_a_few_are_told():
    registry = Registry([spec(f"engine-{number}") for number in range(47)], HOME)
    with pytest.raises(Unavailable) as caught:
        registry.pick(Wish("mt"), "zzz")
    assert "and 42 others" in caught.value.remedy
    assert caught.value.remedy.count("engine-") == 5
    with pytest.raises(Unavailable) as caught:
        registry.pick(Wish("mt"), "engin-7")
    assert "Did you mean engine-7" in caught.value.remedy
    assert caught.value.remedy.count("engine-") <= 3


def test_packages_that_do_not_import_are_told_beside_names_that_are_near():
    broken = [Unavailable(f"The engine package {name!r} does not import: x.", f"mend {name}") for name in ("p", "q")]
    registry = Registry([spec("marian")], HOME, broken=broken)
    with pytest.raises(Unavailable, match=r"no mt engine called 'marain'.*'p' does not import.*'q' does not") as caught:
        registry.pick(Wish("mt"), "marain")
    assert caught.value.remedy.splitlines() == ["Did you mean marian?", "mend p", "mend q"]


def test_what_nobody_can_serve_is_told_without_building_any() -> None:
    def build(home: EngineHome) -> Engine:
        raise AssertionError("built for nothing")

    gone = Need("x", "file", lambda home: False, "mend x")
    specs = [replace(spec(name), factory=build) for name in ("a", "b")]
    registry = Registry([*specs, replace(spec("gone"), needs=(gone,))], HOME)
    registry.check(Wish("mt"))
    registry.check(Wish("mt"), "auto")
    for name, sentence in (("nope", "no mt engine called 'nope'"), ("gone", "gone cannot be used")):
        for ask in (registry.check, registry.pick):
            with pytest.raises(Unavailable, match=sentence):
                ask(Wish("mt"), name)
    with pytest.raises(Unavailable, match="No asr engine is installed"):
        registry.check(Wish("asr"))
    registry.check_name("mt", None)
    registry.check_name("mt", "gone")
    with pytest.raises(Unavailable, match="a is no asr engine"):
        registry.check_name("asr", "a")


def test_one_more_is_not_told_as_several() -> None:
    gone = tuple(Need(f"n{number}", "file", lambda home: False, "mend") for number in range(4))
    with pytest.raises(Unavailable, match=r"\(or 1 other\) is missing"):
        Registry([replace(spec("a"), needs=gone)], HOME).choose("mt")
    with pytest.raises(Unavailable) as told:
        Registry([spec(f"e{number}") for number in range(6)], HOME).choose("mt", "zzzz")
    assert "and 1 other." in told.value.remedy


def test_the_same_gap_has_the_same_remedy_however_it_is_met() -> None:
    """What Babelmesh's own engine lacks comes before a model of the catalogue, and the better rank changes nothing."""

    need = Need("own model", "model", lambda home: False, "node models pull own")
    own = replace(spec("own"), rank=10, needs=(need,))
    registry = Registry([replace(fetchable("large"), rank=90), own], HOME)
    for ask in (lambda: registry.choose("mt"), lambda: registry.pick(Wish("mt"))):
        with pytest.raises(Unavailable) as told:
            ask()
        assert told.value.remedy == "node models pull own"


def test_where_none_is_here_no_list_of_none_is_told() -> None:
    with pytest.raises(Unavailable, match="no ast engine called 'zzzz'") as caught:
        Registry([spec("one")], HOME).pick(Wish("ast"), "zzzz")
    assert caught.value.remedy.startswith("No ast engine is here. ")
