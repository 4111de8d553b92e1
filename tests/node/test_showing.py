"""Pictures for a sheet are taken evenly, and only where they are wanted."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import CannotWrite
from ml.video.probe import probe
from node.showing import ON_SHEET, Showing, Shown
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
