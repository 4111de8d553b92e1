"""What was done is not done again, and damaged results are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import EngineCrashed
from ml.speech.items import Fit, Likeness, Utterance
from ml.types import Audio, Phoneme, Speech, Transcript, Translation, Word
from node.jobs import Remembering, ResultStore, apply_part, encode_part, mishaps
from tests.fakes import tone


def utterance(key: str = "k") -> Utterance:
    return Utterance(3, 1.0, 2.0, 2.5, Audio(tone(1.0)), key)


def filled() -> Utterance:
    speech = Speech(Audio(tone(0.5)), "hola", "es", "tone", (Word("hola", 0, 0.5),), (Phoneme("o", 0.1, 0.2),))
    return replace(
        utterance(),
        transcript=Transcript("hello", "en", 1.0, 2.0, 0.8, "x", (Word("hello", 1.0, 1.9, 0.8),)),
        translation=Translation("hola", "hello", "en", "es", "m", ("en", "ca", "es"), 0.7, ("zzz",)),
        speech=speech,
        fit=Fit("faster", 1.2, 1.0, 1.0, 1.5, 1.2),
        dub=replace(speech, audio=Audio(tone(0.5, 90))),
        likeness=Likeness(100.0, 90.0, 101.0, 0.5, None),
    )


class Counting:
    name = "count"

    def __init__(self) -> None:
        self.calls = 0

    def fingerprint(self, utterance: Utterance) -> str:
        return "count:1"

    def fill(self, utterance: Utterance) -> Utterance:
        self.calls += 1
        return replace(filled(), key=utterance.key)


def test_everything_a_stage_adds_comes_back():
    done = filled()
    again = apply_part(utterance(), encode_part(utterance(), done))
    assert (again.transcript, again.translation, again.fit, again.likeness) == (
        done.transcript,
        done.translation,
        done.fit,
        done.likeness,
    )
    for one, other in ((again.speech, done.speech), (again.dub, done.dub)):
        np.testing.assert_array_equal(one.audio.samples, other.audio.samples)
        assert (one.words, one.phonemes, one.text) == (other.words, other.phonemes, other.text)


def test_only_what_changed_is_kept():
    heard = replace(utterance(), transcript=filled().transcript)
    said = replace(heard, translation=filled().translation)
    part = encode_part(heard, said)
    assert b"hello" in part  # the translation's source text
    assert apply_part(utterance(), part).transcript is None


def test_the_second_run_recalls(tmp_path: Path):
    store = ResultStore(tmp_path / "jobs")
    first, second = Counting(), Counting()
    (one,) = Remembering(first, store).process(utterance())
    stage = Remembering(second, store)
    (two,) = stage.process(utterance())
    assert (first.calls, second.calls) == (1, 0)
    assert stage.recalled == {3}
    assert one.key == two.key != "k"
    assert one.translation == two.translation
    (other,) = Remembering(second, store).process(utterance("another key"))
    assert second.calls == 1
    assert other.key != one.key


@given(st.binary(max_size=200))
def test_damaged_results_are_made_again(tmp_path_factory: pytest.TempPathFactory, junk: bytes):
    folder = tmp_path_factory.mktemp("jobs")
    store, stage = ResultStore(folder), Counting()
    key = utterance().extended_key("count:1")
    store.put(key, junk)
    (done,) = Remembering(stage, store).process(utterance())
    assert done.translation == filled().translation or stage.calls == 0
    store.put(key, b"\xc1" + junk)
    (done,) = Remembering(stage, store).process(utterance())
    assert done.translation == filled().translation
    assert stage.calls >= 1


def test_put_is_all_or_nothing_and_drop_forgets(tmp_path: Path):
    store = ResultStore(tmp_path / "jobs")
    store.put("a", b"1")
    store.put("a", b"2")
    assert store.get("a") == b"2"
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["a"]
    store.drop(["a", "never there"])
    assert store.get("a") is None


def test_prune_forgets_only_what_is_old(tmp_path: Path):
    import os

    store = ResultStore(tmp_path)
    assert ResultStore(tmp_path / "not there").prune() == 0
    store.put("old", b"1")
    store.put("new", b"1")
    for film in ("film-old", "film-new"):
        (tmp_path / film).mkdir()
        (tmp_path / film / "00000000-0.mp4").write_bytes(b"pictures")
    for old in ("old", "film-old"):
        os.utime(tmp_path / old, (0, 0))
    assert store.prune() == 2
    assert store.get("new") == b"1"
    assert store.get("old") is None
    assert not (tmp_path / "film-old").exists(), "a film that nobody finished keeps no node from starting"
    assert (tmp_path / "film-new" / "00000000-0.mp4").exists()


def test_what_another_process_takes_away_meanwhile_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import os

    store = ResultStore(tmp_path)
    for name in ("old", ".new-half", "gone", "removed"):
        (tmp_path / name).write_bytes(b"1")
        os.utime(tmp_path / name, (0, 0))
    stat, unlink = Path.stat, Path.unlink

    def taken_before(self: Path, **options: bool) -> os.stat_result:
        if self.name == "gone":
            unlink(self, missing_ok=True)
        return stat(self, **options)

    def taken_after(self: Path, missing_ok: bool = False) -> None:
        if self.name == "removed":
            unlink(self)
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "stat", taken_before)
    monkeypatch.setattr(Path, "unlink", taken_after)
    assert store.prune() == 2, "the old result, and what a killed run had half written"
    assert not list(tmp_path.iterdir())


class Falling(Counting):
    """Its engine's process ends at its first `falls` calls."""

    def __init__(self, falls: int) -> None:
        super().__init__()
        self.falls = falls

    def fill(self, utterance: Utterance) -> Utterance:
        if self.calls < self.falls:
            self.calls += 1
            raise EngineCrashed("It stopped (SIGKILL).", "The next request starts it again.")
        return super().fill(utterance)


def test_an_utterance_at_which_a_process_ended_is_done_again_and_told(tmp_path: Path):
    stage = Remembering(Falling(1), ResultStore(tmp_path / "jobs"))
    (done,) = stage.process(utterance())
    assert done.translation == filled().translation
    assert mishaps([stage]) == (
        "1 utterance (first at 1.0 s) was done again: the process of an engine ended in the stage 'count'.",
    )


def test_one_that_ends_it_twice_is_left_out_and_nothing_of_it_is_kept(tmp_path: Path):
    store = ResultStore(tmp_path / "jobs")
    stage = Remembering(Falling(2), store)
    (left,) = stage.process(utterance())
    assert (left.translation, list(stage.lost.items())) == (None, [(3, 1.0)])
    assert "is left out" in mishaps([stage])[0]
    (later,) = Remembering(Counting(), store).process(utterance())
    assert later.translation == filled().translation, "the next run tries it anew"
    assert later.key != left.key, "what later stages make of it is another result"


def test_two_of_them_are_told_together(tmp_path: Path):
    stage = Remembering(Falling(4), ResultStore(tmp_path / "jobs"))
    for index, start in ((1, 5.0), (2, 2.0)):
        list(stage.process(replace(utterance(str(index)), index=index, start=start)))
    assert mishaps([stage])[0].startswith("2 utterances (first at 2.0 s) are left out:")
