"""Models by content: whole, named by what they are, never silently something else."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import ModelDamaged
from ml.voice.genesis import genesis
from ml.weights import Layout, digest, to_bytes
from node.errors import HomeUnusable, NotFound
from node.weights import SUFFIX, WeightShelf, shelf_of

LAYOUT = Layout("small", {"a": (3, 2), "b": (4,)})


def weights(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in LAYOUT.shapes.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "weights"


@pytest.fixture
def shelf(folder: Path) -> WeightShelf:
    return WeightShelf(folder, LAYOUT)


def test_a_model_comes_back_bit_for_bit(shelf: WeightShelf, folder: Path):
    assert shelf.digests() == ()
    name = shelf.put(weights(1))
    assert name == digest(weights(1))
    assert shelf.has(name)
    np.testing.assert_equal(shelf.get(name), weights(1))
    assert shelf.put(weights(1)) == name
    (file,) = folder.iterdir()
    assert file.name == name + SUFFIX
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_does_not_fit_is_not_kept(shelf: WeightShelf, folder: Path):
    for bad in ({"a": weights(1)["a"]}, weights(1) | {"b": np.full(4, np.nan, np.float32)}):
        with pytest.raises(ModelDamaged):
            shelf.put(bad)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["", "../" + "a" * 61, "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "/etc/passwd"])
def test_only_a_digest_is_a_name(shelf: WeightShelf, name: str):
    for use in (shelf.get, shelf.has):
        with pytest.raises(ValueError, match="no digest"):
            use(name)


def test_a_model_that_is_not_there(shelf: WeightShelf):
    assert not shelf.has("a" * 64)
    with pytest.raises(NotFound, match="a" * 12):
        shelf.get("a" * 64)


@given(data=st.data())
@settings(max_examples=60)
def test_any_damage_is_seen_and_set_aside(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    folder = tmp_path_factory.mktemp("weights")
    shelf = WeightShelf(folder, LAYOUT)
    name = shelf.put(weights(1))
    path = folder / (name + SUFFIX)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans(), "cut"):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        at = data.draw(st.integers(len(content) - 40, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.raises(ModelDamaged, match=r"set aside as .*damaged-1"):
        shelf.get(name)
    aside = folder / f"{name}{SUFFIX}.damaged-1"
    assert aside.read_bytes() == content
    assert not shelf.has(name)
    assert shelf.put(weights(1)) == name
    np.testing.assert_equal(shelf.get(name), weights(1))


def test_another_model_under_this_name_is_damage(shelf: WeightShelf, folder: Path):
    name = shelf.put(weights(1))
    for number in (1, 2):
        (folder / (name + SUFFIX)).write_bytes(to_bytes(weights(2)))
        with pytest.raises(ModelDamaged, match=rf"its digest is {digest(weights(2))[:12]}.*damaged-{number}"):
            shelf.get(name)


def test_putting_mends_a_damaged_file(shelf: WeightShelf, folder: Path):
    name = shelf.put(weights(1))
    (folder / (name + SUFFIX)).write_bytes(b"")
    shelf.put(weights(1))
    np.testing.assert_equal(shelf.get(name), weights(1))


def test_the_newest_first_and_only_the_sound(shelf: WeightShelf, folder: Path):
    names = [shelf.put(weights(seed)) for seed in range(3)]
    for age, name in enumerate(names):
        os.utime(folder / (name + SUFFIX), (1000 - age, 1000 - age))
    assert shelf.digests() == tuple(names)
    (folder / (names[1] + SUFFIX)).write_bytes(b"broken")
    assert shelf.sound() == (names[0], names[2])
    assert shelf.digests() == (names[0], names[2])


def test_only_what_is_needed_stays(shelf: WeightShelf, folder: Path):
    names = [shelf.put(weights(seed)) for seed in range(4)]
    (folder / ".new-left").write_bytes(b"half")
    (folder / f"{names[0]}{SUFFIX}.damaged-1").write_bytes(b"evidence")
    (folder / "notes.txt").write_bytes(b"the owner's")
    assert shelf.keep_only([names[2], "f" * 64]) == 3
    assert shelf.digests() == (names[2],)
    left = {path.name for path in folder.iterdir()}
    assert left == {names[2] + SUFFIX, f"{names[0]}{SUFFIX}.damaged-1", "notes.txt"}


def test_a_full_disk_is_named(shelf: WeightShelf, folder: Path, monkeypatch: pytest.MonkeyPatch):
    kept = shelf.put(weights(1))

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(HomeUnusable, match="is full"):
        shelf.put(weights(2))
    assert [path.name for path in folder.iterdir()] == [kept + SUFFIX]


def test_no_shelf_touches_the_files_of_another_layout(folder: Path):
    here, there = shelf_of(folder, genesis().autoencoder.layout), shelf_of(folder, LAYOUT)
    first, second = here.put(genesis().weights), there.put(weights(1))
    assert {path.name for path in folder.iterdir()} == {first + SUFFIX, LAYOUT.name}
    assert (here.sound(), there.sound()) == ((first,), (second,))
    with pytest.raises(NotFound):
        there.get(first)
    assert (here.keep_only([first]), there.keep_only([second])) == (0, 0)
    assert not list(folder.rglob("*.damaged-*"))
