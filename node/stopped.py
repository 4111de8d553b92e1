"""The end that a user asked for (Ctrl-C), with what is kept of the work that was under way.

Whoever stops work and knows what is left of it raises `Stopped`; the door shows it. Knows no work and no signals.
"""

from __future__ import annotations


class Stopped(KeyboardInterrupt):
    """A KeyboardInterrupt that says what is kept."""

    def __init__(self, sentence: str, remedy: str) -> None:
        """`sentence` says what is kept and what is lost, `remedy` how it goes on."""
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
