"""The triangles of a face lie side by side, and its lips are lines of them."""

from __future__ import annotations

import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ml.lips.geometry import INNER_LOWER, INNER_UPPER, JAW, OUTER_LOWER, OUTER_UPPER
from ml.lips.topology import POINTS, Triangles, smooth, topology, with_ring
from ml.lips.types import LANDMARKS

SCRIPT = Path(__file__).resolve().parents[3] / "scripts/face_triangles.py"


def areas(triangles: Triangles) -> np.ndarray:
    places = with_ring(topology().places, np.zeros(2))
    first, second, third = (places[triangles[:, corner]] for corner in range(3))
    along, across = second - first, third - first
    return (along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]) / 2


def test_all_triangles_turn_one_way() -> None:
    assert topology().places.shape == (LANDMARKS, 2)
    found = areas(topology().all)
    assert (found > 0).mean() > 0.97
    assert found.min() > -5e-4, "only slivers at the edge of the face are seen from behind"


def test_no_two_triangles_share_the_same_side_of_an_edge() -> None:
    seen = [(int(one[at]), int(one[(at + 1) % 3])) for one in topology().all for at in range(3)]
    assert len(seen) == len(set(seen)) > 1000


@pytest.mark.parametrize("line", [INNER_UPPER, INNER_LOWER, OUTER_UPPER, OUTER_LOWER])
def test_lips_are_edges_of_triangles(line: tuple[int, ...]) -> None:
    edges = {frozenset((int(one[at]), int(one[(at + 1) % 3]))) for one in topology().face for at in range(3)}
    assert {frozenset(pair) for pair in pairwise(line)} <= edges


def test_the_mouth_is_filled_by_triangles_of_its_own() -> None:
    inner = {*INNER_UPPER, *INNER_LOWER}
    assert set(topology().mouth.ravel().tolist()) == inner
    assert not any(set(one) <= inner for one in topology().face.tolist())


def test_the_ring_lies_around_the_jaw() -> None:
    places = with_ring(topology().places, np.zeros(2))
    assert len(places) == POINTS
    assert (np.hypot(*places[LANDMARKS:].T) > np.hypot(*places[list(JAW)].T) * 1.3).all()


def test_smooth_goes_from_nothing_to_all() -> None:
    assert smooth(np.array([-1.0, 0, 0.5, 1, 2])).tolist() == [0, 0, 0.5, 1, 1]


def test_the_script_reads_triangles_and_refuses_other_files() -> None:
    spec = importlib.util.spec_from_file_location("face_triangles", SCRIPT)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    found = script.triangles_of("FACEMESH_TESSELATION = frozenset([(3, 1), (1, 2), (2, 3), (5, 4), (4, 6), (6, 5)])")
    assert found.tolist() == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(ValueError, match="no FACEMESH_TESSELATION"):
        script.triangles_of("OTHER = 1")
