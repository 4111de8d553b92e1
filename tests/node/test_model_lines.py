"""What is told of models travels as plain JSON, and says nothing that it was not told."""

from __future__ import annotations

import msgspec

from node.model_lines import ModelLine, PlannedModel, Removed

LINE = ModelLine("mine", "asr", "MIT", "any", "missing", None, ("en",), ("small",), "hub: me/mine", "Hears.")
PLAN = PlannedModel("mine", "MIT", "any", "missing", (("model.onnx", 7),), 7, accepted=True)


def test_lines_read_back_from_json_as_they_were() -> None:
    for told in (LINE, PLAN, Removed("mine", 7)):
        assert msgspec.json.decode(msgspec.json.encode(told), type=type(told)) == told


def test_what_is_not_known_is_told_as_such() -> None:
    told = msgspec.to_builtins(LINE)
    assert told["bytes"] is None
    assert (told["lacks"], told["fault"], told["begun"], told["at_least"]) == ((), "", 0, 0)
    assert (PLAN.trouble, PLAN.kept) == ("", None)
    assert Removed("mine", 0).remark == ""
