"""What all translators of fetched models share: a text becomes sentences, the sentences batches, the batches drafts,
the drafts a text again.

Batches hold sentences of like length and are bounded by tokens, so memory is; a sentence that comes twice is translated
once. Each draft is looked over (`faults.py`): one with a fault is tried again without repetitions, then in halves; the
best is kept, and trusted by 0 if it still shows one. Glossary terms: see `glossary.py`. Knows no network: a `Body` is
one.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ml.engines.faults import fault
from ml.engines.generation import Search
from ml.engines.glossary import MARKS, checked, masked, missing, unmasked, wanted
from ml.engines.halving import in_halves
from ml.engines.protocols import Capabilities, EngineSpec
from ml.engines.sentences import Piece, clean, cut, halves, join
from ml.errors import BadText, EngineFailed, UnsupportedLanguage
from ml.languages import find, known
from ml.types import Translation

AGAIN = 3
"""n-gram that may not repeat when a translation is tried again."""


@dataclass(frozen=True)
class Said:
    """One hypothesis for one sentence. `tokens` counts those of the network; `ended` whether it ended it itself."""

    text: str
    confidence: float
    tokens: int
    ended: bool


class Body(Protocol):
    """A network with its tokenizer. Called by one thread at a time."""

    def pairs(self) -> Iterable[tuple[str, str]]:
        """(source, target) in BCP 47 that it can translate."""
        ...

    def length(self, sentence: str) -> int:
        """Tokens of a sentence, with those that the model puts around it."""
        ...

    def say(self, sentences: Sequence[str], source: str, target: str, search: Search) -> list[list[Said]]:
        """`search.best` hypotheses of each sentence, best first."""
        ...

    def rehearse(self, beams: int) -> str:
        """Compile what can be, for searches with so many beams, and say why where nothing is."""
        ...

    def close(self) -> None:
        """Let the weights go."""
        ...


@dataclass(frozen=True)
class TranslatorOptions:
    """`beams` of the search; `batch_tokens` bounds a batch (rows times the longest row times beams); `longest_sentence`
    is in tokens, `longest_text` in characters."""

    beams: int = 4
    batch_tokens: int = 4096
    longest_sentence: int = 200
    longest_text: int = 20_000


class Translator:
    """A `BatchMt` over a network. One call computes at a time; the others wait."""

    def __init__(self, spec: EngineSpec, version: str, body: Body, options: TranslatorOptions) -> None:
        """`version` names model, revision and where it computes."""
        self.spec = spec
        self._version, self._options = version, options
        self._body: Body | None = body
        pairs = tuple(dict.fromkeys(spec.pairs or body.pairs()))
        self._pairs = {pair: None for pair in pairs if pair[0] != pair[1]}
        self._lock = threading.Lock()

    def capabilities(self) -> Capabilities:
        """The pairs of the model, the languages it reads or writes, and the longest text in characters."""
        return Capabilities(
            version=self._version,
            languages=tuple(sorted({code for pair in self._pairs for code in pair})),
            formats=("text/plain",),
            pairs=tuple(self._pairs),
            longest=float(self._options.longest_text),
        )

    def prepare(self, source: str, target: str) -> tuple[str, ...]:
        """The route, which is always direct. Raises UnsupportedLanguage."""
        self._pair(source, target)
        return (source, target)

    def translate(self, text: str, source: str, target: str) -> Translation:
        """Translate one text of any number of sentences. Raises UnsupportedLanguage, BadText or EngineFailed."""
        return self.translate_many([text], source, target)[0]

    def translate_many(
        self, texts: Sequence[str], source: str, target: str, glossary: Mapping[str, str] | None = None
    ) -> list[Translation]:
        """Translate texts together, quicker than one by one and in their order.

        `glossary` says how terms of the source shall be translated; a translation's `missed` names those that it has
        not in spite of that. Raises as `translate`, for the first text that cannot be used.
        """
        pair = self._pair(source, target)
        terms = checked(glossary or {})
        lines = [self._checked(text) for text in texts]
        with self._lock:
            body = self._body
            if body is None:
                raise EngineFailed("The translation engine is closed.", "Open a new session.")
            longest = self._options.longest_sentence
            cuts = [cut(line, lambda part: body.length(part) <= longest) for line in lines]
            wordy = dict.fromkeys(piece.text for pieces in cuts for piece in pieces if re.search(r"\w", piece.text))
            said = self._all(body, list(wordy), pair)
            if terms:
                said |= self._with_terms(body, {one: wanted(terms, one) for one in wordy}, said, pair)
        return [
            self._whole(text, pieces, said, terms, (source, target)) for text, pieces in zip(texts, cuts, strict=True)
        ]

    def rehearse(self) -> str:
        """As `Rehearsing` says."""
        with self._lock:
            return "" if self._body is None else self._body.rehearse(self._options.beams)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            body, self._body = self._body, None
        if body is not None:
            body.close()

    def _pair(self, source: str, target: str) -> tuple[str, str]:
        pair = (find(source).tag, find(target).tag)
        exact = next((one for one in ((source, target), (pair[0], target), pair) if one in self._pairs), None)
        if exact is None:  # a model of one region serves its language: en-pt-BR is asked for Portuguese
            like = (one for one in self._pairs if all(map(known, one)))
            exact = next((one for one in like if (find(one[0]).tag, find(one[1]).tag) == pair), None)
        if exact is None:
            targets = sorted(goal for start, goal in self._pairs if start == pair[0])
            names = ", ".join(targets[:12]) + (" and more" if len(targets) > 12 else "") or "nothing"
            raise UnsupportedLanguage(
                f"{self.spec.name} does not translate {source!r} to {target!r}; from {source!r} it reaches {names}.",
                "Choose another model: node models list",
            )
        return exact

    def _checked(self, text: str) -> str:
        if len(text) > self._options.longest_text:
            raise BadText(
                f"The text has {len(text)} characters; at most {self._options.longest_text} can be translated at once.",
                "Translate it in parts.",
            )
        line = clean(text)
        if not line:
            raise BadText("There is no text to translate.", "Give at least one word.")
        return line

    def _all(self, body: Body, sentences: Sequence[str], pair: tuple[str, str]) -> dict[str, Said]:
        """Each sentence's translation; those with a fault are tried in other ways."""
        plain = Search(beams=self._options.beams)
        found = {one: hypotheses[0] for one, hypotheses in self._batched(body, sentences, pair, plain).items()}
        bad = [one for one in sentences if self._fault(body, one, found[one])]
        for one, hypotheses in self._batched(body, bad, pair, replace(plain, no_repeat=AGAIN)).items():
            if not self._fault(body, one, hypotheses[0]):
                found[one] = hypotheses[0]
        worse = {one: halves(one) for one in bad if self._fault(body, one, found[one])}
        parts = list(dict.fromkeys(part for parts in worse.values() if len(parts) > 1 for part in parts))
        again = self._batched(body, parts, pair, replace(plain, no_repeat=AGAIN))
        for one, cut_up in worse.items():
            if len(cut_up) > 1 and not any(self._fault(body, part, again[part][0]) for part in cut_up):
                found[one] = _joined([again[part][0] for part in cut_up], pair[1])
            else:
                found[one] = replace(found[one], confidence=0.0)
        return found

    def _with_terms(
        self, body: Body, terms: Mapping[str, Mapping[str, str]], found: Mapping[str, Said], pair: tuple[str, str]
    ) -> dict[str, Said]:
        """Better translations of sentences that lack terms: one of the n best that has them, else by placeholders."""
        lacking = [one for one in terms if missing(list(terms[one].values()), found[one].text)]
        beams = max(4, self._options.beams)
        better: dict[str, Said] = {}
        for one, several in self._batched(body, lacking, pair, Search(beams=beams, best=beams)).items():
            for said in several:
                if not missing(list(terms[one].values()), said.text) and not self._fault(body, one, said):
                    better[one] = said
                    break
        for mark in MARKS:
            veiled = {one: masked(one, list(terms[one]), mark) for one in lacking if one not in better}
            asked = [text for text in veiled.values() if text is not None]
            spoken = self._all(body, list(dict.fromkeys(asked)), pair)
            for one, veil in veiled.items():
                carried = spoken[veil] if veil is not None else Said("", 0.0, 0, False)
                text = unmasked(carried.text, list(terms[one].values()), mark) if carried.confidence else None
                if text is not None:
                    better[one] = replace(carried, text=text)
        return better

    def _batched(
        self, body: Body, sentences: Sequence[str], pair: tuple[str, str], search: Search
    ) -> dict[str, list[Said]]:
        """In batches of like length, in any order."""
        rows = sorted((body.length(one), index, one) for index, one in enumerate(sentences))
        found: dict[str, list[Said]] = {}
        while rows:
            room = max(1, self._options.batch_tokens // search.beams)
            count = 1
            while count < len(rows) and (count + 1) * rows[count][0] <= room:
                count += 1
            batch, rows = [one for _, _, one in rows[:count]], rows[count:]
            said = in_halves(lambda part: body.say(part, *pair, search), batch)
            found.update(zip(batch, said, strict=True))
        return found

    def _fault(self, body: Body, sentence: str, said: Said) -> bool:
        return not said.text or fault(sentence, said.text, body.length(sentence), said.tokens, said.ended) is not None

    def _whole(
        self,
        text: str,
        pieces: Sequence[Piece],
        said: Mapping[str, Said],
        terms: Mapping[str, str],
        pair: tuple[str, str],
    ) -> Translation:
        """One text from its pieces; a piece without a word is kept as it is."""
        spoken = [(said.get(piece.text, Said(piece.text, 1.0, 1, True)), piece) for piece in pieces]
        asked = [target for piece in pieces for target in wanted(terms, piece.text).values()]
        whole = join([(one.text, piece.after) for one, piece in spoken], pair[1])
        return Translation(
            text=whole,
            source_text=text,
            source=pair[0],
            target=pair[1],
            engine=self.spec.name,
            route=pair,
            confidence=round(_mean([one for one, _ in spoken]), 6),
            missed=missing(asked, whole),
        )


def _joined(said: Sequence[Said], language: str) -> Said:
    text = join([(one.text, " ") for one in said], language)
    return Said(text, _mean(said), sum(one.tokens for one in said), True)


def _mean(said: Sequence[Said]) -> float:
    """exp of the mean log-probability of all tokens; 0 where a part is not to be trusted at all."""
    total = sum(max(1, one.tokens) for one in said)
    if not total or any(one.confidence <= 0.0 for one in said):
        return 0.0
    return min(1.0, math.exp(sum(math.log(one.confidence) * max(1, one.tokens) for one in said) / total))
