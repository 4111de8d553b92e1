"""On threads and a real clock pictures leave in order, each once, whether or not there was time for their lips."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Event, active_count

import numpy as np
import pytest

from ml.errors import EngineFailed
from ml.lips.live import LiveLips, LiveOptions
from ml.lips.types import Face, Mouth, Patch, Picture
from node.film.live_film import LiveFilm, Taken
from tests.ml.lips.streams import Painter, Watcher, plain, speech

COUNT = 30


def taken(count: int = COUNT, gap: float = 0.002) -> Iterator[Taken]:
    """Pictures that are taken as fast as one may."""
    for index in range(count):
        yield Taken(time.monotonic(), plain(index))
        time.sleep(gap)


def live(watcher: Watcher | None = None, painter: Painter | None = None, delay: float = 0.05) -> LiveFilm:
    chosen = painter or Painter()
    return LiveFilm(LiveLips(watcher or Watcher(), lambda: chosen, LiveOptions(delay)), time.monotonic)


def test_all_pictures_leave_in_order_no_sooner_than_their_time() -> None:
    painter = Painter()
    film = live(painter=painter, delay=0.1)
    film.say(time.monotonic() - 1, speech(30))
    left = []
    for each in film.run(taken()):
        left.append(each.index)
        assert time.monotonic() >= each.time + 0.1 - 1e-6
        if each.fate != "moved":
            assert np.array_equal(each.picture, plain(each.index))
    report = film.report()
    assert left == list(range(COUNT))
    assert report.pictures == COUNT
    assert report.waited.p50 >= 99.5
    assert painter.drawn


def test_while_one_mouth_takes_for_ever_pictures_go_on_leaving_unchanged() -> None:
    release = Event()

    class Slow(Painter):
        def render(self, index: int, picture: Picture, face: Face, mouth: Mouth) -> Patch | None:
            release.wait()
            return super().render(index, picture, face, mouth)

    film = live(painter=Slow())
    film.say(time.monotonic() - 1, speech(30))
    left = []
    for each in film.run(taken()):
        left.append(each)
        assert np.array_equal(each.picture, plain(each.index))
        if len(left) == COUNT:
            release.set()
    assert [each.index for each in left] == list(range(COUNT))
    assert film.report().moved == 0


def test_who_takes_pictures_back_too_slowly_makes_the_source_wait_and_nothing_is_lost() -> None:
    moment = [0.0]
    lips = LiveLips(Watcher(), Painter, LiveOptions(0.1))
    film = LiveFilm(lips, lambda: moment[0])
    most, given = 0, 0

    def pictures() -> Iterator[Taken]:
        nonlocal given
        for index in range(200):
            moment[0] = max(moment[0], index / 25)
            given += 1
            yield Taken(index / 25, plain(index))

    left = []
    for each in film.run(pictures()):
        left.append(each.index)
        most = max(most, given - len(left))
        moment[0] += 0.1  # an encoder that is slower than the camera
    assert left == list(range(200))
    assert most <= 18, "(0.1 + 0.5 s) * 25 pictures, and those at the doors"
    assert film.report().waited.most > 100


def test_words_may_come_bit_by_bit_from_another_place() -> None:
    painter = Painter()
    film = live(painter=painter, delay=0.2)
    film.begin(time.monotonic() - 1)
    film.grow(speech(20).values)
    film.end()
    film.sounded(time.monotonic() - 0.2)
    assert len(list(film.run(taken()))) == COUNT
    assert painter.drawn


@pytest.mark.parametrize("where", ["tracker", "renderer", "pictures"])
def test_what_goes_wrong_on_a_thread_is_told_to_who_takes_the_pictures(where: str) -> None:
    class Broken(Watcher):
        def follow(self, picture: Picture) -> tuple[Face, ...]:
            if where == "tracker" and self.seen == 5:
                raise EngineFailed("tracker")
            return super().follow(picture)

    class Torn(Painter):
        def render(self, index: int, picture: Picture, face: Face, mouth: Mouth) -> Patch | None:
            if where == "renderer":
                raise EngineFailed("renderer")
            return super().render(index, picture, face, mouth)

    def pictures() -> Iterator[Taken]:
        yield from taken(20)
        if where == "pictures":
            raise EngineFailed("pictures")
        yield from taken(200)

    before = active_count()
    film = live(Broken(), Torn(), delay=0.2)
    film.say(time.monotonic() - 1, speech(30))
    with pytest.raises(EngineFailed, match=where):
        list(film.run(pictures()))
    assert active_count() == before


def test_whoever_has_seen_enough_may_go() -> None:
    before = active_count()
    film = live()
    stream = film.run(taken(10_000))
    assert next(stream).index == 0
    stream.close()
    assert active_count() == before
    with pytest.raises(ValueError, match="runs once"):
        next(film.run(taken()))


def test_a_second_stream_is_refused_while_the_first_goes_on() -> None:
    film = live()
    first, second = film.run(taken()), film.run(taken())
    assert next(first).index == 0
    with pytest.raises(ValueError, match="runs once"):
        next(second)
    assert [each.index for each in first] == list(range(1, COUNT))


def test_a_stream_without_pictures_is_over() -> None:
    assert list(live().run(iter(()))) == []
