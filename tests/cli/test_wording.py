"""Errors in the words of the command line."""

from __future__ import annotations

import pytest

from cli.app import commands, run
from cli.start import Wishes
from cli.wording import OPTIONS, help_of, in_options, instead
from node.complaints import MEND


@pytest.mark.parametrize(
    ("sentence", "arguments", "told", "remedy"),
    [
        (
            "train.rounds: expected a whole number of at least 0.",
            ["start", "--rounds", "-1"],
            "--rounds: expected a whole number of at least 0.",
            "Give --rounds a whole number of at least 0.",
        ),
        (
            "node.api: expected a whole number of at most 65535.",
            ["start", "--port=99999"],
            "--port: expected a whole number of at most 65535.",
            "Give --port a whole number of at most 65535.",
        ),
        (
            "/home/me/babelmesh.toml:3: train.alpha: expected a number, got text.",
            ["start", "--alpha", "0.5"],
            "/home/me/babelmesh.toml:3: train.alpha: expected a number, got text.",
            "Write a number there.",
        ),
        (
            "node.peers: 'ana' is not an address.",
            ["start", "--peer", "ana"],
            "--peer: 'ana' is not an address.",
            MEND,
        ),
    ],
)
def test_what_was_said_here_is_called_as_it_is_called_here(
    sentence: str, arguments: list[str], told: str, remedy: str
) -> None:
    assert in_options(sentence, MEND, arguments) == (told, remedy)


def test_the_names_are_those_of_the_options() -> None:
    options = {"--" + name.replace("_", "-") for name in Wishes.__dataclass_fields__} | {"--batch"}
    assert set(OPTIONS.values()) <= options


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["peers", "trust"], "See: node peers trust --help"),
        (["peers", "trust", "ana", "--wait"], "See: node peers trust --help"),
        (["peers", "turst", "ana"], "See: node peers --help"),
        (["stats", "--wach"], "See: node stats --help"),
        (["id", "list"], "See: node id --help"),
        (["nonsense"], "See: node --help"),
        ([], "See: node --help"),
    ],
)
def test_the_help_named_is_the_commands_own(arguments: list[str], told: str) -> None:
    assert help_of(commands(), arguments) == told


def test_a_usage_error_names_the_help_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands():
        assert run([*words.split(), "--no-such-option"]) == 2
        assert f"See: node {words} --help" in capsys.readouterr().err
        assert run([*words.split(), "--help"]) == 0
        capsys.readouterr()


def test_an_example_in_a_remedy_stays() -> None:
    sentence = "/home/me/babelmesh.toml:2: engines.compile: expected one of auto, off, on."
    assert in_options(sentence, 'Write compile = "auto".', ["start"])[1] == 'Write compile = "auto".'


def test_a_name_that_is_nearly_right_is_told_else_what_there_is() -> None:
    known = ("whisper-small", "whisper-tiny", "opus-mt-en-es")
    assert instead("whisper-smal", known) == "Did you mean whisper-small or whisper-tiny?"
    assert instead("opus-mt-en-es", known, "See the list.") == "Did you mean opus-mt-en-es?"
    assert instead("zz", known) == "Those are: whisper-small, whisper-tiny, opus-mt-en-es."
    assert instead("zz", known, "See the list.") == "See the list."
