"""What can go wrong at the gate, as sentences a person can act on.

    P2pError

The gate carries no bytes yet: the root stands here so that whoever calls the gate has one class to catch, and the
branches come with the transport. This module knows nothing of how errors are shown.
"""

from __future__ import annotations


class P2pError(Exception):
    """Something between this node and its peers could not be done."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        """`sentence` says what is wrong, `remedy` what to do about it."""
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
