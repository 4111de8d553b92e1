"""The model catalogue as the household tells it, and engines made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.device import Hardware
from ml.engines.checkpoints import unfetched
from ml.engines.protocols import EngineHome
from ml.errors import EngineFailed, ModelDamaged, Unavailable
from ml.models.catalogue import Catalogue
from ml.models.entry import FolderSource, ModelEntry, ModelFile
from ml.models.fetch import FetchOptions
from ml.models.store import ModelStore
from node.config import Config, EngineSettings
from node.errors import BadConfig, BadRequest
from node.library import Library, library_of


def config_of(folder: Path, **more: object) -> Config:
    return Config(folder / "home", folder / "models", **more)  # type: ignore[arg-type]


def entry(name: str = "mine", **more: object) -> ModelEntry:
    told = {
        "name": name,
        "task": "speaker",
        "engine": "wavlm-xvector",
        "summary": "for tests",
        "licence": "CC-BY-NC-4.0",
        "source": FolderSource("/nowhere"),
        "files": (ModelFile("config.json"),),
        "use": "non-commercial",
        "terms": "Not for money.",
        "memory": {"float32": 10**9},
        **more,
    }
    return ModelEntry(**told)  # type: ignore[arg-type]


def library(folder: Path, *entries: ModelEntry) -> Library:
    return Library(ModelStore(folder / "models", Catalogue(entries or (entry(),), {"all": "everything"})))


def yes(entry: ModelEntry) -> bool:
    return True


def no(entry: ModelEntry) -> bool:
    return False


def test_missing_models_are_listed_with_licence_and_size(tmp_path: Path) -> None:
    (line,) = library_of(config_of(tmp_path)).lines(["resemblyzer"])
    assert (line.state, line.licence, line.bytes) == ("missing", "Apache-2.0", 17090379)
    assert library_of(config_of(tmp_path)).verify() == ()
    assert not (tmp_path / "models").exists()


def test_what_is_here_is_not_fetched_again(models_dir: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    here = library_of(Config(tmp_path, models_dir))
    (line,) = here.pull(["resemblyzer"], no, progress=lambda entry: lambda step, *_: steps.append(step))
    assert line.state == "present"
    assert steps == ["present"]
    assert [line.name for line in here.verify(["resemblyzer"])] == ["resemblyzer"]


def test_damage_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "resemblyzer.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelDamaged, match=str(tmp_path)) as caught:
        library_of(config_of(tmp_path)).verify()
    assert caught.value.remedy == "node models pull resemblyzer"


def test_wrong_requests(tmp_path: Path) -> None:
    here = library_of(config_of(tmp_path))
    with pytest.raises(Unavailable, match="no model called"):
        here.pull(["nothing"], yes)
    with pytest.raises(Unavailable, match="no wheel"):
        here.pull(["resemblyzer"], yes, FetchOptions(wheel=tmp_path / "no.whl"))
    for ask in (here.plan, here.remove, lambda names: here.pull(names, yes)):
        with pytest.raises(BadRequest, match="which models") as caught:
            ask([])
        assert "embedded" in caught.value.remedy
    two = library(tmp_path, entry("a", use="any"), entry("b", use="any"))
    with pytest.raises(BadRequest, match="One file"):
        two.pull(["a", "b"], yes, FetchOptions(wheel=tmp_path / "no.whl"))


def test_a_licence_that_asks_is_asked_once(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    here = library(tmp_path, entry(source=FolderSource(str(tmp_path / "mine" / "missing"))))
    with pytest.raises(BadRequest, match="Not for money") as caught:
        here.pull(["mine"], no)
    assert "--accept-licence" in caught.value.remedy
    with pytest.raises(Unavailable, match="not whole"):
        here.pull(["mine"], yes)
    with pytest.raises(Unavailable, match="not whole"):
        here.pull(["mine"], no)  # the yes is kept
    assert here.plan(["mine"])[0].accepted


def test_a_home_has_models_of_its_own(tmp_path: Path) -> None:
    config = config_of(tmp_path, engines=EngineSettings(speaker="mine"), catalogues=(tmp_path / "more.toml",))
    with pytest.raises(BadConfig, match=r"more\.toml"):
        library_of(config)
    told = '[[model]]\nname="{}"\ntask="speaker"\nengine="wavlm-xvector"\nsummary="X"\nlicence="Y"\n'
    told += 'source={{at="folder",path="m"}}\n'
    (tmp_path / "more.toml").write_text(told.format("mine"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "catalogue.toml").write_text(told.format("other"))
    here = library_of(config)
    assert here.details("mine")["source"]["path"] == str(tmp_path / "m")
    assert here.details("other")["path"] == str(tmp_path / "home" / "m")
    assert here.lines(["mine"])[0].used_by == ("the speaker engine mine", "the setting engines.speaker")
    (tmp_path / "home" / "catalogue.toml").write_text("[[model]]\nname=3\n")
    with pytest.raises(BadConfig, match=r"home/catalogue\.toml"):
        library_of(config)


def test_an_entry_becomes_an_engine_where_there_is_room(tmp_path: Path) -> None:
    here = library(tmp_path)
    asked: list[int] = []

    def machine() -> Hardware:
        asked.append(1)
        return Hardware(10**8)

    (spec,) = here.engines(machine)
    assert (spec.name, spec.task, spec.use) == ("mine", "speaker", "non-commercial")
    home = EngineHome(tmp_path / "models")
    assert unfetched(spec, home)
    assert asked == []
    assert here.fetchable() == 1
    (roomy,) = here.engines(lambda: Hardware(10**11))
    with pytest.raises(Unavailable, match="not whole"):
        roomy.factory(home)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "config.json").write_text("{}")
    (spec,) = library(tmp_path, entry(source=FolderSource(str(tmp_path / "there")))).engines(machine)
    assert not unfetched(spec, home)
    with pytest.raises(EngineFailed, match=r"needs 1\.0 GB"):
        spec.factory(home)


def test_engines_named_for_it_run_in_a_process_of_their_own(tmp_path: Path) -> None:
    both = (entry("one"), entry("two"))
    made = Library(ModelStore(tmp_path, Catalogue(both)), isolated=("two",)).engines(lambda: Hardware(10**12))
    assert {spec.name: spec.isolation for spec in made} == {"one": "thread", "two": "process"}
    home = EngineHome(tmp_path)
    for spec in made:
        assert [need.name for need in spec.missing(home)] == ["the model " + spec.name]
        with pytest.raises(Unavailable, match="not whole"):
            spec.factory(home)


def test_the_settings_say_which_engines_are_apart(tmp_path: Path) -> None:
    told = library_of(config_of(tmp_path, engines=EngineSettings(isolation=("opus-mt-en-es",))))
    assert told.isolated == ("opus-mt-en-es",)
    assert told.named == ()
    strange = library_of(config_of(tmp_path, engines=EngineSettings(isolation=("espeak",))))
    with pytest.raises(BadConfig, match=r"engines\.isolation: 'espeak' is no engine of a fetched model"):
        strange.engines(lambda: Hardware(0))
