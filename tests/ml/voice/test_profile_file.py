from __future__ import annotations

import contextlib
from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import ModelDamaged
from ml.types import Audio
from ml.voice.cepstra import ORDER
from ml.voice.envelope import Cloud
from ml.voice.profile import VoiceProfile, build_profile
from ml.voice.profile_file import LARGEST
from tests.fakes import PitchEncoder


@pytest.fixture(scope="module")
def profile(woman: Audio) -> VoiceProfile:
    built = build_profile([woman], PitchEncoder(), None, "es")
    return replace(built, variant="klatt3", tts="espeak-ng")


def rewritten(data: bytes, **changes: object) -> bytes:
    """The profile with other tensors; None takes one out, `facts` changes the metadata."""
    tensors = safetensors.numpy.load(data)
    length = int.from_bytes(data[:8], "little")
    header = msgspec.json.decode(data[8 : 8 + length])
    facts = msgspec.json.decode(header["__metadata__"]["babelmesh.voice"]) | changes.pop("facts", {})
    for name, value in changes.items():
        name = name.replace("__", ".")
        tensors.pop(name, None)
        if value is not None:
            tensors[name] = value
    return safetensors.numpy.save(tensors, metadata={"babelmesh.voice": msgspec.json.encode(facts).decode()})


def test_what_is_read_is_what_was_written(profile: VoiceProfile) -> None:
    data = profile.to_bytes()
    again = VoiceProfile.from_bytes(data)
    assert again.to_bytes() == data
    for field in fields(VoiceProfile):
        if field.name not in ("envelopes", "embedding"):
            assert getattr(again, field.name) == getattr(profile, field.name), field.name
    np.testing.assert_array_equal(again.embedding, profile.embedding)
    np.testing.assert_allclose(again.envelopes.voiced.frames, profile.envelopes.voiced.frames, atol=0.02)
    np.testing.assert_array_equal(again.envelopes.unvoiced.mean, profile.envelopes.unvoiced.mean)


def test_a_profile_is_small_and_holds_no_sound(profile: VoiceProfile, woman: Audio) -> None:
    data = profile.to_bytes()
    assert len(data) < 100_000
    long = replace(profile, envelopes=replace(profile.envelopes, voiced=Cloud.of(np.ones((9999, ORDER), np.float32))))
    assert len(long.to_bytes()) < 100_000
    assert set(safetensors.numpy.load(data)) == {
        "embedding",
        *(f"{kind}.{part}" for kind in ("voiced", "unvoiced") for part in ("mean", "spread", "frames")),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"facts": {"version": 2}},
        {"facts": {"seconds": -1.0}},
        {"facts": {"f0_median": "high"}},
        {"facts": {"owner": "somebody"}},
        {"facts": {"variant": "x" * 65}},
        {"voiced__mean": None},
        {"voiced__mean": np.zeros(ORDER, np.float64)},
        {"voiced__mean": np.full(ORDER, np.nan, np.float32)},
        {"voiced__spread": np.zeros(ORDER, np.float32)},
        {"unvoiced__frames": np.zeros((0, ORDER), np.float16)},
        {"unvoiced__frames": np.zeros((5, ORDER + 1), np.float16)},
        {"unvoiced__frames": np.zeros((601, ORDER), np.float16)},
        {"embedding": np.full(256, 1.0, np.float32)},
        {"embedding": np.ones((2, 2), np.float32)},
        {"samples": np.zeros(16000, np.float32)},
    ],
    ids=str,
)
def test_what_was_not_written_by_us_is_refused(profile: VoiceProfile, changes: dict[str, object]) -> None:
    with pytest.raises(ModelDamaged, match="voice profile cannot be used"):
        VoiceProfile.from_bytes(rewritten(profile.to_bytes(), **changes))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_an_error_of_ours_or_still_a_profile(profile: VoiceProfile, data: st.DataObject) -> None:
    good = profile.to_bytes()
    kind = data.draw(st.sampled_from(("cut", "flip", "junk", "grow")))
    if kind == "cut":
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    elif kind == "flip":
        at = data.draw(st.integers(0, min(len(good) - 1, data.draw(st.sampled_from((8, 900, len(good)))))))
        bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    elif kind == "junk":
        bad = data.draw(st.binary(max_size=200))
    else:
        bad = good + bytes(LARGEST)
    if kind == "flip":  # may hit a number, and then it is another number
        with contextlib.suppress(ModelDamaged):
            assert VoiceProfile.from_bytes(bad).to_bytes()
        return
    with pytest.raises(ModelDamaged) as caught:
        VoiceProfile.from_bytes(bad)
    assert caught.value.remedy


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "F16"])
def test_numbers_of_an_odd_kind_are_damage(kind: str) -> None:
    facts = msgspec.json.encode({"version": 1, "seconds": 1.0, "voiced_seconds": 1.0, "level": 1.0}).decode()
    size = 2 if kind == "F8_E4M3" else 4
    header = msgspec.json.encode(
        {
            "__metadata__": {"babelmesh.voice": facts},
            "embedding": {"dtype": kind, "shape": [2], "data_offsets": [0, size]},
        }
    )
    with pytest.raises(ModelDamaged, match="voice profile cannot be used"):
        VoiceProfile.from_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
