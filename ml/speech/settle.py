"""Settles the language of a recording that nobody said: from its first utterances, then for good.

One utterance alone is too little: of a short one recognisers tell the wrong language often, and much of what opens a
recording is short ("Okay. So."). So the first utterances wait, three with words in them or all of the first thirty
seconds, and the language in which most seconds of them were spoken is it; by seconds and not by count, because a
long utterance is told from another language more surely than a short one. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ml.languages import find, known
from ml.speech.items import Utterance

UTTERANCES = 3
"""With words in them, that are waited for."""
SECONDS = 30.0
"""Of the input, after which none is waited for any more."""


class Settle:
    """A `Stage` that holds the first utterances back until the language is settled."""

    name = "language"

    def __init__(self, settled: Callable[[str], None]) -> None:
        """`settled` is told the language (BCP 47), once an input, before the first utterance goes on."""
        self._settled = settled
        self._held: list[Utterance] | None = []

    def process(self, item: Utterance) -> Iterable[Utterance]:
        """Hold it, or let it go on. Raises what `settled` raises."""
        if self._held is None:
            yield item
            return
        self._held.append(item)
        wordy = sum(spoken_in(one) is not None for one in self._held)
        if wordy >= UTTERANCES or (wordy and item.end >= SECONDS):
            yield from self._let_go()

    def flush(self) -> Iterable[Utterance]:
        """The input was short: settled by what there is. Without any word nothing is settled."""
        if self._held is not None:
            yield from self._let_go()
        self._held = []

    def _let_go(self) -> Iterator[Utterance]:
        held, self._held = self._held or [], None
        language = main_language(held)
        if language is not None:
            self._settled(language)
        yield from held


def spoken_in(utterance: Utterance) -> str | None:
    """The tag of the language in which words were heard; None where there were none, or nobody told their language."""
    heard = utterance.transcript
    if heard is None or not heard.text.strip() or not known(heard.language):
        return None
    return find(heard.language).tag


def main_language(utterances: Iterable[Utterance]) -> str | None:
    """The language in which most seconds were spoken; of equals the one that was heard first."""
    seconds: dict[str, float] = {}
    for one in utterances:
        if (language := spoken_in(one)) is not None:
            seconds[language] = seconds.get(language, 0.0) + one.end - one.start
    return max(seconds, key=lambda language: seconds[language], default=None)
