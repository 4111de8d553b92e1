"""States on disk: whole or not there, told apart from what is damaged, and the old one stays until the new one is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ml.federated.simulation.checkpoint as module
from ml.errors import CannotWrite, ModelDamaged
from ml.federated.simulation.checkpoint import VERSION, Index, load, read_index, save


def index(number: int = 1, people: int = 7) -> Index:
    return Index(VERSION, number, {"seed": "0"}, {"time": 1.5}, people, [], [])


def arrays(seed: int = 0, people: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"w": rng.normal(size=(people, 3)).astype(np.float32), "spoken": rng.random(people) < 0.5}


def empty(people: int = 7) -> dict[str, np.ndarray]:
    return {name: np.zeros_like(array) for name, array in arrays(people=people).items()}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 3)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    save(tmp_path / "new", index(), arrays())
    found = read_index(tmp_path / "new")
    assert (found.number, found.facts, len(found.blocks)) == (1, {"time": 1.5}, 3)
    filled = empty()
    load(tmp_path / "new", found, filled)
    assert all(np.array_equal(filled[name], array) for name, array in arrays().items())


def test_a_later_state_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    save(tmp_path, index(1), arrays(1))
    save(tmp_path, index(2), arrays(2))
    filled = empty()
    load(tmp_path, read_index(tmp_path), filled)
    assert np.array_equal(filled["w"], arrays(2)["w"])
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("writes", range(4))
def test_a_stop_at_any_write_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    save(tmp_path, index(1), arrays(1))
    real, left = module.write_whole, [writes]

    def stopping(path: Path, data: bytes) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(path, data)

    monkeypatch.setattr(module, "write_whole", stopping)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, index(2), arrays(2))
    filled, found = empty(), read_index(tmp_path)
    load(tmp_path, found, filled)
    assert found.number == 1
    assert np.array_equal(filled["w"], arrays(1)["w"])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


HARM: dict[str, Callable[[Path], object]] = {
    "no index": lambda folder: (folder / "simulation.json").unlink(),
    "no json": lambda folder: (folder / "simulation.json").write_bytes(b"\xff{"),
    "a flipped bit": lambda folder: _flip(sorted(folder.glob("*.safetensors"))[1]),
    "a lost block": lambda folder: sorted(folder.glob("*.safetensors"))[0].unlink(),
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_what_is_damaged_is_refused(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    save(tmp_path, index(), arrays())
    harm(tmp_path)
    with pytest.raises(ModelDamaged):
        load(tmp_path, read_index(tmp_path), empty())


@pytest.mark.parametrize(
    "into",
    [
        {"w": np.zeros((7, 3), np.float32)},
        {"w": np.zeros((7, 4), np.float32), "spoken": np.zeros(7, bool)},
        {"w": np.zeros((7, 3), np.float64), "spoken": np.zeros(7, bool)},
    ],
    ids=["another array", "another shape", "another type"],
)
def test_a_state_of_other_arrays_is_refused(tmp_path: Path, into: dict[str, np.ndarray]) -> None:
    save(tmp_path, index(), arrays())
    with pytest.raises(ModelDamaged):
        load(tmp_path, read_index(tmp_path), into)


def test_a_folder_that_cannot_be_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite):
        save(tmp_path / "file" / "under", index(), arrays())
