"""The whole pipeline from stages: how the sound was chunked must not change a word."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.endpoint import Endpointer
from ml.engines.protocols import AsrOptions
from ml.speech.items import Utterance
from ml.speech.recognise import Recognise
from ml.speech.segment import Segmenter, Slots
from ml.speech.speak import Speak
from ml.speech.stage import Filling, Stage, chain
from ml.speech.tint import Tint
from ml.speech.translate import Translate
from tests.fakes import CountingAsr, HalfMatcher, LevelActivity, ToneTts, UpperMt, silence, tone

SOUND = np.concatenate([silence(0.4), tone(1.1), silence(1.0), tone(0.6), silence(0.8), tone(2.3), silence(0.7)])


def pipeline() -> list[Stage]:
    matcher = HalfMatcher()
    return [
        Segmenter(LevelActivity(), Endpointer()),
        Slots(),
        Filling(Recognise(CountingAsr(), AsrOptions())),
        Filling(Translate(UpperMt(), "en", "es")),
        Filling(Speak(ToneTts(0.08), "es", matcher.delivery)),
        Filling(Tint(matcher)),
    ]


def told(utterances: list[Utterance]) -> list[tuple]:
    return [
        (u.index, u.start, u.end, u.room, u.key, u.transcript, u.translation, u.fit, u.dub.audio.samples.tobytes())
        for u in utterances
    ]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 20000), min_size=1, max_size=40))
def test_chunks_of_any_size_give_the_same_translation(sizes: list[int]):
    cuts = np.cumsum(sizes)
    whole = told(list(chain(pipeline(), [SOUND])))
    parts = told(list(chain(pipeline(), np.split(SOUND, cuts[cuts < len(SOUND)]))))
    assert len(whole) == 3
    assert whole == parts


def test_each_stage_adds_its_part():
    first = next(iter(list(chain(pipeline(), [SOUND]))))
    assert first.transcript.text == "1.1 seconds"
    assert first.transcript.words[0].start >= first.start
    assert first.translation.text == "1.1 SECONDS"
    assert first.translation.route == ("en", "es")
    assert first.speech is not None
    np.testing.assert_allclose(first.dub.audio.samples, first.speech.audio.samples * 0.5)
    assert first.likeness.similarity_after < first.likeness.similarity_before
    assert abs(first.likeness.f0_before - 120) < 5


def test_keys_follow_from_sound_and_stages():
    one = list(chain(pipeline(), [SOUND]))
    other = pipeline()
    other[4] = Filling(Speak(ToneTts(0.08), "es", lambda speed: HalfMatcher().delivery(speed * 1.01)))
    two = list(chain(other, [SOUND]))
    assert all(a.key != b.key for a, b in zip(one, two, strict=True))
    assert len({u.key for u in one}) == 3
