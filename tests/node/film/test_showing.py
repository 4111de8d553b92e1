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
from tests.ml.lips.streams import FACE
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
        assert showing.there == Shown()
    assert not list(tmp_path.iterdir())
    with Showing(Shown(tmp_path / "b.mp4"), probe(clip)) as showing, VideoReader(clip) as reader:
        for still in reader:
            showing.show(still, still.picture, ())
        assert showing.notes == ()
    assert showing.there == Shown(tmp_path / "b.mp4")
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
    with pytest.raises(CannotWrite, match="not written here"):
        Showing(Shown(tmp_path / "b.txt", tmp_path / "b.png"), info)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (Shown(sheet=Path("/proc/nope/x.png")), "/proc/nope/x.png cannot be written"),
        (Shown(preview=Path("/proc/nope/x.mp4")), "/proc/nope/x.mp4 cannot be written"),
        (Shown(preview=Path("x.txt")), "'.txt' videos are not written here"),
        (Shown(sheet=Path("/proc")), "/proc is a folder"),
    ],
)
def test_what_cannot_be_written_is_told_before_any_work(clip: Path, shown: Shown, said: str) -> None:
    for ask in (shown.check, lambda: Showing(shown, probe(clip))):
        with pytest.raises(CannotWrite) as told:
            ask()
        assert said in told.value.sentence
        assert told.value.remedy


def test_asking_whether_it_can_be_written_leaves_all_as_it_was(tmp_path: Path) -> None:
    shown = Shown(tmp_path / "b.mp4", tmp_path / "b.png")
    shown.check()
    assert not list(tmp_path.iterdir())
    (tmp_path / "b.png").write_bytes(b"an older one")
    shown.check()
    assert (tmp_path / "b.png").read_bytes() == b"an older one"
    Shown().check()


def test_a_sheet_that_does_not_fit_on_the_disk_is_told_and_the_older_one_stays(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b.png").write_bytes(b"an older one")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    def show() -> None:
        showing.choose([0])
        with VideoReader(clip) as reader:
            still = next(iter(reader))
        showing.show(still, still.picture, [FACE])

    showing = Showing(Shown(sheet=tmp_path / "b.png"), probe(clip))
    show()
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(CannotWrite, match=r"b\.png cannot be written: no space"):
            showing.close()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"b.png": b"an older one"}
    with Showing(Shown(sheet=tmp_path / "b.png"), probe(clip)) as showing:
        show()
    showing.close()
    assert showing.there == Shown(sheet=tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG"), "a second close does nothing"
