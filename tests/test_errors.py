"""The errors of every room look alike: one sentence, one remedy, one root, and a tree drawn at the top of the file."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

import cli.errors
import ml.errors
import node.errors
import p2p.errors

ROOTS = {
    ml.errors: ml.errors.MlError,
    node.errors: node.errors.NodeError,
    p2p.errors: p2p.errors.P2pError,
    cli.errors: cli.errors.CliError,
}
CLASSES = [
    kind
    for module in ROOTS
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if kind.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_carries_its_sentence_and_its_remedy(kind: type[Exception]) -> None:
    error = kind("The door is locked.", "Ring the bell.")
    assert (str(error), error.sentence, error.remedy) == (
        "The door is locked.",
        "The door is locked.",
        "Ring the bell.",
    )
    assert kind("The door is locked.").remedy == ""


@pytest.mark.parametrize("module", ROOTS, ids=lambda module: module.__name__)
def test_every_room_has_one_root_and_draws_its_tree(module: ModuleType) -> None:
    root = ROOTS[module]
    own = [kind for kind in CLASSES if kind.__module__ == module.__name__]
    assert all(issubclass(kind, root) for kind in own)
    drawn = [line.strip(" +-|").split()[0] for line in module.__doc__.split("\n\n")[1].splitlines()]
    assert sorted(drawn) == sorted(kind.__name__ for kind in own)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("one"), "one"),
        (ValueError("\n one \ntwo"), "one "),
        (RuntimeError(), "RuntimeError"),
        (RuntimeError(" \n"), "RuntimeError"),
        (ValueError("x" * 300), "x" * 200),
    ],
)
def test_of_another_programs_error_the_first_line_is_told(error: Exception, told: str) -> None:
    assert ml.errors.first_line(error) == told
    assert ml.errors.first_line(error, 3) == told[:3]
