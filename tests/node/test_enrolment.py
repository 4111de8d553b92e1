"""Getting to know a voice."""

import pytest

from node.enrolment import Enrolment, voice_facts
from node.errors import BadRequest
from tests.fakes import fake_node


@pytest.fixture
def demo(repository):
    return repository / "examples" / "audio" / "demo.flac"


def add(node, name, *recordings, replace=False, keep_recordings=False):
    enrolment = Enrolment(node.registry, node.voices)
    return enrolment.add(
        name, recordings, "es", lambda *step: None, replace=replace, keep_recordings=keep_recordings
    )  # fmt: skip


def test_facts_of_a_voice(tmp_path, demo):
    with fake_node(tmp_path) as node:
        facts = add(node, "reader", demo)
        assert facts == voice_facts("reader", node.voices)
        assert facts.trusted
        assert 80 < facts.f0_median < 200
        assert facts.recordings_kept == 0
        assert dict(facts.rows())["speech heard"].endswith(" s")
        assert not list(node.voices.path("reader").parent.glob("*.recordings"))


def test_sound_is_kept_only_when_asked(tmp_path, demo):
    with fake_node(tmp_path) as node:
        assert add(node, "reader", demo, keep_recordings=True).recordings_kept == 3


def test_a_voice_is_not_replaced_by_accident(tmp_path, demo, repository):
    with fake_node(tmp_path) as node:
        first = add(node, "reader", demo)
        with pytest.raises(BadRequest, match="already"):
            add(node, "reader", demo)
        assert add(node, "reader", repository / "examples" / "audio" / "lj.flac", replace=True).seconds != first.seconds
