"""A model is kept to what was found at its first fetch, as long as the catalogue is content with it."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import MlError, ModelDamaged, Unavailable
from ml.models import pins
from ml.models import record as records
from ml.models.entry import HubSource, ModelEntry, ModelFile
from ml.models.hub import Offer
from ml.models.record import PIN, Pin, PinnedFile
from ml.models.store import ModelStore
from tests.ml.models.hub_server import COMMIT, Hub
from tests.ml.models.published import FILES, REPO, hub_entry, options_for, store_of

SOURCE = HubSource(REPO)
PATHS = st.sampled_from(string.ascii_lowercase[:5])
WANTED = st.lists(
    st.builds(ModelFile, PATHS, st.none() | st.integers(1, 3), st.none(), st.just("") | PATHS, st.booleans()),
    min_size=1,
    max_size=5,
)
OFFERED = st.dictionaries(PATHS, st.integers(1, 3)).map(
    lambda sizes: Offer(COMMIT, {path: PinnedFile(path, size, None, "a" * 40) for path, size in sizes.items()})
)


def ask(store: ModelStore, entry: ModelEntry, hub: Hub, said: list[int]) -> Pin:
    assert isinstance(entry.source, HubSource)
    return pins.settled(store, entry, entry.source, options_for(hub).hub, lambda: said.append(1))


@settings(deadline=None)
@given(WANTED, OFFERED)
def test_what_is_chosen_is_offered_and_wanted_once_and_enough(wanted: list[ModelFile], offered: Offer) -> None:
    entry = hub_entry(files=tuple(wanted))
    try:
        taken = pins.chosen(entry, offered)
    except MlError:
        return
    paths = [file.path for file in taken]
    assert len(paths) == len(set(paths))
    assert all(offered.files[file.path] == file for file in taken)
    assert set(paths) <= {path for file in wanted for path in (file.path, file.instead)}
    for file in wanted:
        assert file.optional or {file.path, file.instead} & set(paths)
        if file.path in paths and file.bytes:
            assert offered.files[file.path].bytes == file.bytes


def test_the_hub_is_asked_once(hub: Hub, tmp_path: Path) -> None:
    store, said = store_of(tmp_path), []
    first = ask(store, hub_entry(), hub, said)
    hub.commit = "d" * 40
    assert ask(store, hub_entry(), hub, said) == first
    assert (first.revision, said) == (COMMIT, [1])
    assert {file.path for file in first.files} == FILES.keys() - {"README.md"}


def test_asking_alone_writes_nothing(hub: Hub, tmp_path: Path) -> None:
    found = pins.asked(store_of(tmp_path), hub_entry(), SOURCE, options_for(hub).hub)
    assert found.revision == COMMIT
    assert list(tmp_path.iterdir()) == []


def test_more_files_are_looked_for_at_the_same_commit_and_fewer_are_no_question(hub: Hub, tmp_path: Path) -> None:
    store, said = store_of(tmp_path), []
    ask(store, hub_entry(), hub, said)
    few = hub_entry(files=(ModelFile("config.json"),))
    assert [file.path for file in ask(store, few, hub, said).files] == ["config.json"]
    assert said == [1]
    more = hub_entry(files=(ModelFile("README.md"),))
    assert ask(store, more, hub, said).revision == COMMIT
    assert said == [1, 1]
    hub.commit = "d" * 40
    with pytest.raises(Unavailable, match="no such commit"):
        ask(store, hub_entry(), hub, said)


def test_what_the_catalogue_contradicts_is_asked_for_anew(hub: Hub, tmp_path: Path) -> None:
    store, said = store_of(tmp_path), []
    ask(store, hub_entry(), hub, said)
    hub.commit, hub.repos[REPO] = "d" * 40, {"config.json": b"1234567"}
    larger = hub_entry(files=(ModelFile("config.json", 7),))
    assert ask(store, larger, hub, said).revision == "d" * 40
    with pytest.raises(ModelDamaged, match="another"):
        ask(store, hub_entry(files=(ModelFile("config.json", 8),)), hub, said)


def test_files_that_nobody_named_are_not_taken_from_a_pin(tmp_path: Path) -> None:
    store = store_of(tmp_path, hub_entry(files=(ModelFile("config.json"),)))
    (tmp_path / "listener").mkdir()
    files = tuple(PinnedFile(path, 3, None, "a" * 40) for path in ("config.json", "../../letter", "other"))
    records.write(tmp_path / "listener" / PIN, Pin(REPO, COMMIT, files))
    found = pins.known(store, store.find("listener"))
    assert found is not None
    assert [file.path for file in found.files] == ["config.json"]
