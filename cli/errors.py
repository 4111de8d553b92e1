"""What can go wrong at the door, as sentences a person can act on.

    CliError
    +-- BadUsage             arguments that contradict each other, or name nothing
    +-- NodeSaidNo           the running node understood and refused
    +-- NoAnswer             the running node does not answer, or not in words that are understood

Errors of the other rooms (`ml.errors`, `node.errors`, `p2p.errors`) come through the door unchanged: all of them carry
`sentence` and `remedy`, and all end the command with exit code 2. This module knows nothing of how errors are shown.
"""

from __future__ import annotations


class CliError(Exception):
    """A command could not be understood or shown."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        """`sentence` says what is wrong, `remedy` what to do about it."""
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy


class BadUsage(CliError):
    """Arguments that contradict each other, or name nothing."""


class NodeSaidNo(CliError):
    """The running node answered with an error of its own; the sentence is the node's."""


class NoAnswer(CliError):
    """A running node that does not answer."""
