"""A collection of speakers becomes people, and what is none is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.errors import BadAudio
from ml.federated.people import recorded
from tests.ml.federated.speakers import collection


def test_every_speaker_becomes_a_person(tmp_path: Path) -> None:
    people = recorded(collection(tmp_path))
    assert [(person.name, person.group) for person in people] == [("ann", "made"), ("bob", "made")]
    for person in people:
        assert len(person.speech.train) + len(person.speech.held_out) == 4
        assert person.speech.held_out
        assert [one.shape[1] for one in person.test] == [80, 80]
        learnt = {one.tobytes() for one in (*person.speech.train, *person.speech.held_out)}
        assert not learnt & {one.tobytes() for one in person.test}


def test_what_is_no_collection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadAudio, match="no collection of speakers"):
        recorded(tmp_path)
    (tmp_path / "manifest.json").write_text('[{"file": 3}]')
    with pytest.raises(BadAudio, match="no collection of speakers"):
        recorded(tmp_path)


def test_real_speakers_are_read(shared_speech: Path) -> None:
    people = recorded(shared_speech / "speakers")
    assert len(people) == 34
    assert all(person.speech.train and person.speech.held_out and person.test for person in people)
