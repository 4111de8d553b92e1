"""Pictures for a sheet are taken evenly, and only where they are wanted."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import CannotWrite
from ml.video.probe import probe
from ml.video.read import VideoReader
from node.film.showing import ON_SHEET, Showing, Shown
from tests.ml.video.clips import Recipe, make


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("show") / "a.mp4", Recipe(count=4))


@given(count=st.integers(0, 200))
def test_a_sheet_is_taken_evenly_from_all_that_moves(clip: Path, count: int) -> None:
    moving = list(range(100, 100 + 3 * count, 3))
    showing = Showing(Shown(sheet=Path("a.png")), probe(clip))
    showing.choose(moving)
    taken = [at for at in range(1000) if showing.wants(at)]
    assert set(taken) <= set(moving)
    assert min(count, ON_SHEET // 2) <= len(taken) <= ON_SHEET
    apart = {one - other for other, one in pairwise(taken)}
    assert len(apart) <= 1
    showing.close()
    assert not Path("a.png").exists(), "nothing was shown"


def test_where_nothing_was_shown_there_is_nothing_and_a_note(clip: Path, tmp_path: Path) -> None:
    with Showing(Shown(tmp_path / "b.mp4", tmp_path / "b.png"), probe(clip)) as showing:
        assert showing.notes == ("No lips are new, so there is no preview and no sheet.",)
    assert not list(tmp_path.iterdir())
    with Showing(Shown(tmp_path / "b.mp4"), probe(clip)) as showing, VideoReader(clip) as reader:
        for still in reader:
            showing.show(still, still.picture, ())
        assert showing.notes == ()
    assert probe(tmp_path / "b.mp4").width == 2 * probe(clip).width


def test_nothing_is_wanted_where_nobody_asks_and_everything_for_a_preview(clip: Path, tmp_path: Path) -> None:
    info = probe(clip)
    nothing = Showing(Shown(), info)
    nothing.choose([1, 2])
    assert not nothing.wants(1)
    stopped = Showing(Shown(preview=tmp_path / "b.mp4"), info)
    assert stopped.wants(0)
    stopped.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not list(tmp_path.iterdir())
    with pytest.raises(CannotWrite):
        Showing(Shown(preview=tmp_path / "b.txt"), info)
