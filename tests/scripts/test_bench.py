"""`make bench`: what it names is there, and what is measured once is not lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture
def bench(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    monkeypatch.delitem(sys.modules, "bench", raising=False)
    import bench

    return bench


def test_every_benchmark_is_there_and_takes_the_options_that_it_is_given(bench, repository: Path) -> None:
    for name in bench.NAMES:
        program = (repository / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
        for option in ("--json", *bench.PICTURES.get(name, ())[:1]):
            assert f'"{option}"' in program, f"{name} {option}"


def test_no_benchmark_is_named_twice_and_every_picture_is_one_of_them(bench) -> None:
    assert len(set(bench.NAMES)) == len(bench.NAMES)
    assert set(bench.PICTURES) <= set(bench.NAMES)
    assert {"watermark", "lips"} <= set(bench.NAMES)


def test_no_table_of_the_page_is_lost_when_another_is_measured(bench, repository: Path) -> None:
    _, line, below = (repository / "benchmarks" / "results.md").read_text(encoding="utf-8").partition(bench.LINE)
    assert line
    assert set(bench.sections(below)) <= set(bench.NAMES)


def test_sections_come_back_as_they_were_written(bench) -> None:
    first, second = "## asr\n\nwords\n", "## mt\n\n```text\na # b\n```\n"
    assert bench.sections(f"Machine: one.\n\n{first}\n{second}") == {"asr": first, "mt": second}


def test_an_unknown_name_is_refused_before_anything_runs(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.py", "watermrak"])
    monkeypatch.setattr(bench, "measure", lambda name: pytest.fail(name))
    with pytest.raises(SystemExit, match=r"no such benchmark: watermrak.*watermark"):
        bench.main()
