"""Pictures leave in order, each once, at its time, whatever the work takes; with lips where there was time for them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.curves import CurveStream, curves
from ml.lips.geometry import measure
from ml.lips.live import LiveLips, LiveOptions, Work
from ml.lips.mouths import Habit, mouths
from ml.lips.pace import PaceOptions
from ml.lips.placed import placed
from ml.lips.presets import PRESETS
from ml.lips.rehearsal import Event, rehearse
from ml.lips.renderers import renderer_at
from ml.lips.saying import AROUND
from ml.lips.types import put
from ml.types import Audio, Phoneme, Speech
from tests.ml.lips.portrait import face, portrait
from tests.ml.lips.streams import BOX, FACE, Painter, Stream, Watcher, even, painting, speech, timed

HABIT = Habit()


def box(picture: np.ndarray) -> np.ndarray:
    x, y, width, height = BOX
    return picture[y : y + height, x : x + width]


streams = st.builds(
    Stream,
    times=st.lists(st.floats(0.008, 0.15), min_size=1, max_size=60).map(lambda steps: list(np.cumsum(steps))),
    said=st.lists(
        st.tuples(st.floats(0, 4), st.floats(-0.5, 4), st.floats(0.1, 2)).map(
            lambda one: (one[0], max(0.0, one[0] + one[1] - 1), speech(one[2]))
        ),
        max_size=4,
    ),
)


@settings(deadline=None, max_examples=60)
@given(
    stream=streams,
    delay=st.floats(0.05, 0.5),
    costs=st.lists(st.floats(0, 0.4), min_size=1, max_size=9),
    blind=st.lists(st.integers(0, 60), max_size=10),
)
def test_whatever_work_costs_pictures_leave_in_order_each_once_and_at_their_time(stream, delay, costs, blind) -> None:
    lips, painters = painting(LiveOptions(delay), blind=blind)
    left = stream.run(lips, lambda work: costs[work.index % len(costs)])
    assert [each.index for each in left] == list(range(len(stream.times)))
    assert [each.time for each in left] == list(stream.times)
    for each, entered in zip(left, stream.entered, strict=True):
        same = np.array_equal(each.picture, entered)
        if each.fate != "moved":
            assert same, each.fate
            assert not each.patches
        else:
            outside = each.picture.copy()
            box(outside)[:] = box(entered)
            assert np.array_equal(outside, entered)
            assert not same
    report = lips.report()
    assert report.pictures == len(left)
    counts = Counter(each.fate for each in left)
    assert (report.moved, report.late, report.audio_only) == (counts["moved"], counts["late"], counts["audio only"])
    assert abs(report.waited.most - delay * 1000) < 1e-3, "no picture waits longer, and none less long"
    assert abs(report.skew.most) < 1e-3
    assert len(lips) == 0
    assert len(painters) <= 1


def test_lips_are_moved_while_something_is_said_and_around_it() -> None:
    stream = Stream(even(4), [(0.5, 1.0, speech(1.5))])
    lips, (*_,) = painting()
    left = stream.run(lips, 0.002)
    ours = [1.0 - AROUND <= each.time < 2.5 + AROUND for each in left]
    assert [each.fate == "moved" for each in left] == ours
    assert {each.fate for each in left} == {"moved", "silent"}
    assert lips.report().curves == "phonemes"


@settings(deadline=None, max_examples=25)
@given(
    said=st.lists(st.tuples(st.floats(0.1, 3.5), st.floats(0.1, 1.2), st.integers(0, 99)), min_size=1, max_size=3),
    rate=st.sampled_from([15, 24, 25, 29.97, 50]),
    delay=st.floats(0.05, 0.5),
)
def test_with_time_enough_the_mouths_are_those_of_a_film(said, rate: float, delay: float) -> None:
    times = [index / rate for index in range(round(4 * rate))]
    pieces = [(start, speech(seconds, seed)) for start, seconds, seed in said]
    lips, painters = painting(LiveOptions(delay, habit=HABIT))
    Stream(times, [(0.0, start, values) for start, values in pieces]).run(lips, 0.001)
    film = mouths(placed(sorted(pieces, key=lambda piece: piece[0]), 5.0), times, HABIT)
    assert painters[0].drawn
    for index, mouth in painters[0].drawn:
        if index < len(times) - round(0.2 * rate):  # at the end live lips still expect other pictures
            want = film[index]
            assert mouth.gap == pytest.approx(want.gap, abs=1e-6)
            assert mouth.half_width == pytest.approx(want.half_width, abs=1e-6)
            assert mouth.press == pytest.approx(want.press, abs=1e-6)


@pytest.mark.parametrize("name", ["warp", "bank"])
def test_with_time_enough_the_pictures_are_those_that_the_renderer_draws_without_a_clock(name) -> None:
    picture, found = portrait(0.6)
    times = even(1.2)
    pictures = [np.roll(picture, shift % 5, axis=1) for shift in range(len(times))]
    faces = [face(found.points + np.array([shift % 5, 0, 0], np.float32)) for shift in range(len(times))]
    values = speech(1.0)
    renderer = renderer_at(name, PRESETS["balanced"])
    wished = mouths(placed([(0.0, values)], 1.2), times, HABIT)
    expected = []
    for index, (before, seen, mouth) in enumerate(zip(pictures, faces, wished, strict=True)):
        renderer.offer(index, before, seen)
        patch = renderer.render(index, before, seen, mouth)
        after = before.copy()
        assert patch is not None
        put(after, patch)
        expected.append(after)

    class Told(Watcher):
        def follow(self, picture):
            self.seen += 1
            return (faces[self.seen - 1],)

    lips = LiveLips(Told(), lambda: renderer_at(name, PRESETS["balanced"]), LiveOptions(habit=HABIT))
    left = Stream(times, [(0.0, 0.0, values)], picture=lambda index: pictures[index]).run(lips)
    assert {each.fate for each in left} == {"moved"}
    apart = [np.abs(each.picture.astype(int) - want).max() for each, want in zip(left[:-3], expected, strict=False)]
    assert max(apart) <= 1, "of 255 levels"


def test_curves_that_come_bit_by_bit_give_what_the_whole_gives() -> None:
    phonemes = [Phoneme(symbol, at / 10, at / 10 + 0.1) for at, symbol in enumerate("mamapobafatimoma")]
    whole = Speech(Audio(np.zeros(25_600, np.float32)), "", "es", "test", (), tuple(phonemes))
    parts = [
        Speech(Audio(np.zeros(1600, np.float32)), "", "es", "test", (), (Phoneme(one.symbol, 0, 0.1),))
        for one in phonemes
    ]
    times = even(3)
    lips, painters = painting(LiveOptions(0.3, habit=HABIT))
    Stream(times, [(0.4, 0.5, curves(whole))]).run(lips)
    bits, others = painting(LiveOptions(0.3, habit=HABIT))
    stream = CurveStream()
    events = [Event(0.3, lambda now: bits.begin(now, 0.5))]
    events += [
        Event(0.35 + at / 20, lambda now, part=part: bits.grow(now, stream.add(part))) for at, part in enumerate(parts)
    ]
    events += [Event(1.3, lambda now: bits.grow(now, stream.finish())), Event(1.3, lambda now: bits.end(now))]
    events += [Event(at, lambda now, at=at: bits.enter(now, at, np.zeros((40, 60, 3), np.uint8))) for at in times]
    left = list(rehearse(bits, sorted(events, key=lambda event: event.at), timed(0.001)))
    assert {each.fate for each in left} == {"silent", "moved"}
    drawn = dict(others[0].drawn)
    for index, mouth in painters[0].drawn:
        assert drawn[index].gap == pytest.approx(mouth.gap, abs=1e-6)
        assert drawn[index].press == pytest.approx(mouth.press, abs=1e-6)


def test_pictures_pass_where_what_is_said_is_not_known_in_time_and_that_is_no_want_of_time() -> None:
    lips, _ = painting()
    times = even(3)
    events = [Event(at, lambda now, at=at: lips.enter(now, at, np.zeros((40, 60, 3), np.uint8))) for at in times]
    events += [Event(0.9, lambda now: lips.begin(now, 1.0)), Event(1.5, lambda now: lips.grow(now, speech(1).values))]
    events += [Event(1.6, lambda now: lips.end(now))]
    left = list(rehearse(lips, sorted(events, key=lambda event: event.at), timed(0.012)))
    report = lips.report()
    unknown = [each.time for each in left if each.fate == "unknown"]
    assert min(unknown) == pytest.approx(0.88), "until then lips are at rest, and that is known"
    assert max(unknown) <= 1.5 - 0.2 + 0.1 + 0.04
    assert report.spells == report.late == report.audio_only == 0
    assert report.moved > 0.8 * 25
    assert sum(each.late for each in report.seconds) == len(unknown)


@pytest.mark.parametrize(("kind", "cost"), [("draw", 0.2), ("look", 0.25)])
def test_when_work_takes_too_long_lips_are_given_up_and_come_back_when_it_does_not(kind: str, cost: float) -> None:
    slow = lambda work: cost if 4.0 < times[work.index] < 8.0 and work.kind == kind else 0.005  # noqa: E731
    times = even(16)
    lips, _ = painting(LiveOptions(0.2, pace=PaceOptions(rest=1.0)))
    left = Stream(times, [(0.0, 0.1, speech(15.5))]).run(lips, slow)
    fates = [each.fate for each in left]
    report = lips.report()
    shown = [fate == "moved" for fate in fates]
    assert all(shown[: 4 * 25])
    assert not any(shown[5 * 25 : 8 * 25])
    assert all(shown[14 * 25 : 15 * 25])
    assert report.late <= 3 * report.spells
    assert report.audio_only > 3 * 25
    changes = sum(one != other for one, other in zip(shown[1:], shown[:-1], strict=True))
    assert changes <= 2 * report.spells + 6, "late pictures apart, lips go and come back once"


@settings(deadline=None, max_examples=12)
@given(cost=st.floats(0.0, 0.2), look=st.floats(0.0, 0.08))
def test_lips_do_not_come_and_go_however_long_work_takes(cost: float, look: float) -> None:
    lips, _ = painting()
    left = Stream(even(12), [(0.0, 0.1, speech(11))]).run(lips, lambda work: cost if work.kind == "draw" else look)
    report = lips.report()
    if cost + look < 0.03:
        assert report.late == report.audio_only == 0
    assert report.spells <= 3, "each rest is twice as long as the one before"
    shown = [each.fate == "moved" for each in left]
    if cost + look > 0.045:
        assert report.audio_only + report.late > 0.5 * len(left)
    assert shown.count(True) + report.late + report.audio_only + report.silent + report.unknown == len(left)


def test_new_words_take_the_place_of_those_that_were_drawn() -> None:
    lips, _ = painting(LiveOptions(0.4, habit=HABIT))
    loud, quiet = speech(2.0), replace(speech(2.0), values=np.zeros_like(speech(2.0).values))
    left = Stream(even(3), [(0.0, 0.5, loud), (1.3, 1.0, quiet)]).run(lips, 0.001)
    later = [each for each in left if each.time >= 1.1]
    assert all(box(each.picture).max() <= 100 for each in later if each.fate == "moved")
    assert any(box(each.picture).max() > 130 for each in left if 0.6 < each.time < 0.95)


def test_what_is_being_drawn_while_other_words_come_is_not_shown() -> None:
    lips, painters = painting(LiveOptions(habit=HABIT))
    lips.say(0.0, 0.0, speech(1.0))
    lips.enter(0.25, 0.25, np.zeros((40, 60, 3), np.uint8))
    for kind in ("look", "draw"):
        work = lips.work(0.25)
        assert work is not None
        assert work.kind == kind
        work.run()
        if kind == "draw":
            lips.say(0.26, 0.0, replace(speech(1.0), values=np.full((101, 4), 0.7, np.float32)))
        lips.done(0.27, work, 0.02)
    again = lips.work(0.27)
    assert again is not None
    again.run()
    lips.done(0.28, again, 0.01)
    assert [mouth.gap > 0.1 for _, mouth in painters[0].drawn] == [False, True]
    (left,) = lips.leave(0.45)
    assert left.fate == "moved"
    assert box(left.picture).max() > 150


def test_words_that_come_too_late_for_the_pictures_that_wait_are_no_want_of_time() -> None:
    lips, _ = painting()
    said = [(at, at - 0.19, speech(0.6)) for at in (1.0, 2.5, 4.0, 5.5)]
    Stream(even(7), said).run(lips, lambda work: 0.035 if work.kind == "draw" else 0.001)
    report = lips.report()
    assert report.late == report.spells == report.audio_only == 0
    assert 1 <= report.unknown <= 12
    assert report.moved > 4 * 0.5 * 25


def test_no_work_is_begun_that_would_come_too_late() -> None:
    lips, _ = painting()
    work, begun = lips.work, []

    def watched(now: float) -> Work | None:
        found = work(now)
        if found is not None and lips._pace.expected(found.kind) > 0:
            begun.append((lips.due or 0.0) + (found.index - lips._queue[0].index) / 25 - now)
            assert lips._pace.expected(found.kind) <= begun[-1] + 1e-6
        return found

    lips.work = watched  # type: ignore[method-assign]
    Stream(even(6), [(0.0, 0.1, speech(5.5))]).run(lips, lambda work: 0.07 if work.kind == "draw" else 0.001)
    assert len(begun) > 100
    assert lips.report().spells


def test_lips_come_back_from_the_own_mouth_to_the_new_one() -> None:
    lips, painters = painting(LiveOptions(habit=HABIT))
    times = even(10)
    wide = replace(speech(10), values=np.tile(np.array([1.0, 0, 0, 0], np.float32), (1001, 1)))
    slow = lambda work: 0.3 if 2.0 < times[work.index] < 3.0 and work.kind == "draw" else 0.004  # noqa: E731
    left = Stream(times, [(0.0, 0.0, wide)]).run(lips, slow)
    back = next(each.index for each in left if each.time > 3.0 and each.fate == "moved")
    last = {}
    for index, mouth in painters[0].drawn:
        last[index] = mouth.gap
    own = max(0.0, measure(FACE.points).gap)
    assert last[back] == pytest.approx(own, abs=1e-6)
    steps = np.diff([last[index] for index in range(back, back + 6)])
    assert (steps > 0).all()
    assert last[back + 6] == pytest.approx(HABIT.opening, rel=0.01)
    seen = {each.index for each in left if each.fate == "audio only"}
    assert seen - set(painters[0].offered), "while lips rest, nobody looks at mouths"
    assert {each.index for each in left if each.fate == "moved"} <= set(painters[0].offered)


def test_lips_rest_where_nothing_is_said_if_that_is_wanted() -> None:
    lips, painters = painting(LiveOptions(habit=HABIT, rest=True))
    times = even(4)
    left = Stream(times, [(1.0, 1.5, speech(1.0))]).run(lips, 0.002)
    assert {each.fate for each in left} == {"moved"}
    film = mouths(placed([(1.5, speech(1.0))], 4.0), times, HABIT)
    last = dict(painters[0].drawn)
    for index in range(90):
        assert last[index].gap == pytest.approx(film[index].gap, abs=1e-6)
    assert last[10].gap == 0


def test_what_would_only_do_harm_keeps_its_pixels() -> None:
    painter = Painter(harm=range(30, 35))
    lips = LiveLips(Watcher(), lambda: painter)
    left = Stream(even(3), [(0.0, 0.0, speech(3))]).run(lips)
    assert [each.index for each in left if each.fate == "kept"] == list(range(30, 35))


def test_pictures_with_nobody_in_them_are_counted_as_such() -> None:
    lips, _ = painting(blind=range(10, 20))
    left = Stream(even(2), [(0.0, 0.0, speech(2))]).run(lips)
    assert [each.index for each in left if each.fate == "faceless"] == list(range(10, 20))


def test_all_faces_are_moved_when_all_are_asked_for_and_only_so_many_are_remembered() -> None:
    lips, painters = painting(LiveOptions(face="all"), faces=2)
    left = Stream(even(1), [(0.0, 0.0, speech(1))]).run(lips)
    assert all(len(each.patches) == 2 for each in left)
    assert len(painters) == 2
    lips.close()
    assert [painter.closed for painter in painters] == [1, 1]

    class Crowd(Watcher):
        def follow(self, picture):
            self.seen += 1
            return (replace(FACE, track=self.seen),)

    many: list[Painter] = []
    crowd = LiveLips(Crowd(), lambda: many.append(Painter()) or many[-1], LiveOptions(face="all"))
    Stream(even(4), [(0.0, 0.0, speech(4))]).run(crowd)
    assert len(many) == 100
    assert sum(painter.closed for painter in many) == 100 - len(crowd._speakers) >= 90


def test_the_habit_of_a_speaker_is_taken_on_slowly_and_one_that_is_told_stays() -> None:
    class Talker(Watcher):
        def follow(self, picture):
            self.seen += 1
            points = FACE.points.copy()
            points[[14, 87, 317], 1] += 12 * abs(np.sin(self.seen / 3)) if self.seen > 50 else 0
            return (face(points),)

    gaps = []
    for habit in (None, HABIT):
        painters: list[Painter] = []
        lips = LiveLips(Talker(), lambda all=painters: all.append(Painter()) or all[-1], LiveOptions(habit=habit))
        still = replace(speech(8), values=np.tile(np.array([0.5, 0, 0, 0], np.float32), (801, 1)))
        Stream(even(8), [(0.0, 0.0, still)]).run(lips)
        gaps.append([mouth.gap for index, mouth in painters[0].drawn if 10 < index < 190])
    learnt, told = np.array(gaps)
    assert np.ptp(told) < 1e-9
    assert learnt[-1] != pytest.approx(learnt[0], rel=0.05)
    assert np.abs(np.diff(learnt)).max() < 0.1 * np.ptp(learnt)


def test_memory_stays_the_same_however_long_a_stream_is() -> None:
    lips, _ = painting()
    most = 0
    blank = np.zeros((4, 4, 3), np.uint8)
    for index in range(2500):
        now = index / 25
        if index % 50 == 0:
            lips.say(now, now + 0.3, speech(1.5))
        lips.enter(now, now, blank)
        lips.leave(now)
        while (work := lips.work(now)) is not None:
            if work.kind == "draw":
                work.found = None
                lips._queue[0].given_up = True
                break
            work.run()
            lips.done(now, work, 0.001)
        most = max(most, len(lips))
    assert most <= 6
    assert len(lips._saying) <= 3
    assert len(lips._times) <= 240


def test_lips_take_time() -> None:
    with pytest.raises(ValueError, match="delay"):
        LiveOptions(0.0)


def test_skew_is_told_against_the_sound_that_is_heard() -> None:
    lips, _ = painting(LiveOptions(0.2))
    times = even(3)
    events = [Event(at, lambda now, at=at: lips.enter(now, at, np.zeros((40, 60, 3), np.uint8))) for at in times]
    events += [Event(1.21, lambda now: lips.sounded(now, 0.96))]
    list(rehearse(lips, sorted(events, key=lambda event: event.at), timed(0)))
    report = lips.report()
    assert report.waited.most == pytest.approx(200)
    assert report.skew.most == pytest.approx(-50), "sound is 50 ms late: pictures are early"
    assert report.seconds[0].skew.most == pytest.approx(0, abs=1e-6)
    assert report.seconds[2].skew.p50 == pytest.approx(-50)


def test_work_that_has_not_run_is_not_done_and_time_does_not_stand_still() -> None:
    lips, _ = painting()
    lips.enter(1.0, 1.0, np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="cannot follow"):
        lips.enter(1.0, 1.0, np.zeros((4, 4, 3), np.uint8))
    work = lips.work(1.0)
    assert isinstance(work, Work)
    with pytest.raises(ValueError, match="run a piece"):
        lips.done(1.0, work, 0.0)
