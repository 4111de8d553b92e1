"""Models with parts, several models at once, and files that two of them share."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.errors import Unavailable
from ml.models.entry import HubSource, ModelEntry, ModelFile
from ml.models.fetch import FetchOptions, NoRoom, fetch, look_ahead, plan
from ml.models.hub import Unreachable
from ml.models.record import PIN, Pin, PinnedFile, read, write
from tests.ml.models.hub_server import COMMIT, Hub, Trouble
from tests.ml.models.published import FILES, REPO, Published, hub_entry, options_for, store_of

LARGE = "model.safetensors"
OTHER = "someone/speaker"


@pytest.fixture
def whole(hub: Hub) -> ModelEntry:
    """A model with the other as its part, from a repository of its own."""
    hub.repos[OTHER] = {"config.json": b"{}", LARGE: b"\1" * 200_000}
    files = (ModelFile("config.json"), ModelFile(LARGE))
    return hub_entry(name="whole", source=HubSource(OTHER), files=files, parts={"vocoder": "listener"})


def test_a_model_comes_with_its_parts(hub: Hub, tmp_path: Path, whole: ModelEntry) -> None:
    store = store_of(tmp_path, whole, hub_entry())
    made = fetch(store, "whole", options_for(hub))
    assert made.beside == {"vocoder": tmp_path / "listener" / COMMIT}
    assert store.present("whole")
    asked = len(hub.asked)
    fetch(store, "whole", options_for(hub))
    assert len(hub.asked) == asked


def test_a_part_that_is_lacking_alone_comes_alone(hub: Hub, tmp_path: Path, whole: ModelEntry) -> None:
    store = store_of(tmp_path, whole, hub_entry())
    fetch(store, "whole", options_for(hub))
    store.remove("listener")
    hub.asked.clear()
    assert plan(store, "whole") == ()
    steps: list[str] = []
    fetch(store, "whole", options_for(hub), lambda step, *_: steps.append(step))
    assert steps == ["present"]
    assert not [path for _, path, _ in hub.asked if OTHER in path]


def test_room_is_looked_for_for_all_of_them_first(hub: Hub, tmp_path: Path, whole: ModelEntry) -> None:
    store = store_of(tmp_path, whole, hub_entry())
    enough_for_one = options_for(hub, free=lambda folder: (64 << 20) + 400_000)
    with pytest.raises(NoRoom, match="listener") as caught:
        look_ahead(store, ["listener", "whole"], enough_for_one)
    assert "gc" in caught.value.remedy
    assert hub.got(LARGE) == []
    look_ahead(store, ["listener", "whole"], options_for(hub))
    asked = len(hub.asked)
    look_ahead(store, ["listener", "whole"], options_for(hub))
    assert len(hub.asked) == asked  # what was told is written down
    fetch(store, "listener", options_for(hub))
    look_ahead(store, ["listener", "whole"], enough_for_one)


def test_looking_ahead_passes_over_a_model_that_its_hub_refuses(hub: Hub, tmp_path: Path, whole: ModelEntry) -> None:
    hub.troubles.append(Trouble(REPO, 403))
    look_ahead(store_of(tmp_path, whole, hub_entry()), ["listener", "whole"], options_for(hub))
    hub.endpoint = "http://127.0.0.1:9"
    with pytest.raises(Unreachable):
        look_ahead(store_of(tmp_path, whole, hub_entry()), ["listener", "whole"], options_for(hub))


def test_files_that_two_models_share_come_once(hub: Hub, tmp_path: Path) -> None:
    twin = hub_entry(name="twin", files=(ModelFile(LARGE), ModelFile("README.md")))
    store = store_of(tmp_path, hub_entry(), twin)
    first = fetch(store, "listener", options_for(hub))
    second = fetch(store, "twin", options_for(hub))
    assert len(hub.got(LARGE)) == 1
    assert (second.folder / LARGE).read_bytes() == FILES[LARGE]
    assert {path.name for path in second.folder.iterdir()} == {LARGE, "README.md", ".record.json"}
    store.remove("listener")
    assert not first.folder.exists()
    assert store.verify("twin") == ()


def test_a_shared_file_that_is_damaged_is_not_taken(hub: Hub, tmp_path: Path) -> None:
    twin = hub_entry(name="twin", files=(ModelFile(LARGE),))
    store = store_of(tmp_path, hub_entry(), twin)
    first = fetch(store, "listener", options_for(hub))
    (first.folder / LARGE).write_bytes(FILES[LARGE][::-1])
    assert (fetch(store, "twin", options_for(hub)).folder / LARGE).read_bytes() == FILES[LARGE]


def test_a_wheel_for_a_model_that_has_none_is_refused_without_asking(
    hub: Hub, tmp_path: Path, published: Published
) -> None:
    for offline in (True, False):
        options = FetchOptions(offline=offline, wheel=published.wheel, hub=options_for(hub).hub)
        with pytest.raises(Unavailable, match="not published in a wheel") as caught:
            fetch(store_of(tmp_path), "listener", options)
        assert caught.value.remedy
    assert hub.asked == []


def test_an_alternative_that_a_newer_catalogue_names_is_asked_for(hub: Hub, tmp_path: Path) -> None:
    fetch(store_of(tmp_path, hub_entry(files=(ModelFile("config.json"),))), "listener", options_for(hub))
    hub.repos[REPO]["pytorch_model.bin"] = b"old"
    del hub.repos[REPO][LARGE]
    newer = store_of(tmp_path, hub_entry(files=(ModelFile(LARGE, instead="pytorch_model.bin"),)))
    assert (fetch(newer, "listener", options_for(hub)).folder / "pytorch_model.bin").read_bytes() == b"old"


def test_one_file_asked_for_twice_comes_once(hub: Hub, tmp_path: Path) -> None:
    files = (ModelFile(LARGE), ModelFile("other.safetensors", instead=LARGE))
    fetch(store_of(tmp_path, hub_entry(files=files)), "listener", options_for(hub))
    assert len(hub.got(LARGE)) == 1


def test_a_hash_published_later_than_the_pin_makes_it_ask_again(hub: Hub, tmp_path: Path) -> None:
    import hashlib

    fetch(store_of(tmp_path), "listener", options_for(hub))
    new = b"\2" * 5000
    hub.commit, hub.repos[REPO] = "d" * 40, {LARGE: new}
    entry = hub_entry(files=(ModelFile(LARGE, sha256=hashlib.sha256(new).hexdigest()),))
    made = fetch(store_of(tmp_path, entry), "listener", options_for(hub))
    assert made.revision == "d" * 40
    assert (made.folder / LARGE).read_bytes() == new


def test_what_is_here_already_or_comes_twice_needs_room_once(hub: Hub, tmp_path: Path) -> None:
    twin, third = hub_entry(name="twin", files=(ModelFile(LARGE),)), hub_entry(name="third", files=(ModelFile(LARGE),))
    store = store_of(tmp_path, hub_entry(), twin, third)
    once = options_for(hub, free=lambda folder: (64 << 20) + 320_000)
    look_ahead(store, ["listener", "twin", "third"], once)
    made = fetch(store, "listener", options_for(hub))
    (made.folder / "config.json").unlink()
    little = options_for(hub, free=lambda folder: (64 << 20) + 1000)
    look_ahead(store, ["listener", "twin", "third"], little)
    fetch(store, "listener", little)
    fetch(store, "twin", little)
    assert len(hub.got(LARGE)) == 1
    assert len(hub.got("config.json")) == 2


def test_a_pin_of_an_earlier_version_without_hashes_is_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "listener").mkdir()
    files = tuple(PinnedFile(path, len(data)) for path, data in FILES.items())
    write(tmp_path / "listener" / PIN, Pin(REPO, COMMIT, files))
    hub.repos[REPO][LARGE] = FILES[LARGE][::-1]
    fetch(store_of(tmp_path), "listener", options_for(hub))
    pin = read(tmp_path / "listener" / PIN, Pin)
    assert pin is not None
    assert all(file.sha256 or file.git for file in pin.files)
