"""Makes the shipped topology of the face mesh, ml/lips/data/triangles.json.

    python scripts/face_triangles.py MEDIAPIPE_WHEEL [--landmarks FILE] [--out FILE]

Which landmarks are neighbours is a published fact of MediaPipe's face mesh (Copyright The MediaPipe Authors, Apache
License 2.0): the list FACEMESH_TESSELATION in the wheel names the edges of its triangles, three by three. Read as
data, never run. Where the landmarks of a standard face lie comes from skimage.data.astronaut() (NASA, public domain),
made symmetric.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from ml.lips.geometry import head_frame
from ml.lips.types import Points

ROOT = Path(__file__).resolve().parent.parent
_FILE, _NAME = "mediapipe/python/solutions/face_mesh_connections.py", "FACEMESH_TESSELATION"


def standard_face(points: Points) -> npt.NDArray[np.float64]:
    """A face made symmetric, `[468, 2]` in eye-widths of its head."""
    head = head_frame(points)
    face = np.concatenate([head.to_head(points), points[:, 2:] / head.unit], axis=1)
    distances = ((face[:, None] - face[None] * [-1, 1, 1]) ** 2).sum(axis=-1)
    _, twin = linear_sum_assignment(distances)
    if (twin[twin] != np.arange(len(face))).any():
        raise ValueError("the face is too far from symmetric: no landmark has one twin")
    return np.asarray((face[:, :2] + face[twin, :2] * [-1, 1]) / 2)


def triangles_of(text: str) -> npt.NDArray[np.int32]:
    """The triangles `[N, 3]` that a Python file's list of edges tells. Raises ValueError where it tells none."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == [_NAME]:
            if not isinstance(node.value, ast.Call):
                break
            edges = ast.literal_eval(node.value.args[0])
            found = [sorted({*one, *two, *three}) for one, two, three in zip(*[iter(edges)] * 3, strict=True)]
            return np.array(sorted(found), np.int32)
    raise ValueError(f"there is no {_NAME} in this file")


def turned_alike(triangles: npt.NDArray[np.int32], places: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """The triangles with corners in the order that a clock goes for who sees the face from outside: neighbours go along
    their common edge in opposite ways, also where one of them (at the nostrils) is seen from behind."""
    turned = triangles.copy()
    by_edge: dict[frozenset[int], list[int]] = {}
    for number, triangle in enumerate(triangles.tolist()):
        for one, other in itertools.combinations(triangle, 2):
            by_edge.setdefault(frozenset((one, other)), []).append(number)
    done = {0}
    following = [0]
    while following:
        number = following.pop()
        first, second, third = turned[number].tolist()
        for one, other in ((first, second), (second, third), (third, first)):
            for neighbour in by_edge[frozenset((one, other))]:
                if neighbour not in done:
                    corners = turned[neighbour].tolist()
                    if corners[(corners.index(one) + 1) % 3] == other:
                        turned[neighbour] = turned[neighbour][[0, 2, 1]]
                    done.add(neighbour)
                    following.append(neighbour)
    first_at, second_at, third_at = (places[turned[:, corner]] for corner in range(3))
    along, across = second_at - first_at, third_at - first_at
    if (along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]).sum() < 0:
        turned = turned[:, [0, 2, 1]]
    return turned


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--landmarks", type=Path, default=ROOT / "tests/golden/astronaut_landmarks.npz")
    parser.add_argument("--out", type=Path, default=ROOT / "ml/lips/data/triangles.json")
    chosen = parser.parse_args()
    with np.load(chosen.landmarks) as file:
        places = standard_face(file["points"])
    with zipfile.ZipFile(chosen.wheel) as wheel:
        triangles = turned_alike(triangles_of(wheel.read(_FILE).decode()), places)
    source = "Triangles: MediaPipe face mesh, Copyright The MediaPipe Authors, Apache-2.0. Places: NASA, public domain."
    written = {"source": source, "places": places.round(4).tolist(), "triangles": triangles.tolist()}
    chosen.out.write_text(json.dumps(written, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
