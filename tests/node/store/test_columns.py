"""Rows come back from their columns as they went in."""

import math
from enum import StrEnum
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.store.columns import Columns
from node.store.rows import DeliveryRow, JobRow, MetricRow, ModelRow, RoundRow, UpdateRow
from p2p.peers import PeerRecord

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
KINDS = (PeerRecord, ModelRow, RoundRow, UpdateRow, DeliveryRow, JobRow, MetricRow)


class Colour(StrEnum):
    RED = "red"


class Odd(msgspec.Struct, frozen=True, kw_only=True):
    """One column of every kind."""

    name: str
    colour: Colour = Colour.RED
    count: int = 0
    share: float | None = None
    many: tuple[str, ...] = ()


def rows(kind: type) -> st.SearchStrategy:
    real = st.floats(allow_nan=False)
    made = {
        str: TEXT,
        int: st.integers(-(2**63), 2**63 - 1),
        float: real,
        float | None: st.none() | real,
        tuple[dict[str, Any], ...]: st.lists(
            st.dictionaries(TEXT, st.floats(allow_nan=False, allow_infinity=False))
        ).map(tuple),
    }
    fields = {field.name: made[field.type] for field in msgspec.structs.fields(kind) if field.type in made}
    return st.builds(kind, **fields)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(data=st.data())
def test_every_row_comes_back(kind: type[msgspec.Struct], data: st.DataObject):
    row = data.draw(rows(kind))
    columns = Columns(kind)
    values = columns.values(row)
    assert columns.listed.count('"') == 2 * len(values)
    assert columns.places.count("?") == len(values)
    assert all(type(value) in (str, int, float, type(None)) for value in values)
    assert columns.row(values) == row


def test_a_column_holds_plain_text_and_json():
    assert Columns(Odd).values(Odd(name="n", many=("a", "b"))) == ("n", "red", 0, None, '["a","b"]')
    assert Columns(Odd).updated("name").startswith('"colour" = excluded."colour", ')


@pytest.mark.parametrize("wrong", [Odd(name="n", share=math.nan), Odd(name="n", count=2**63)])
def test_a_number_that_the_file_cannot_hold_is_refused(wrong: Odd):
    with pytest.raises(ValueError, match=r"Odd\.(share|count)"):
        Columns(Odd).values(wrong)


@pytest.mark.parametrize(
    "values",
    [
        ("n", "blue", 0, None, "[]"),
        ("n", "red", "0", None, "[]"),
        ("n", "red", 0, None, "no json"),
        ("n", "red", 0, None, None),
        (None, "red", 0, None, "[]"),
        ("n", "red", 0, None, "[1]"),
    ],
)
def test_values_that_are_no_row_are_refused(values: tuple):
    with pytest.raises(msgspec.ValidationError):
        Columns(Odd).row(values)
