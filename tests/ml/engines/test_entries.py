"""What keeps a catalogue entry from being an engine is told by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.engines.choice import Wish
from ml.engines.entries import conditions, fault_of, unusable
from ml.engines.protocols import EngineHome
from ml.engines.registry import Registry
from ml.errors import Unavailable
from ml.models.catalogue import Catalogue
from ml.models.entry import HubSource, ModelEntry, ModelFile
from ml.models.store import State
from tests.ml.engines.tiny import entry

HOME = EngineHome(Path("nowhere"))
OURS = Catalogue.load()
OTHERS = {"part-of-pocket-tts", "mediapipe-face", "resemblyzer"}


def test_nothing_is_wrong_with_the_entries_that_come_with_babelmesh() -> None:
    assert {one.name for one in OURS.model if fault_of(one, OTHERS)} == set()


def test_engines_with_doors_of_their_own_are_thought_of_too() -> None:
    fault = fault_of(entry("x1", "lips", "mediapipe-faces"), OTHERS)
    assert fault is not None
    assert "'mediapipe-face'" in fault.remedy


@pytest.mark.parametrize(
    ("wrong", "reason", "remedy"),
    [
        (entry("x1", "asr", "wisper"), "no kind of engine 'wisper'", "'whisper'"),
        (entry("x1", "asr", "zzzz"), "no kind of engine 'zzzz'", "docs/models.md"),
        (entry("x1", "hearing", "whisper"), "for the task asr, not 'hearing'", "task = 'asr'"),
        (entry("x1", "asr", "whisper", languages=("English",)), "'English' is no code", "'en'"),
        (entry("x1", "asr", "whisper", pairs=("en-es",)), "it has `pairs`, and the task asr", "take out `pairs`"),
        (entry("x1", "mt", "marian", pairs=("enes",)), "'enes' is no pair of languages", "'en-es'"),
    ],
)
def test_a_wrong_entry_is_told_to_whoever_asks_for_it(wrong: ModelEntry, reason: str, remedy: str) -> None:
    fault = fault_of(wrong)
    assert fault is not None
    assert reason in fault.reason
    assert remedy in fault.remedy
    assert "x1" in fault.remedy
    spec = unusable(wrong, fault)
    assert spec is not None
    with pytest.raises(Unavailable, match="x1") as caught:
        Registry([spec], HOME).pick(Wish(spec.task), "x1")
    assert reason in caught.value.sentence
    assert caught.value.remedy == fault.remedy
    with pytest.raises(Unavailable, match="x1 cannot be used"):
        spec.factory(HOME)


def test_the_task_that_was_meant_is_that_of_the_nearest_kind() -> None:
    wrong = entry("x1", "hearing", "wisper")
    fault = fault_of(wrong)
    assert fault is not None
    spec = unusable(wrong, fault)
    assert spec is not None
    assert spec.task == "asr"
    strange = entry("x1", "hearing", "zzzz")
    assert unusable(strange, fault) is None


@pytest.mark.parametrize(
    ("state", "accepted", "gaps"),
    [
        ("present", True, []),
        ("present", False, ["your yes to the licence of one"]),
        ("missing", False, []),
        ("damaged", True, ["whole files of one"]),
        ("refused", True, ["weights in one"]),
    ],
)
def test_a_model_must_be_whole_no_program_and_allowed(state: State, accepted: bool, gaps: list[str]) -> None:
    model = entry("one", "asr", "whisper", use="non-commercial", terms="No.")
    needs = conditions(model, lambda name: state, lambda model: accepted)
    missing = [need for need in needs if not need.present(HOME)]
    assert [need.name for need in missing] == gaps
    assert all(need.fault == (state in {"damaged", "refused"}) for need in missing)


def test_what_mends_a_damaged_model_can_work() -> None:
    hub = entry("one", "asr", "whisper", source=HubSource("a/b"), files=(ModelFile("x"),))
    own = "Put its published files into one, or mend the catalogue's `path`. To see which: node models verify one"
    for model, remedy in ((hub, "node models pull one"), (entry("one", "asr", "whisper"), own)):
        whole = conditions(model, lambda name: "damaged", lambda model: True)[0]
        assert whole.remedy == remedy
        assert whole.gap == "the model one is damaged"
