"""A folder is one simulation's: it is not taken for another's, and nothing that is no simulation is overwritten."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from node.errors import BadRequest
from node.simulation.cast import cast
from node.simulation.kept import Kept
from node.simulation.wish import Cut, Wish
from tests.node.simulation.outcomes import outcome

SETTINGS = {"rounds": 3, "speech": "<b>somewhere</b>"}


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "new", SETTINGS)
    assert kept.outcome() is None
    assert not (tmp_path / "new").exists(), "nothing is made before there is something to keep"


def test_an_outcome_comes_back_and_is_not_taken_for_another(tmp_path: Path) -> None:
    Kept(tmp_path, SETTINGS).finish(outcome())
    assert Kept(tmp_path, SETTINGS).outcome() == outcome()
    with pytest.raises(BadRequest, match="another rounds"):
        Kept(tmp_path, {**SETTINGS, "rounds": 4})


@pytest.mark.parametrize("name", ["result.json", "state.json"])
def test_something_else_in_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"mine": true}')
    with pytest.raises(BadRequest, match="no simulation"):
        Kept(tmp_path, SETTINGS)
    assert (tmp_path / name).read_text() == '{"mine": true}'


def test_the_newest_state_comes_back_and_older_ones_go(tmp_path: Path) -> None:
    stage = cast(Wish(peers=3, seconds=3), Cut(threads=1))
    kept, main = Kept(tmp_path, SETTINGS), stage.main()
    for _ in range(2):
        main.step()
        kept.save(outcome().rounds[: main.number], main, None)
    found = Kept(tmp_path, SETTINGS).resume(stage, control=False)
    assert found is not None
    rows, resumed, alone = found
    assert (len(rows), resumed.number, alone) == (2, 2, None)
    assert (resumed.personal() == main.personal()).all()
    assert [path.name for path in (tmp_path / "states").iterdir()] == ["2"]


@pytest.mark.parametrize("name", ["report.html", "plots.png", "states"])
def test_a_folder_with_files_of_somebody_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(BadRequest, match=f"holds '{name}', which is not of a simulation") as refused:
        Kept(tmp_path, SETTINGS)
    assert "--out" in refused.value.remedy
    assert (tmp_path / name).read_text() == "precious"


def test_what_a_stop_in_the_first_save_leaves_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "states" / "1").mkdir(parents=True)
    (tmp_path / ".new-abc").touch()
    assert Kept(tmp_path, SETTINGS).number == 0


def test_the_folder_of_an_earlier_simulation_may_hold_more(tmp_path: Path) -> None:
    Kept(tmp_path, SETTINGS).finish(outcome())
    (tmp_path / "notes.txt").write_text("mine")
    assert Kept(tmp_path, SETTINGS).number == 3


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_is_no_folder_and_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "plain").touch()
    with pytest.raises(BadRequest, match="plain is a file, not a folder") as refused:
        Kept(tmp_path / "plain" / below, SETTINGS)
    assert "--out" in refused.value.remedy


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(BadRequest, match="/proc/x cannot be written to: ") as refused:
        Kept(Path("/proc/x"), SETTINGS)
    assert "Errno" not in refused.value.sentence
    assert "--out" in refused.value.remedy


def test_a_disk_that_is_full_at_the_end_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    kept = Kept(tmp_path, SETTINGS)
    monkeypatch.setattr("node.simulation.kept.write_bytes", full)
    with pytest.raises(BadRequest, match="cannot be written to: no space left on device"):
        kept.finish(outcome())
