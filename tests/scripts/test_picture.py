from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from msgspec import to_builtins

from tests.fakes import sample_stats


@pytest.fixture
def picture(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    monkeypatch.delitem(sys.modules, "picture", raising=False)
    import picture

    return picture


def test_it_draws_what_a_home_tells_and_loads_nothing(picture, tmp_path: Path) -> None:
    svg = picture.picture(to_builtins(sample_stats(tmp_path)))
    assert "Ana" in svg
    assert "https://" not in svg.replace("https://www.w3.org", "")
    assert "@font-face" not in svg


def test_the_picture_in_the_documentation_is_not_the_tests_sample(repository: Path) -> None:
    svg = (repository / "docs" / "pictures" / "node-stats.svg").read_text()
    assert "node&#160;stats" in svg or "node stats" in svg
    assert "interview&#160;with&#160;the&#160;mayor" not in svg, "figures in the documentation are real ones"
    assert not re.search(r'href="http', svg)


def test_what_is_no_json_is_refused(picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("nothing"))
    with pytest.raises(SystemExit, match="no JSON"):
        picture.main()
