"""Old checkpoints become safetensors, and nothing else passes for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import ModelDamaged
from ml.models import tensors
from tests.ml.models.published import Published


def kept(published: Published, folder: Path) -> Path:
    assert published.entry.convert
    return tensors.convert(published.entry, published.entry.convert, published.checkpoint, folder)


def read(published: Published, path: Path) -> dict[str, np.ndarray]:
    assert published.entry.convert
    return tensors.read(path, published.entry.convert, "tiny")


def test_what_is_kept_is_what_is_read(published: Published, tmp_path: Path) -> None:
    found = read(published, kept(published, tmp_path))
    assert found.keys() == published.tensors.keys()
    assert all(np.array_equal(found[name], array) for name, array in published.tensors.items())
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.safetensors"]


@pytest.mark.parametrize("where", [0, 20, -1])
def test_one_changed_byte_is_seen(published: Published, tmp_path: Path, where: int) -> None:
    path = kept(published, tmp_path)
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelDamaged, match=r"tiny\.safetensors") as failure:
        read(published, path)
    assert "node models pull tiny" in failure.value.remedy


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, b"\0" * 100])
def test_any_other_file_under_the_name_is_damaged(published: Published, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "tiny.safetensors").write_bytes(data)
    with pytest.raises(ModelDamaged):
        read(published, tmp_path / "tiny.safetensors")


def test_a_huge_file_is_refused_unread(published: Published, tmp_path: Path) -> None:
    with (tmp_path / "tiny.safetensors").open("wb") as file:
        file.truncate(10**12)  # sparse: nothing is written
    with pytest.raises(ModelDamaged, match="larger"):
        read(published, tmp_path / "tiny.safetensors")


def test_a_checkpoint_with_a_program_in_it_is_refused(published: Published, tmp_path: Path) -> None:
    start = published.checkpoint.index(b"ccollections\nOrderedDict\n")
    evil = published.checkpoint[:start] + b"cos\nsystem\n" + published.checkpoint[start + 25 :]
    assert published.entry.convert
    with pytest.raises(ModelDamaged, match="calls os system"):
        tensors.convert(published.entry, published.entry.convert, evil, tmp_path)
    assert not list(tmp_path.iterdir())


arrays = st.lists(st.integers(-5, 5), min_size=1, max_size=4).map(lambda values: np.array(values, np.float32))


@given(st.dictionaries(st.text("ab", min_size=1, max_size=2), arrays, min_size=2, max_size=4))
def test_the_digest_knows_names_shapes_types_and_values_but_not_order(named: dict[str, np.ndarray]) -> None:
    total = tensors.digest(named)
    name, array = next(iter(named.items()))
    assert tensors.digest(dict(reversed(named.items()))) == total
    assert tensors.digest({**named, name: array + 1}) != total
    assert tensors.digest({**named, name: array.astype(np.int32)}) != total
    assert tensors.digest({**named, name: array[None]}) != total
    assert tensors.digest({(k + "x" if k == name else k): v for k, v in named.items()}) != total
