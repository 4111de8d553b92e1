"""A folder is one simulation's: it is not taken for another's, and nothing that is no simulation is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import BadRequest
from node.simulation.cast import cast
from node.simulation.kept import Kept
from node.simulation.wish import Cut, Wish
from tests.node.simulation.test_page import outcome

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
