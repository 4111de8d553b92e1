"""A table of figures: counts whole, the rest in as many digits as anybody reads."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

Rows = Mapping[str, Mapping[str, float | int]]


def figures_table(title: str, rows: Rows, names: Mapping[str, str] | None = None) -> Table:
    """A row of figures for each name; `names` are the columns and their headings, unset: those of the first row."""
    names = names or {name: name for name in next(iter(rows.values()))}
    result = Table(title=title)
    for heading in ("", *names.values()):
        result.add_column(heading, justify="right" if heading else "left")
    for row, values in rows.items():
        result.add_row(row, *(told(values.get(name)) for name in names))
    return result


def told(value: float | int | None) -> str:
    """A figure as it is read; a dash where there is none."""
    if value is None or value != value:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
