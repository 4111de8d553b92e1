"""The model catalogue as the household tells it, and engines made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.device import Hardware
from ml.engines.checkpoints import unfetched
from ml.engines.protocols import EngineHome
from ml.errors import EngineFailed, Unavailable
from ml.models.catalogue import Catalogue
from ml.models.entry import FolderSource, HubSource, ModelEntry, ModelFile
from ml.models.fetch import FetchOptions, Progress, quiet
from ml.models.hub import HubOptions
from ml.models.store import ModelStore
from node.config import Config, EngineSettings
from node.errors import BadConfig, BadRequest
from node.library import Library, library_of, place_of


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
    assert not (tmp_path / "models").exists()


def test_what_is_here_is_not_fetched_again(models_dir: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    here = library_of(Config(tmp_path, models_dir))
    (line,) = here.pull(["resemblyzer"], no, progress=lambda entry: lambda step, *_: steps.append(step))
    assert line.state == "present"
    assert steps == ["present"]


def test_what_is_not_ours_in_a_models_folder_stays_and_is_told(tmp_path: Path) -> None:
    here = library_of(config_of(tmp_path))
    notes = tmp_path / "models" / "whisper-tiny" / "mine" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("dear")
    (gone,) = here.remove(["whisper-tiny"])
    assert gone.freed == 0
    assert gone.remark == f"it was not here; what is not ours stays in {notes.parent.parent}: mine"
    assert notes.read_text() == "dear"


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
    told += 'source={{at="folder",path="m"}}\nfiles=[{{path="config.json"}}]\n'
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
    assert not unfetched(spec, home), "nobody can fetch a folder"
    assert [need.remedy for need in spec.missing(home)] == [FolderSource("/nowhere").remedy]
    assert asked == []
    assert here.fetchable() == 0
    hub = library(tmp_path, entry(source=HubSource("a/b")))
    assert unfetched(hub.engines(machine)[0], home)
    assert hub.fetchable() == 1
    (roomy,) = here.engines(lambda: Hardware(10**11))
    with pytest.raises(Unavailable, match="not whole"):
        roomy.factory(home)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "config.json").write_text("{}")
    (spec,) = library(tmp_path, entry(source=FolderSource(str(tmp_path / "there")))).engines(machine)
    assert not unfetched(spec, home)
    with pytest.raises(EngineFailed, match=r"needs 1\.2 GB"):
        spec.factory(home)


def test_engines_named_for_it_run_in_a_process_of_their_own(tmp_path: Path) -> None:
    both = (entry("one"), entry("two"))
    made = Library(ModelStore(tmp_path, Catalogue(both)), isolated=("two",)).engines(lambda: Hardware(10**12))
    assert {spec.name: spec.isolation for spec in made} == {"one": "thread", "two": "process"}
    home = EngineHome(tmp_path)
    for spec in made:
        assert [need.name for need in spec.missing(home)] == ["the folder of " + spec.name]
        with pytest.raises(Unavailable, match="not whole"):
            spec.factory(home)


def test_the_settings_say_which_engines_are_apart(tmp_path: Path) -> None:
    told = library_of(config_of(tmp_path, engines=EngineSettings(isolation=("opus-mt-en-es",))))
    assert told.isolated == ("opus-mt-en-es",)
    assert told.named == ()
    strange = library_of(config_of(tmp_path, engines=EngineSettings(isolation=("espeak",))))
    with pytest.raises(BadConfig, match=r"engines\.isolation: 'espeak' is no engine of a fetched model"):
        strange.engines(lambda: Hardware(0))


def folders(folder: Path, *names: str) -> list[ModelEntry]:
    """Entries of these names, with a folder each."""
    made = []
    for name in names:
        (folder / name).mkdir()
        files = (ModelFile("config.json", 2, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),)
        made.append(entry(name, use="any", source=FolderSource(str(folder / name)), files=files))
    return made


def test_one_that_cannot_be_fetched_does_not_keep_the_others_away(tmp_path: Path) -> None:
    first, second, third = folders(tmp_path, "first", "second", "third")
    (tmp_path / "second" / "config.json").write_text("{}")
    tried: list[str] = []

    def progress(entry: ModelEntry) -> Progress:
        tried.append(entry.name)
        return quiet

    here = library(tmp_path, first, second, third)
    with pytest.raises(Unavailable, match="2 of 3 models were not fetched") as caught:
        here.pull(["first", "second", "third"], no, progress=progress)
    assert tried == ["first", "second", "third"]
    assert "first" in caught.value.sentence
    assert "third" in caught.value.sentence
    assert caught.value.remedy.count("Put its published files into") == 2


def test_a_hub_that_is_not_there_is_not_called_for_each(tmp_path: Path) -> None:
    names = [f"model-{number}" for number in range(6)]
    pinned = HubSource("someone/some", "a" * 40)
    here = library(tmp_path, *(entry(name, use="any", source=pinned) for name in names))
    options = FetchOptions(hub=HubOptions("http://127.0.0.1:9", pause=0.0))
    tried: list[str] = []

    def progress(entry: ModelEntry) -> Progress:
        tried.append(entry.name)
        return quiet

    with pytest.raises(Unavailable, match="cannot be reached"):
        here.pull(names, no, options, progress)
    assert len(tried) <= 1
    with pytest.raises(Unavailable, match="6 of 6 models were not fetched") as caught:
        here.pull(names, no, FetchOptions(offline=True))
    assert caught.value.remedy == f"node models pull {' '.join(names)}"
    assert caught.value.sentence.count("nothing may be fetched") == 1


def test_a_part_is_used_by_its_whole(tmp_path: Path) -> None:
    part = entry("part", engine="none")
    here = library(tmp_path, entry("whole", parts={"vocoder": "part"}), part)
    assert here.lines(["part"])[0].used_by == ("the model whole",)


def test_a_catalogue_that_does_not_hold_together_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    told = (
        '[[model]]\nname="{}"\ntask="speaker"\nengine="x"\nsummary="X"\nlicence="Y"\nsource={{at="folder",path="m"}}\n'
        'files=[{{path="config.json"}}]\n'
    )
    for text, what in (
        (told.format("cpu"), "name of a model and of a set"),
        (told.format("mine") + 'sets=["nowhere"]\n', "there is no set nowhere"),
        (told.format("mine") + 'parts={vocoder="nowhere"}\n', "there is no model nowhere"),
        (told.format("mine") + 'parts={tts="pocket-tts"}\n', "parts of its own"),
        (told.format("mine") + 'parts={mine="mine"}\n', "parts of its own"),
    ):
        (tmp_path / "home" / "catalogue.toml").write_text(text)
        with pytest.raises(BadConfig, match=what) as caught:
            library_of(config_of(tmp_path))
        assert "catalogue.toml" in caught.value.sentence


def test_a_program_runs_in_a_process_of_its_own_and_only_by_name(tmp_path: Path) -> None:
    """The user's catalogue said runs_code = true; nothing else is to be set."""
    voice = entry(
        "silero-es",
        task="tts",
        engine="silero",
        use="any",
        files=(ModelFile("v4_es.pt", sha256="0" * 64),),
        runs_code=True,
    )
    made = library(tmp_path, voice, entry("two", use="any")).engines(lambda: Hardware(10**12))
    assert {spec.name: (spec.isolation, spec.use) for spec in made} == {
        "silero-es": ("process", "ask"),
        "two": ("thread", "any"),
    }


def test_a_plan_names_what_would_not_come(tmp_path: Path) -> None:
    first, second = folders(tmp_path, "first", "second")
    (tmp_path / "second" / "config.json").write_text("{}")
    here = library(tmp_path, first, second)
    told = {one.name: one.trouble for one in here.plan(["first", "second"])}
    assert "not whole" in told["first"]
    assert told["second"] == ""
    pinned = [entry(name, source=HubSource("someone/some", "a" * 40)) for name in ("a", "b")]
    with pytest.raises(Unavailable, match="cannot be reached"):
        library(tmp_path, *pinned).plan(["a", "b"], FetchOptions(hub=HubOptions("http://127.0.0.1:9", pause=0.0)))


def test_without_its_part_a_model_is_not_tried(tmp_path: Path) -> None:
    (part,) = folders(tmp_path, "part")
    whole = entry("whole", use="any", parts={"vocoder": "part"}, source=HubSource("someone/some"))
    options = FetchOptions(offline=True)
    with pytest.raises(Unavailable, match=r"whole: It needs part\.") as caught:
        Library(ModelStore(tmp_path / "models", Catalogue((whole, part)))).pull(["whole"], no, options)
    assert "part: The part model is not whole" in caught.value.sentence


def test_engines_are_the_models_that_one_of_ours_runs_or_would_run(tmp_path: Path) -> None:
    wrong = entry("misspelt", engine="wavlm-xvectr")
    here = library(tmp_path, entry("one"), wrong, entry("data", task="data", engine="none of them"))
    assert here.runnable() == ("one", "misspelt")
    made = Library(here.store, isolated=("misspelt",)).engines(lambda: Hardware(10**12))
    assert {spec.name for spec in made} == set(here.runnable()), "a fault in an entry keeps nothing else from starting"


def test_our_own_catalogue_is_read_once_however_many_entries_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = library_of(config_of(tmp_path))
    load, read = Catalogue.load, []
    monkeypatch.setattr(Catalogue, "load", lambda *own: read.append(1) or load(*own))
    here.engines(lambda: Hardware(10**12))
    here.lines()
    assert len(read) == 1


@pytest.mark.parametrize(
    ("memory", "told"),
    [
        ({"float32": 10 * 10**9, "bfloat16": 5 * 10**9}, "needs 6.0 GB"),
        ({"float16": 10**9}, "computes only in float16, and nothing here does"),
        ({"float32": 10 * 10**9, "float16": 10**9}, "needs 12.0 GB"),
    ],
)
def test_what_finds_no_room_says_what_it_needs_here(memory: dict[str, int], told: str) -> None:
    with pytest.raises(EngineFailed, match=told) as caught:
        place_of("Wav2Lip", memory, Hardware(4 * 10**9), "Close other programs.")
    assert caught.value.remedy == "Close other programs."
    assert place_of("Wav2Lip", {"float32": 10**9}, Hardware(4 * 10**9), "").device == "cpu"
