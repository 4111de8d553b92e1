"""Encoding: sizes, times and colours stay what they are; only the part that changed is converted."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction

import av
import av.error
import numpy as np
import pytest

from ml.video import encode
from ml.video.encode import Encoder, VideoOptions, coding
from ml.video.pixels import Colour, planes
from ml.video.probe import VideoInfo, probe
from ml.video.read import VideoReader
from ml.video.write import VideoWriter
from tests.ml.video.clips import Recipe, make, picture, portrait

LIKE = VideoInfo("x", "mov", "h264", "yuv420p", 160, 120, Fraction(25), Fraction(1, 12800))
SOFT = VideoOptions(hardware="off")


def encoder(plan):
    return Encoder(av.open(io.BytesIO(), "w", format="matroska"), plan)


@pytest.mark.parametrize("size", [(160, 120), (161, 120), (642, 361), (33, 33)])
@pytest.mark.parametrize("odd_sizes", ["exact", "even"])
def test_an_odd_size_is_kept_or_made_even_and_said(size, odd_sizes):
    width, height = size
    plan = coding(replace(LIKE, width=width, height=height), VideoOptions(hardware="off", odd_sizes=odd_sizes))
    odd = width % 2 or height % 2
    assert bool(plan.notes) == bool(odd)
    if odd and odd_sizes == "exact":
        assert (plan.pixel_format, plan.width, plan.height) == ("yuv444p", width, height)
    else:
        assert plan.pixel_format == "yuv420p"
        assert (plan.width, plan.height) == (width + width % 2, height + height % 2)
    made = encoder(plan)
    packets = made.encode(0.0, portrait(width, height)) + made.flush()
    assert sum(packet.size for packet in packets) > 0


def test_pictures_must_come_in_order_and_fit():
    made = encoder(coding(LIKE, SOFT))
    made.encode(0.5, portrait())
    with pytest.raises(ValueError, match="does not come after"):
        made.encode(0.5, portrait())
    for shape in [(120, 161, 3), (119, 160, 4), (60, 80, 3), (120, 160)]:
        with pytest.raises(ValueError, match="a picture must be 120 x 160 x 3"):
            made.encode(0.6, np.zeros(shape, np.uint8))


@pytest.mark.parametrize("area", [(40, 30, 20, 20), (41, 31, 5, 7), (-3, -3, 10, 10), (155, 115, 30, 30), (9, 9, 0, 0)])
def test_outside_of_what_changed_the_encoder_gets_what_the_decoder_gave(tmp_path, area):
    path = make(tmp_path / "a.mp4", Recipe(count=1))
    with VideoReader(path) as reader:
        still = next(reader)
    before = [plane.copy() for plane in planes(still.stored)]
    made = encoder(coding(probe(path), SOFT))
    changed = 255 - still.picture
    frame = made._frame(changed, still.stored, [area])
    x, y, width, height = area
    inside = np.zeros((120, 160), bool)
    inside[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = True
    grown = inside.reshape(60, 2, 80, 2).any(axis=(1, 3))
    whole = made._convert.to_yuv(changed, "yuv420p", Colour())
    masks = (grown.repeat(2, 0).repeat(2, 1), grown, grown)
    for old, new, full, mask in zip(before, planes(frame), planes(whole), masks, strict=True):
        np.testing.assert_array_equal(new[~mask], old[~mask])
        assert np.abs(new[mask].astype(int) - full[mask]).max(initial=0) <= 1


def test_an_unchanged_picture_is_not_converted_at_all(tmp_path):
    path = make(tmp_path / "a.mp4", Recipe(count=1, full_range=True, colour=(1, 1, 1)))
    with VideoReader(path) as reader:
        still = next(reader)
    made = encoder(coding(probe(path), SOFT))
    frame = made._frame(np.zeros((120, 160, 3), np.uint8), still.stored, [])
    for old, new in zip(planes(still.stored), planes(frame), strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_stored_picture_of_another_form_is_converted(tmp_path):
    with VideoReader(make(tmp_path / "a.mp4", Recipe(count=1, pixels="yuv444p"))) as reader:
        still = next(reader)
    made = encoder(coding(LIKE, SOFT))
    assert made._frame(still.picture, still.stored, []).format.name == "yuv420p"


def test_better_quality_is_nearer_to_the_picture(tmp_path):
    errors = []
    for quality in ("fast", "balanced", "quality"):
        with VideoWriter(tmp_path / "a.mp4", LIKE, VideoOptions(quality, "off")) as writer:
            for at in range(12):
                writer.write(at / 25, picture(at))
        with VideoReader(tmp_path / "a.mp4") as reader:
            errors.append(np.mean([np.square(still.picture.astype(int) - picture(still.index)) for still in reader]))
    assert errors[2] == min(errors) < 0.9 * max(errors)
    assert max(errors) < 30


def test_a_hardware_encoder_is_taken_only_if_it_encodes(monkeypatch):
    tried = []

    def refuse(codec, width, height):
        tried.append((codec, width, height))
        raise av.error.PermissionError(1, "no such card")

    encode._hardware.cache_clear()
    monkeypatch.setattr(encode, "_try", refuse)
    plan = coding(LIKE)
    assert plan.codec == "libx264"
    assert "no such card" in plan.refused
    assert plan.notes == (), "most machines have no such encoder, and need not hear of it with every video"
    assert tried[0] == ("h264_nvenc", 160, 120)
    encode._hardware.cache_clear()
    monkeypatch.setattr(encode, "_try", lambda codec, width, height: None)
    assert coding(LIKE).codec == tried[0][0]
    assert coding(LIKE).notes == ()
    assert coding(LIKE, SOFT).codec == "libx264"
    encode._hardware.cache_clear()


def test_the_trial_encodes_for_real():
    for codec in encode._HARDWARE:
        if codec in av.codecs_available:
            try:
                encode._try(codec, 320, 240)
            except (av.error.FFmpegError, ValueError, RuntimeError):
                continue
            plan = replace(coding(LIKE, SOFT), codec=codec, options=encode._options(codec, VideoOptions()))
            assert encoder(replace(plan, width=320, height=240)).encode(0.0, portrait(320, 240)) is not None
