"""The page of models says what the catalogue says."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.models.catalogue import Catalogue
from ml.models.page import BEGIN, END, TASKS, main, rewritten, tables
from tests.ml.models.published import hub_entry

PAGE = Path(__file__).resolve().parents[3] / "docs" / "models.md"


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == rewritten(text, Catalogue.load()), "run: .venv/bin/python -m ml.models.page docs/models.md"


def test_every_model_is_in_a_table() -> None:
    told = tables(Catalogue.load())
    assert all(f"`{entry.name}`" in told for entry in Catalogue.load().model)
    assert {entry.task for entry in Catalogue.load().model} <= TASKS.keys()


def test_what_limits_its_use_stands_out(tmp_path: Path) -> None:
    entry = hub_entry(use="non-commercial", terms="Not for money.", licence="CC-BY-NC-4.0", memory={"float32": 10**9})
    assert tables(Catalogue((entry,))).splitlines()[-1] == (
        "| [`listener`](https://huggingface.co/someone/listener) | any | 1.00 GB float32 "
        "| **CC-BY-NC-4.0** (non-commercial) |  |"
    )


def test_only_what_is_between_the_marks_changes(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main([str(path)]) == 0
    text = path.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    with pytest.raises(ValueError, match="models: begin"):
        rewritten("nothing", Catalogue())
