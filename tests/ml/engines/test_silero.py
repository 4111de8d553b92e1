"""A Silero voice beyond the contract: it runs only by the user's own yes, and only the bytes that were named."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ml.device import Placement
from ml.engines.checkpoints import specs
from ml.engines.protocols import EngineHome
from ml.engines.silero import PIECE, SileroVoice
from ml.errors import BadText, EngineFailed, ModelDamaged, Unavailable
from ml.models.checkpoint import Checkpoint
from ml.models.entry import ModelFile
from ml.types import SAMPLE_RATE, Delivery
from tests.ml.engines.tiny import checkpoint, tiny_specs
from tests.ml.engines.tiny_silero import FILE, archive, packed

PLACE = Placement()
(SPEC,) = tiny_specs(["tiny-silero"])


@pytest.fixture(scope="module")
def engine():
    made = SPEC.factory(EngineHome(Path("nowhere")))
    yield made
    made.close()


def holding(data: bytes, folder: Path, **changes: object) -> Checkpoint:
    """A checkpoint of these bytes, named by their hash."""
    (folder / FILE).write_bytes(data)
    whole = checkpoint("tiny-silero")
    files = (ModelFile(FILE, sha256=hashlib.sha256(data).hexdigest()),)
    return Checkpoint(msgspec.structs.replace(whole.entry, **{"files": files, **changes}), folder, whole.revision)


def test_each_letter_is_said_in_the_voice_asked_for(engine) -> None:
    one, other = (engine.speak("hola", "es", Delivery(voice=name)).audio for name in ("es_0", "es_1"))
    assert one.seconds == other.seconds == pytest.approx(4 * 0.06, abs=1e-3)
    assert np.abs(one.samples - other.samples).max() > 0.1
    default = engine.speak("hola", "es", Delivery()).audio.samples
    np.testing.assert_array_equal(one.samples, default)
    peaks = [np.abs(np.fft.rfft(sound.samples, SAMPLE_RATE)).argmax() for sound in (one, other)]
    assert 40 < peaks[1] - peaks[0] < 120, "Hz"


def test_long_texts_are_said_in_parts(engine) -> None:
    text = "la casa verde " * 60
    said = engine.speak(text, "es", Delivery()).audio
    letters = len(" ".join(text.split()))
    assert letters > PIECE
    assert said.seconds == pytest.approx(letters * 0.06 + 0.15, abs=0.3)


def test_what_the_program_cannot_say_is_an_error_of_that_text(engine) -> None:
    with pytest.raises(EngineFailed, match="does not know") as failure:
        engine.speak("a # b", "es", Delivery())
    assert failure.value.remedy
    with pytest.raises(BadText, match="nobody") as refusal:
        engine.speak("hola", "es", Delivery(voice="nobody"))
    assert "es_0" in refusal.value.remedy
    assert engine.speak("hola", "es", Delivery()).audio.seconds > 0


def test_it_is_never_chosen_unless_it_is_named() -> None:
    assert SPEC.use == "ask"
    assert SPEC.missing(EngineHome(Path("nowhere"))) == ()


def test_what_lacks_is_the_users_yes() -> None:
    asked = msgspec.structs.replace(checkpoint("tiny-silero").entry, runs_code=False)
    (spec,) = specs([asked], lambda entry, home: checkpoint(entry.name), lambda entry, home: True, lambda entry: PLACE)
    (need,) = spec.missing(EngineHome(Path("nowhere")))
    assert "yes" in need.name
    assert "runs_code = true" in need.remedy


class Mischief:
    """An archive whose opening makes a folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_runs_without_the_users_yes_to_these_bytes(tmp_path: Path) -> None:
    data = packed(Mischief(str(tmp_path / "ran")), __name__)
    with pytest.raises(Unavailable, match=r"v4_es\.pt .* is a program") as failure:
        SileroVoice.load(SPEC, holding(data, tmp_path, runs_code=False), PLACE)
    assert "0010-programs.md" in failure.value.remedy
    named = holding(archive(), tmp_path)
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(ModelDamaged, match="not the file that you named"):
        SileroVoice.load(SPEC, named, PLACE)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(ModelDamaged):
        SileroVoice.load(SPEC, holding(data, tmp_path), PLACE)
    assert (tmp_path / "ran").is_dir(), "a yes is a yes: it runs"


def test_what_is_no_such_voice_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"nothing", archive()[: len(archive()) // 2], packed({"speakers": ["a"]}, __name__)):
        with pytest.raises(ModelDamaged, match=r"does not open|no Silero voice") as failure:
            SileroVoice.load(SPEC, holding(data, tmp_path), PLACE)
        assert failure.value.remedy
