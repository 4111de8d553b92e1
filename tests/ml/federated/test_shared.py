"""Memory that forked processes share, in memory and in files, and the memory that is free."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pytest

from ml.errors import CannotWrite
from ml.federated.shared import UNKNOWN, free_memory, shared_array


@pytest.mark.parametrize("disk", [False, True])
def test_it_begins_with_zeros_and_has_the_shape_that_was_asked_for(disk: bool, tmp_path: Path) -> None:
    made = shared_array((3, 5), np.float32, tmp_path if disk else None)
    assert (made.shape, made.dtype) == ((3, 5), np.float32)
    assert not made.any()
    assert shared_array((0, 7), np.int64).shape == (0, 7)
    assert not list(tmp_path.iterdir()), "the file is nobody's but this array's"


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
@pytest.mark.parametrize("disk", [False, True])
def test_what_a_forked_process_writes_is_seen_here(disk: bool, tmp_path: Path) -> None:
    made = shared_array((4,), np.float64, tmp_path if disk else None)
    child = multiprocessing.get_context("fork").Process(target=made.__setitem__, args=(2, 7.0))
    child.start()
    child.join()
    assert made.tolist() == [0.0, 0.0, 7.0, 0.0]


def test_a_disk_that_is_too_small_is_found_at_once(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite):
        shared_array((2**50,), np.float64, tmp_path)


def test_free_memory_is_what_the_system_says(tmp_path: Path) -> None:
    said = tmp_path / "meminfo"
    assert free_memory(said) == UNKNOWN
    said.write_text("MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:    5 kB\n")
    assert free_memory(said) == 5 * 1024
    said.write_text("MemTotal: 9 kB\n")
    assert free_memory(said) == UNKNOWN
    assert free_memory() > 0
