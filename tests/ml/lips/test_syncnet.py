"""SyncNet's score: an offset put in is the offset found, by the published convention; and what faces it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.device import Placement
from ml.errors import BadAudio, BadVideo, EngineFailed, ModelDamaged
from ml.lips.syncnet import SyncScorer, compare, face_squares, load_syncnet
from ml.lips.types import Picture
from ml.types import Audio
from tests.ml.lips.lively import syncnet, written
from tests.ml.lips.portrait import FACE, moved

SAMPLES = 640
"""Samples of a picture."""


@pytest.fixture(scope="module")
def scorer() -> SyncScorer:
    return SyncScorer(syncnet(), Placement())


def squares(count: int, seed: int = 0) -> list[Picture]:
    random = np.random.default_rng(seed)
    return [np.repeat(np.repeat(random.integers(0, 256, (14, 14, 3), np.uint8), 16, 0), 16, 1) for _ in range(count)]


def speech(pictures: float) -> Audio:
    return Audio((np.random.default_rng(0).standard_normal(round(SAMPLES * pictures)) * 0.1).astype(np.float32))


@settings(deadline=None)
@given(st.integers(-15, 15), st.integers(40, 120), st.integers(0, 9))
def test_the_offset_put_in_is_found(offset: int, count: int, seed: int) -> None:
    """Positive: pictures come after their sound."""
    random = np.random.default_rng(seed)
    sound = random.standard_normal((count + 40, 32)).astype(np.float32)
    heard, seen = sound[20 : 20 + count], sound[20 - offset : 20 - offset + count]
    noisy = seen + random.standard_normal(seen.shape).astype(np.float32) * 0.05
    score = compare(noisy, heard)
    assert score.offset == offset
    assert score.distances.shape == (31,)
    assert score.distance == score.distances[15 - offset] == score.distances.min()
    assert np.isclose(score.confidence, np.median(score.distances) - score.distance, atol=1e-5)
    assert score.confidence > 3


def test_the_mean_distance_as_torch_computes_it() -> None:
    random = np.random.default_rng(0)
    seen, heard = (torch.from_numpy(random.standard_normal((12, 8)).astype(np.float32)) for _ in range(2))
    around = torch.nn.functional.pad(heard, (0, 0, 15, 15))
    expected = torch.stack(
        [torch.nn.functional.pairwise_distance(seen[i : i + 1].expand(31, -1), around[i : i + 31]) for i in range(12)]
    ).mean(0)
    assert np.allclose(compare(seen.numpy(), heard.numpy()).distances, expected.numpy(), atol=1e-5)


def test_nothing_in_common_has_no_confidence() -> None:
    random = np.random.default_rng(1)
    score = compare(*(random.standard_normal((200, 64)).astype(np.float32) for _ in range(2)))
    assert score.confidence < 1


def test_embeddings_must_fit() -> None:
    for seen, heard, shift in (((3, 4), (2, 4), 15), ((0, 4), (0, 4), 15), ((3, 4), (3, 4), -1), ((3,), (3,), 1)):
        with pytest.raises(ValueError, match="as many embeddings"):
            compare(np.zeros(seen, np.float32), np.zeros(heard, np.float32), shift)


def test_batches_are_what_their_windows_are(scorer: SyncScorer) -> None:
    pictures = squares(15)
    seen = scorer.see(iter(pictures))
    assert seen.shape == (11, 1024)
    assert np.allclose(seen[10:], scorer.see(pictures[10:]), rtol=1e-3, atol=1e-3 * seen.std())
    heard = scorer.hear(speech(30).samples)
    assert heard.shape == (25, 1024)
    later = scorer.hear(speech(30).samples[SAMPLES * 12 :])
    assert np.allclose(heard[13:20], later[1:8], rtol=1e-2, atol=1e-2 * heard.std())


def test_a_score_of_pictures_and_sound_keeps_few_pictures(scorer: SyncScorer) -> None:
    taken = 0

    def endless() -> Iterator[Picture]:
        nonlocal taken
        while True:
            taken += 1
            yield squares(1, taken)[0]

    score = scorer.score(endless(), speech(9), shift=3)
    assert taken <= 10  # no more than there is sound for
    assert score.distances.shape == (7,)
    assert np.isfinite(score.distances).all()


def test_too_little_is_told(scorer: SyncScorer) -> None:
    with pytest.raises(BadAudio, match="too little"):
        scorer.score(squares(20), speech(4))
    with pytest.raises(BadVideo, match="too little"):
        scorer.score(squares(4), speech(20))
    with pytest.raises(BadVideo, match="too little"):
        scorer.score([], speech(20))
    with pytest.raises(BadAudio, match="44100"):
        scorer.score(squares(20), Audio(np.zeros(44_100, np.float32), 44_100))


def test_faces_are_cut_to_a_square_around_them(astronaut: Picture) -> None:
    (square,) = face_squares([astronaut], [FACE])
    assert square.shape == (224, 224, 3)
    low, high = FACE.points[:, :2].min(0), FACE.points[:, :2].max(0)
    x, y = (low + high) / 2
    half = float((high - low).max()) / 2
    middle = astronaut[round(float(y)), round(float(x))][::-1].astype(int)
    place = (int(224 / 2), int(224 * half / (2.8 * half)))
    assert np.abs(square[place[1], place[0]].astype(int) - middle).max() < 25
    (edge,) = face_squares([astronaut], [moved(x=-170)])
    assert (edge[:, :8] == 110).all()  # grey beyond the picture


def test_squares_are_steady_and_one_for_each_picture(astronaut: Picture) -> None:
    random = np.random.default_rng(0)
    faces = [moved(x=float(random.normal() * 2)) for _ in range(13)]
    steady = list(face_squares([astronaut] * 13, faces))
    middle = list(face_squares([astronaut] * 13, [faces[6]] * 6 + [moved(x=40)] + [faces[6]] * 6))
    assert np.array_equal(middle[6], middle[0])  # one that jumps does not
    assert len(steady) == 13
    with pytest.raises(ValueError, match="no face"):
        list(face_squares([astronaut], [replace(FACE, points=np.full_like(FACE.points, np.nan))]))
    with pytest.raises(ValueError, match="shorter"):
        list(face_squares([astronaut], [FACE, FACE]))


def test_loading_and_closing(scorer: SyncScorer, tmp_path: Path) -> None:
    path = written(syncnet(), "old tensors", tmp_path / "syncnet_v2.model")
    loaded = load_syncnet(path, Placement())
    assert np.array_equal(loaded.see(squares(5)), scorer.see(squares(5)))
    loaded.close()
    loaded.close()
    with pytest.raises(EngineFailed, match="closed"):
        loaded.see(squares(5))
    torch.save({"face_encoder.0.conv_block.0.weight": torch.zeros(2)}, tmp_path / "expert.pth")
    with pytest.raises(ModelDamaged, match="is not SyncNet"):
        load_syncnet(tmp_path / "expert.pth", Placement())
