"""A report says how it came about, in a command that can be typed again."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from node.simulation.origin import ROOT, command, commit, machine, origin
from node.simulation.wish import Cut, Wish


def test_the_command_names_what_is_not_usual_and_nothing_else() -> None:
    assert command(Wish(), Cut()) == "node simulate"
    wish = Wish(peers=7, hostile="0.3:alie", control=False, speech=Path("my voices"))
    assert command(wish, Cut(threads=2)) == (
        "node simulate --peers 7 --hostile 0.3:alie --speech 'my voices' --no-control --threads 2"
    )


def test_everything_is_said() -> None:
    told = origin(Wish(), Cut())
    assert list(told) == ["command", "babelmesh", "machine", "libraries", "finished"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", told["finished"])
    assert "torch" in told["libraries"]
    assert re.search(r"\d+ cores", machine())
    assert commit(ROOT) in told["babelmesh"]


def test_a_checkout_has_a_commit_and_a_package_says_that_it_has_none(tmp_path: Path) -> None:
    assert commit(tmp_path) == "no checkout"
    (tmp_path / ".git").mkdir()
    assert commit(tmp_path) == "a checkout of unknown commit"
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    (tmp_path / "one").write_text("1")
    for words in (("init", "-q"), ("add", "one"), (*who, "commit", "-qm", "one")):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    assert re.fullmatch(r"commit [0-9a-f]{12}", commit(tmp_path))
    (tmp_path / "one").write_text("2")
    assert commit(tmp_path).endswith("-dirty")
