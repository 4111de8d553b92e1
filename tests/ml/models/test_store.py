from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import ModelDamaged, Unavailable
from ml.models import store
from tests.ml.models.published import Published, changed


def test_what_is_kept_is_what_is_read(published: Published, tmp_path: Path) -> None:
    path = store.write(published.entry, tmp_path, published.tensors)
    read = store.read(published.entry, tmp_path)
    assert read.keys() == published.tensors.keys()
    assert all(np.array_equal(read[name], array) for name, array in published.tensors.items())
    assert store.status(published.entry, tmp_path) == store.Status("present", path.stat().st_size, path)
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.safetensors"]


def test_the_file_says_where_it_comes_from(published: Published, tmp_path: Path) -> None:
    path = store.write(published.entry, tmp_path, published.tensors)
    with safetensors.safe_open(path, framework="numpy") as file:
        facts = file.metadata()
    assert facts["source"] == published.entry.source
    assert facts["licence"] == "CC0-1.0"
    assert facts["member_sha256"] == published.entry.member_sha256


def test_a_missing_model_names_the_command_that_gets_it(published: Published, tmp_path: Path) -> None:
    assert store.status(published.entry, tmp_path / "nowhere").state == "missing"
    with pytest.raises(Unavailable) as failure:
        store.read(published.entry, tmp_path)
    assert failure.value.remedy == "node models pull tiny"


@pytest.mark.parametrize("where", [0, 20, -1])
def test_one_changed_byte_is_seen(published: Published, tmp_path: Path, where: int) -> None:
    path = store.write(published.entry, tmp_path, published.tensors)
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)
    assert store.status(published.entry, tmp_path).state == "damaged"
    with pytest.raises(ModelDamaged, match=r"tiny\.safetensors") as failure:
        store.read(published.entry, tmp_path)
    assert "node models pull" in failure.value.remedy


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, b"\0" * 100])
def test_any_other_file_under_the_name_is_damaged(published: Published, tmp_path: Path, data: bytes) -> None:
    store.path_of(published.entry, tmp_path).write_bytes(data)
    assert store.status(published.entry, tmp_path).state == "damaged"


def test_a_huge_file_is_refused_unread(published: Published, tmp_path: Path) -> None:
    with store.path_of(published.entry, tmp_path).open("wb") as file:
        file.truncate(10**12)  # sparse: nothing is written
    with pytest.raises(ModelDamaged, match="larger"):
        store.read(published.entry, tmp_path)


def test_other_tensors_are_never_kept(published: Published, tmp_path: Path) -> None:
    other = {name: array + 1 for name, array in published.tensors.items()}
    with pytest.raises(ModelDamaged):
        store.write(published.entry, tmp_path, other)
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.write(published.entry, tmp_path, published.tensors)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.write(published.entry, tmp_path, published.tensors)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


arrays = st.lists(st.integers(-5, 5), min_size=1, max_size=4).map(lambda values: np.array(values, np.float32))


@given(st.dictionaries(st.text("ab", min_size=1, max_size=2), arrays, min_size=2, max_size=4))
def test_the_digest_knows_names_shapes_types_and_values_but_not_order(tensors: dict[str, np.ndarray]) -> None:
    total = store.digest(tensors)
    name, array = next(iter(tensors.items()))
    assert store.digest(dict(reversed(tensors.items()))) == total
    assert store.digest({**tensors, name: array + 1}) != total
    assert store.digest({**tensors, name: array.astype(np.int32)}) != total
    assert store.digest({**tensors, name: array[None]}) != total
    assert store.digest({(k + "x" if k == name else k): v for k, v in tensors.items()}) != total


def test_a_digest_pins_the_entry(published: Published, tmp_path: Path) -> None:
    store.write(published.entry, tmp_path, published.tensors)
    assert store.status(changed(published.entry, tensors_sha256="0" * 64), tmp_path).state == "damaged"
