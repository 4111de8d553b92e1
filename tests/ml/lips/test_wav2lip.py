"""Wav2Lip with random weights: batches, masks, dtypes, files; what it draws is noise, where it draws is not."""

from __future__ import annotations

import copy
import gc
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.device import Placement
from ml.errors import EngineFailed, ModelDamaged, OutOfMemory, Unavailable
from ml.lips.renderers import BatchRenderer, Heard
from ml.lips.types import Face, Mouth, Patch, Picture, Renderer, put
from ml.lips.wav2lip import MEMORY, NOTICE, Wav2Lip, Wav2LipOptions, Wav2LipRenderer, faded, load_wav2lip, of_film
from ml.lips.wav2lip_mel import log_mel, windows
from tests.ml.lips.lively import FORMS, Form, wav2lip_network, written
from tests.ml.lips.portrait import FACE, moved

MOUTH = Mouth(0.1, 0.2)


def sounds(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-4, 4, (count, 80, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def wav2lip() -> Wav2Lip:
    return Wav2Lip(copy.deepcopy(wav2lip_network()), Placement(), Wav2LipOptions(batch=2))


def speech(seconds: float) -> np.ndarray:
    return (np.random.default_rng(0).standard_normal(round(16000 * seconds)) * 0.1).astype(np.float32)


def same(one: Patch | None, other: Patch | None, within: int = 1) -> bool:
    if one is None or other is None:
        return one is other
    apart = np.abs(one.pixels.astype(int) - other.pixels).max()
    return (one.x, one.y) == (other.x, other.y) and np.array_equal(one.mask, other.mask) and bool(apart <= within)


def test_a_batch_is_what_its_pictures_are_one_by_one(wav2lip: Wav2Lip, astronaut: Picture) -> None:
    faces = [moved(x=3 * i, scale=1 + 0.02 * i) for i in range(3)] + [replace(FACE, yaw=55.0)]
    pictures = [np.roll(astronaut, 5 * i, axis=1) for i in range(4)]
    heard = sounds(4)
    together = wav2lip.render_batch(pictures, faces, heard)
    alone = [wav2lip.render_batch([pictures[i]], [faces[i]], heard[i : i + 1])[0] for i in range(4)]
    assert all(same(one, other) for one, other in zip(together, alone, strict=True))
    assert [patch is None for patch in together] == [False] * 3 + [True]


def test_pixels_outside_the_mask_keep_every_bit(wav2lip: Wav2Lip, astronaut: Picture) -> None:
    (patch,) = wav2lip.render_batch([astronaut], [FACE], sounds(1))
    assert patch is not None
    after = astronaut.copy()
    put(after, patch)
    changed = np.zeros(astronaut.shape[:2], bool)
    changed[patch.y : patch.y + patch.mask.shape[0], patch.x : patch.x + patch.mask.shape[1]] = patch.mask > 0
    assert np.array_equal(after[~changed], astronaut[~changed])
    assert (after != astronaut)[changed].mean() > 0.5
    assert 0.005 < changed.mean() < 0.03


def test_it_draws_the_network_on_the_masked_face(wav2lip: Wav2Lip) -> None:
    faces = np.random.default_rng(1).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    heard = sounds(2)
    whole = torch.from_numpy(faces).permute(0, 3, 1, 2) / 255
    masked = whole * (torch.arange(96) < 48)[:, None]
    with torch.no_grad():
        expected = (
            wav2lip_network()(torch.from_numpy(heard)[:, None], torch.cat([masked, whole], 1)).permute(0, 2, 3, 1) * 255
        )
    assert np.abs(wav2lip.draw(faces, heard) - expected.numpy()).max() <= 0.51


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_draws_nearly_the_same(dtype: str, wav2lip: Wav2Lip) -> None:
    half = Wav2Lip(copy.deepcopy(wav2lip_network()), Placement(dtype=dtype))
    faces = np.random.default_rng(2).integers(0, 256, (1, 96, 96, 3), dtype=np.uint8)
    apart = np.abs(half.draw(faces, sounds(1)).astype(int) - wav2lip.draw(faces, sounds(1)))
    assert apart.mean() < (1.5 if dtype == "bfloat16" else 0.3)


@pytest.mark.parametrize(
    "face",
    [
        replace(FACE, yaw=41.0),
        replace(FACE, pitch=-41.0),
        moved(scale=0.1),
        moved(x=-3000),
        replace(FACE, points=np.full_like(FACE.points, np.nan)),
    ],
)
def test_faces_that_cannot_be_drawn_keep_their_pixels(face: Face, wav2lip: Wav2Lip, astronaut: Picture) -> None:
    assert wav2lip.render_batch([astronaut], [face], sounds(1)) == [None]


def test_lists_must_fit(wav2lip: Wav2Lip, astronaut: Picture) -> None:
    assert wav2lip.render_batch([], [], sounds(0)) == []
    for pictures, faces, heard in (
        ([astronaut], [], sounds(1)),
        ([astronaut], [FACE], sounds(2)),
        ([astronaut], [FACE], sounds(1)[:, :, :8]),
    ):
        with pytest.raises(ValueError, match="one window"):
            wav2lip.render_batch(pictures, faces, heard)


def test_numbers_that_are_not_finite_are_no_picture() -> None:
    broken = copy.deepcopy(wav2lip_network())
    with torch.no_grad():
        broken.output_block[1].bias.fill_(float("nan"))
    with pytest.raises(EngineFailed, match="not finite"):
        Wav2Lip(broken, Placement()).draw(np.zeros((1, 96, 96, 3), np.uint8), sounds(1))


def test_too_little_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Wav2Lip(copy.deepcopy(wav2lip_network()), Placement())

    def no_memory(*given: object, **more: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(torch, "cat", no_memory)
    with pytest.raises(OutOfMemory, match="too little memory for Wav2Lip on cpu in float32"):
        made.draw(np.zeros((1, 96, 96, 3), np.uint8), sounds(1))


def test_with_too_little_memory_for_many_it_draws_fewer_at_once(
    monkeypatch: pytest.MonkeyPatch, wav2lip: Wav2Lip, astronaut: Picture
) -> None:
    made = Wav2Lip(copy.deepcopy(wav2lip_network()), Placement(), Wav2LipOptions(batch=7))
    draw, tried = made.draw, []

    def small_room(faces: np.ndarray, heard: np.ndarray) -> np.ndarray:
        tried.append(len(faces))
        if len(faces) > 2:
            raise OutOfMemory("There is too little memory.")
        return draw(faces, heard)

    monkeypatch.setattr(made, "draw", small_room)
    faces, heard = [moved(x=3.0 * i) for i in range(7)], sounds(7)
    found = made.render_batch([astronaut] * 7, faces, heard)
    assert tried == [7, 3, 1, 2, 4, 2, 2]
    expected = wav2lip.render_batch([astronaut] * 7, faces, heard)
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))
    monkeypatch.setattr(made, "draw", lambda faces, heard: (_ for _ in ()).throw(OutOfMemory("None at all.")))
    with pytest.raises(OutOfMemory, match="None at all"):
        made.render_batch([astronaut] * 2, faces[:2], heard[:2])


def test_int8_is_refused() -> None:
    with pytest.raises(Unavailable, match="int8"):
        Wav2Lip(copy.deepcopy(wav2lip_network()), Placement(dtype="int8"))


def renderer(wav2lip: Wav2Lip, seconds: float = 2.0) -> Wav2LipRenderer:
    return Wav2LipRenderer(wav2lip, log_mel(speech(seconds)), lambda index: index / 25)


def test_it_is_a_renderer_that_smooths_what_it_planned(wav2lip: Wav2Lip, astronaut: Picture) -> None:
    made: Renderer = renderer(wav2lip)
    jumping = [moved(x=float(x)) for x in (0, 2, -2, 2, -2, 0)]
    for index, face in enumerate(jumping):
        made.offer(index, astronaut, face)
    unplanned = made.render(2, astronaut, jumping[2], MOUTH)
    made.plan([*jumping, None], [*[MOUTH] * 6, None])
    planned = made.render(2, astronaut, jumping[2], MOUTH)
    assert unplanned is not None
    assert planned is not None
    assert not np.array_equal(planned.pixels, unplanned.pixels)
    assert np.array_equal(planned.mask.shape, unplanned.mask.shape)


def test_another_face_of_the_picture_is_not_drawn_from_the_planned_place(wav2lip: Wav2Lip, astronaut: Picture) -> None:
    made, fresh = renderer(wav2lip), renderer(wav2lip)
    made.plan([FACE], [MOUTH])
    away = moved(x=150)
    assert same(made.render(0, astronaut, away, MOUTH), fresh.render(0, astronaut, away, MOUTH), within=0)


def test_each_picture_hears_its_own_moment(wav2lip: Wav2Lip, astronaut: Picture) -> None:
    made = renderer(wav2lip)
    together = made.render_batch([3, 10, 2000], [astronaut] * 3, [FACE] * 3)
    direct = wav2lip.render_batch([astronaut] * 3, [FACE] * 3, windows(made._mel, [3 / 25, 10 / 25, 80.0]))
    assert all(same(one, other, within=0) for one, other in zip(together, direct, strict=True))
    assert not same(together[0], together[1])
    single = made.render(10, astronaut, FACE, MOUTH)
    assert same(single, together[1])


def test_faces_of_a_film_share_what_it_says(wav2lip: Wav2Lip, astronaut: Picture) -> None:
    made = of_film(wav2lip, Heard(lambda: iter(np.split(speech(2.0), 4)), lambda index: index / 25))
    one, other = made(), made()
    assert isinstance(one, BatchRenderer)
    assert one.batch == 2
    assert one._mel is other._mel
    one.close()
    assert same(other.render(10, astronaut, FACE, MOUTH), renderer(wav2lip).render(10, astronaut, FACE, MOUTH))


def test_drawn_lips_come_and_go_beside_pictures_that_keep_their_own(wav2lip: Wav2Lip, astronaut: Picture) -> None:
    made, plain = renderer(wav2lip), renderer(wav2lip)
    moves = [False, *[True] * 9, False, True]
    made.plan([FACE] * 12, [MOUTH if one else None for one in moves])
    plain.plan([FACE] * 12, [MOUTH] * 12)
    indices = [1, 2, 3, 5, 8, 9, 11]
    coming = made.render_batch(indices, [astronaut] * 7, [FACE] * 7)
    whole = plain.render_batch(indices, [astronaut] * 7, [FACE] * 7)
    shares = [part.mask.max() / full.mask.max() for part, full in zip(coming, whole, strict=True) if part and full]
    assert shares == pytest.approx([1 / 3, 2 / 3, 1, 1, 2 / 3, 1 / 3, 1 / 3], abs=0.01)
    assert all(
        np.array_equal(one.pixels, other.pixels) for one, other in zip(coming, whole, strict=True) if one and other
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 0.1), st.booleans()), max_size=40), st.sampled_from([0.0, 0.05, 0.2]))
def test_nothing_pops_further_than_a_picture_s_share(pictures: list[tuple[float, bool]], fade: float) -> None:
    times = np.cumsum([step for step, _ in pictures]).tolist()
    moves = [move for _, move in pictures]
    shares = faded(times, moves, fade)
    assert [share > 0 for share in shares] == moves
    assert all(0 <= share <= 1 for share in shares)
    for at in range(1, len(times)):
        apart = times[at] - times[at - 1]
        assert fade == 0 or abs(shares[at] - shares[at - 1]) <= apart / fade + 1e-6
    if all(moves) or fade == 0:
        assert shares == [float(move) for move in moves]


def test_a_renderer_needs_lists_that_fit(wav2lip: Wav2Lip) -> None:
    with pytest.raises(ValueError, match="both lists"):
        renderer(wav2lip).plan([FACE], [])


def test_memory_does_not_grow_with_the_video(wav2lip: Wav2Lip, astronaut: Picture) -> None:
    made = renderer(wav2lip, 0.5)
    made.render(0, astronaut, FACE, MOUTH)
    gc.collect()
    tracemalloc.start()
    try:
        for index in range(3000):
            made.offer(index, astronaut.copy(), FACE)
        for index in range(0, 6, 2):
            made.render_batch([index, index + 1], [astronaut.copy(), astronaut.copy()], [FACE, FACE])
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < astronaut.nbytes / 4  # not one picture is kept


def test_closed_it_says_so_and_others_go_on(wav2lip: Wav2Lip, astronaut: Picture) -> None:
    one, other = renderer(wav2lip), renderer(wav2lip)
    one.close()
    one.close()
    with pytest.raises(EngineFailed, match="closed"):
        one.render(0, astronaut, FACE, MOUTH)
    assert other.render(0, astronaut, FACE, MOUTH) is not None


def test_the_network_closed_says_so() -> None:
    made = Wav2Lip(copy.deepcopy(wav2lip_network()), Placement())
    made.close()
    made.close()
    with pytest.raises(EngineFailed, match="closed"):
        made.draw(np.zeros((1, 96, 96, 3), np.uint8), sounds(1))


def test_loading_tells_the_licence_once_and_draws_what_was_saved(wav2lip: Wav2Lip, tmp_path: Path) -> None:
    said: list[str] = []
    path = written(wav2lip_network(), "safetensors", tmp_path / "wav2lip.pth")
    loaded = load_wav2lip(path, Placement(), said.append)
    faces = np.random.default_rng(3).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    assert np.array_equal(loaded.draw(faces, sounds(2)), wav2lip.draw(faces, sounds(2)))
    loaded.draw(faces, sounds(2))
    assert said == [NOTICE]
    assert "commercial" in NOTICE


def test_a_file_of_something_else_says_nothing_of_licences(tmp_path: Path) -> None:
    said: list[str] = []
    torch.save({"netcnnaud.0.weight": torch.zeros(64, 1, 3, 3)}, tmp_path / "syncnet_v2.model")
    with pytest.raises(ModelDamaged, match="is not Wav2Lip's generator"):
        load_wav2lip(tmp_path / "syncnet_v2.model", Placement(), said.append)
    assert said == []


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_whole_file_draws_the_same(form: Form, wav2lip: Wav2Lip, tmp_path: Path) -> None:
    inputs = (torch.zeros(1, 1, 80, 16), torch.zeros(1, 6, 96, 96))
    path = written(copy.deepcopy(wav2lip_network()), form, tmp_path / "weights", *inputs)
    faces = np.random.default_rng(4).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    loaded = load_wav2lip(path, Placement(), lambda notice: None)
    path.unlink()
    assert np.array_equal(loaded.draw(faces, sounds(2)), wav2lip.draw(faces, sounds(2)))


def test_memory_is_told_for_the_dtypes_it_computes_in() -> None:
    assert set(MEMORY) == {"float32", "bfloat16", "float16"}
    assert MEMORY["float32"] > 4 * 36_298_035
