"""The list of models holds together, and a user's own lie over it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ml.engines import resemblyzer
from ml.engines.checkpoints import KINDS
from ml.engines.protocols import MORE_TASKS, TASKS
from ml.errors import Unavailable
from ml.models.catalogue import LARGEST, Catalogue
from ml.models.entry import FolderSource, HubSource, ModelEntry, WheelSource

OURS = Catalogue.load()
OWN = """
[sets]
mine = "what I use"

[[model]]
name = "my-whisper"
task = "asr"
engine = "whisper"
summary = "Whisper, tuned to my voice"
licence = "my own"
source = { at = "folder", path = "tuned/whisper" }
files = [{ path = "model.safetensors" }]
sets = ["mine"]
"""


@pytest.mark.parametrize("entry", OURS.model, ids=lambda entry: entry.name)
def test_every_entry_is_licensed_and_whole(entry: ModelEntry) -> None:
    assert entry.licence
    assert entry.summary[0].isupper() or entry.summary[0].isdigit()
    assert not entry.summary.endswith(".")
    assert entry.task in (*TASKS, *MORE_TASKS, "lips")
    assert set(entry.sets) <= OURS.sets.keys()
    assert set(entry.memory) <= {"float32", "bfloat16", "float16", "int8"}
    assert len({file.path for file in entry.files}) == len(entry.files)
    assert OURS.find(entry.name) is entry
    if entry.engine in KINDS:
        assert entry.task == KINDS[entry.engine].task
        assert entry.memory
    for figure in entry.figures:
        assert figure.source
    for pair in entry.pairs:
        source, _, target = pair.partition("-")
        assert source
        assert target
    if isinstance(entry.source, WheelSource):
        assert all(file.bytes and file.sha256 for file in entry.files)


@pytest.mark.parametrize("entry", OURS.model, ids=lambda entry: entry.name)
def test_weights_that_could_hold_a_program_are_named_only_where_there_is_nothing_else(entry: ModelEntry) -> None:
    for file in entry.files:
        assert not file.path.endswith((".pkl", ".pickle", ".py"))


def test_less_than_float32_takes_less() -> None:
    for entry in OURS.model:
        for dtype, size in entry.memory.items():
            assert size <= entry.memory.get("float32", size), (entry.name, dtype)


def test_nothing_in_a_set_limits_what_may_be_done() -> None:
    """A set is pulled without looking: no licence in it asks anything of a user."""
    for entry in OURS.model:
        assert not entry.sets or entry.use == "any", entry.name


def test_every_set_has_members() -> None:
    assert all(OURS.members(name) for name in OURS.sets)
    assert [entry.name for entry in OURS.members("embedded")] == ["mediapipe-face", "resemblyzer"]


def test_the_embedded_engines_model_is_pinned() -> None:
    entry = OURS.find(resemblyzer.MODEL)
    assert isinstance(entry.source, WheelSource)
    assert entry.source.requirement == "resemblyzer==0.1.4"
    assert entry.convert
    assert entry.convert.to == "resemblyzer.safetensors"
    assert entry.licence == "Apache-2.0"


def test_an_unknown_name_lists_those_near_it() -> None:
    with pytest.raises(Unavailable, match="'resemblizer'") as failure:
        OURS.find("resemblizer")
    assert "resemblyzer" in failure.value.remedy


def test_names_and_sets_are_chosen_each_once() -> None:
    entries = OURS.chosen(["embedded", "resemblyzer"])
    assert [entry.name for entry in entries] == ["mediapipe-face", "resemblyzer"]
    with pytest.raises(Unavailable):
        OURS.chosen(["embedded", "nonesuch"])


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('name = "my-whisper"', 'name = "../evil"', "name"),
        ('licence = "my own"', "", "licence"),
        ('licence = "my own"', 'licence = "x"\nurl = "x"', "url"),
        ('path = "model.safetensors"', 'path = "../model"', "relative path"),
        ('at = "folder"', 'at = "https"', "https"),
        ('sets = ["mine"]', "memory = { float32 = -1 }", "memory"),
        ('sets = ["mine"]', 'rank = "high"', "rank"),
        ('files = [{ path = "model.safetensors" }]', "", r"the entry my-whisper \(line \d+\): name its `files`"),
        ('files = [{ path = "model.safetensors" }]', "files = []", "name its `files`"),
    ],
)
def test_a_wrong_entry_is_refused_by_the_name_of_its_file_and_field(
    tmp_path: Path, old: str, new: str, field: str
) -> None:
    assert old in OWN
    path = tmp_path / "catalogue.toml"
    path.write_text(OWN.replace(old, new))
    with pytest.raises(ValueError, match=field) as caught:
        Catalogue.load([path])
    assert str(path) in str(caught.value)


def test_a_list_that_is_no_toml_or_huge_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text("[[model]\n")
    with pytest.raises(ValueError, match=str(path)):
        Catalogue.read(path)
    with pytest.raises(ValueError, match="is a folder; a catalogue is a file"):
        Catalogue.read(tmp_path)
    path.write_text("#" * (LARGEST + 1))
    with pytest.raises(ValueError, match="too large"):
        Catalogue.read(path)


def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"same name, my-whisper: .* \(line \d+\) and .* \(line"):
        Catalogue.parse((OWN + OWN[OWN.index("[[model]]") :]).encode())
    with pytest.raises(ValueError, match="of a model and of a set"):
        Catalogue.parse(OWN.replace("mine =", "my-whisper =").replace('"mine"', '"my-whisper"').encode())


def test_ones_own_lies_over_ours(tmp_path: Path) -> None:
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text(OWN)
    second.write_text(
        OWN.replace("my-whisper", "resemblyzer").replace('"folder", path = "tuned/whisper"', '"hub", repo = "a/b"')
    )
    merged = Catalogue.load([first, second])
    assert len(merged.model) == len(OURS.model) + 1
    assert merged.find("my-whisper").source == FolderSource(str(tmp_path / "tuned" / "whisper"))
    assert merged.find("resemblyzer").source == HubSource("a/b")
    assert {entry.name for entry in merged.members("mine")} == {"my-whisper", "resemblyzer"}


def test_what_one_list_names_may_stand_in_the_next(tmp_path: Path) -> None:
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text(OWN.replace('[sets]\nmine = "what I use"\n', ""))
    second.write_text('[sets]\nmine = "what I use"\n')
    assert [entry.name for entry in Catalogue.load([first, second]).members("mine")] == ["my-whisper"]
    with pytest.raises(ValueError, match=r"a\.toml: the entry my-whisper \(line \d+\): there is no set mine"):
        Catalogue.load([first])


@pytest.mark.parametrize("entry", [entry for entry in OURS.model if entry.parts], ids=lambda entry: entry.name)
def test_parts_are_models_that_may_be_used_as_the_whole_may(entry: ModelEntry) -> None:
    for part in entry.parts.values():
        found = OURS.find(part)
        assert not found.parts, "parts have none of their own"
        assert found.use == "any" or found.use == entry.use


def test_parts_come_with_what_they_are_parts_of_and_once() -> None:
    voices = [OURS.find("speecht5-tts"), OURS.find("speecht5-vc")]
    names = [entry.name for entry in OURS.with_parts(voices)]
    assert names == ["speecht5-hifigan", "spkrec-xvect-voxceleb", "speecht5-tts", "speecht5-vc"]


def test_the_examples_of_the_page_are_catalogues(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "models.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```toml\n")[1:]]
    path = tmp_path / "catalogue.toml"
    path.write_text(re.sub(r'sha256 = "[^"]* [^"]*"', f'sha256 = "{"0" * 64}"', "\n".join(blocks)))
    own = Catalogue.load([path])
    assert {entry.name for entry in own.model} - {entry.name for entry in OURS.model} >= {"my-whisper", "my-voice"}
    mine = own.find("my-voice")
    assert mine.source == FolderSource(str(tmp_path / "my-voice"))
    assert [entry.name for entry in own.with_parts([mine])] == ["speecht5-hifigan", "spkrec-xvect-voxceleb", "my-voice"]
    assert all(own.find(name).engine in KINDS for name in ("my-voice", "my-whisper"))


@pytest.mark.parametrize("entry", OURS.model, ids=lambda entry: entry.name)
def test_what_was_not_compared_with_its_repository_says_so(entry: ModelEntry) -> None:
    if isinstance(entry.source, HubSource) and not entry.source.revision:
        assert "files" in entry.doubt
    if " / " in entry.licence:
        assert "licence" in entry.doubt


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ('rank = "high"', r"the entry second \(line 10\), rank: expected a whole number, not text in quotes$"),
        ("strange = 1", r"the entry second \(line 10\): there is no field `strange`$"),
        ('use = "ask"', r"the entry second \(line 10\): say in `terms`"),
        ("name = 5", r"the entry \(line 10\), name: expected text in quotes, not a whole number$"),
        ('summary = """\n[[model]]\n"""\nrank = "high"', r"the entry second \(number 2\), rank: "),
    ],
)
def test_what_is_wrong_is_told_with_the_entry_and_its_line(wrong: str, told: str) -> None:
    head = '[[model]]\nname = "{}"\ntask = "asr"\nengine = "whisper"\nlicence = "l"\n'
    entry = head + 'source = {{ at = "folder", path = "p" }}\nfiles = [{{ path = "f" }}]\n'
    plain = "\nsummary = 's'\n"
    second = entry.format("second").replace('name = "second"\n', "") if "name =" in wrong else entry.format("second")
    text = entry.format("first") + plain + second + wrong + ("" if "summary" in wrong else plain)
    with pytest.raises(ValueError, match=told):
        Catalogue.parse(text.encode())


def test_a_folder_of_a_user_who_is_not_here_is_told_with_its_entry(tmp_path: Path) -> None:
    entry = '[[model]]\nname = "mine"\ntask = "asr"\nengine = "whisper"\nlicence = "l"\nsummary = "s"\n'
    entry += 'source = { at = "folder", path = "~nobody-here/x" }\nfiles = [{ path = "f" }]\n'
    for mark in (b"", b"\xef\xbb\xbf"):
        (tmp_path / "own.toml").write_bytes(mark + entry.encode())
        with pytest.raises(ValueError, match=r"own\.toml: the entry mine \(line 1\): path: nobody here has") as caught:
            Catalogue.load([tmp_path / "own.toml"])
        assert "~nobody-here/x" in str(caught.value)
