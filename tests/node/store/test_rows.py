"""The words that are written into the file stay what they are: a later version must read them."""

import msgspec

from node.store.rows import BudgetState, Origin, Role, RoundRow, Verdict


def test_words_in_the_file():
    assert {role.value for role in Role} == {
        *("working", "whole", "best", "twin", "shared", "published"),
        *("control", "control-whole", "alone", "alone-twin"),
    }
    assert {state.value for state in BudgetState} == {"open", "spent", "closed"}
    assert {origin.value for origin in Origin} == {"genesis", "trained", "merged", "whole", "received", "sent"}
    assert {verdict.value for verdict in Verdict} == {"pending", "merged", "refused", "rejected", "replaced"}


def test_rows_go_through_json():
    row = RoundRow(
        number=1,
        began_at=1.5,
        seconds=2.0,
        frames=3,
        start="a",
        trained="b",
        adopted="c",
        rmse_start=3.0,
        rmse_trained=2.0,
        rmse_adopted=2.0,
        rmse_best=2.0,
        rmse_alone=None,
        mcd_best=None,
        merged=0,
        history=({"loss": 1.0},),
    )
    assert msgspec.json.decode(msgspec.json.encode(row), type=RoundRow) == row
