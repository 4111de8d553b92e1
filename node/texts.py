"""Text in: translates it, and speaks it when asked.

The same engines as for recordings, without the ears. Knows nothing of how results are shown.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.engines.choice import more_of
from ml.engines.protocols import Mt
from ml.errors import BadText, MlError, UnsupportedLanguage
from ml.speech.tint import AsSpoken, Matcher
from ml.speech.translate import Wording
from ml.types import Translation
from node.dubbing import DubOptions, voice_matcher
from node.engines import Engines, load_engines
from node.jobs import once_more
from node.marking import MarkedWriter, Origin, check_unmarked, marking

if TYPE_CHECKING:
    from node.app import Node

LONGEST = 200_000
"""Characters of text that are taken at once."""
SAMPLE = 300
"""Characters by which a text's language is told."""
USUAL = "en"
"""The language that is tried first."""
BATCH = 16
"""Lines that are given to a translator together, where it takes several."""


@dataclass(frozen=True)
class TextResult:
    """A translated text; `output` is the file it was spoken into, `seconds` that file's length."""

    text: str
    source_text: str
    source: str
    target: str
    engine: str
    route: tuple[str, ...]
    confidence: float
    unknown_words: tuple[str, ...]
    output: str | None = None
    seconds: float | None = None
    missed_terms: tuple[str, ...] = ()
    """Terms of the glossary that the translation has not."""
    remark: str | None = None
    """How the text's language was found, where nobody said it."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def _checked(text: str) -> str:
    if not text.strip():
        raise BadText("There is no text to translate.", 'node translate --text "Good morning" --to es')
    if len(text) > LONGEST:
        raise BadText(f"The text is longer than {LONGEST} characters.", "Translate it in parts.")
    return text


def translate_text(node: Node, text: str, options: DubOptions) -> TextResult:
    """Translate a text, line by line. Raises BadText, UnsupportedLanguage or Unavailable."""
    engines = load_engines(node.registry, options.engines, options.languages, hear=False, speak=False)
    return _result(text, *_translated(engines, text, options))


def say_text(node: Node, text: str, options: DubOptions, output: Path) -> TextResult:
    """Translate a text and speak it into a file, tinted with a voice profile when one is named. Raises BadRequest for
    speech that may not go without its watermark, and what `translate_text` does."""
    voice = options.voice if options.own_voice else None
    if not options.watermark:
        check_unmarked(voice)
    engines = load_engines(node.registry, options.engines, options.languages, hear=False, speak=True)
    assert engines.tts is not None  # noqa: S101 - asked for above
    matcher: Matcher = AsSpoken()
    if voice is not None:
        matcher = voice_matcher(node.voices.get(voice), engines, options)
    result = _result(text, *_translated(engines, text, options))
    marks = marking(Origin(result.source, result.target, text=text, marked=options.watermark))
    with MarkedWriter(output, marks) as writer:
        for line in result.text.splitlines():
            if any(c.isalnum() for c in line):
                speech = once_more(partial(engines.tts.speak, line, options.target, matcher.delivery()))
                writer.write(matcher.apply(speech).audio.samples)
    return replace(result, output=str(output), seconds=round(writer.seconds, 3))


def text_language(text: str, mt: Mt, target: str) -> tuple[str, str | None]:
    """The language that a text is in, of those that `mt` translates to `target`, and how that was found.

    A translator with dictionaries says which words it does not know: the language in whose dictionaries most are found
    is that of the text. Raises UnsupportedLanguage where nothing tells it.
    """
    able = mt.capabilities()
    known = sorted({source for source, to in able.pairs if _primary(to) == _primary(target)})
    if not known:
        return USUAL, None  # the translator has the sentence for a language that it does not reach
    if len(known) == 1:
        return known[0], f"The text is taken as {known[0]!r}: {mt.spec.name} goes to {target!r} from no other."
    if able.marks_unknown:
        shares: dict[str, float] = {}
        for source in sorted(known, key=lambda one: one != USUAL):
            try:
                shares[source] = _unknown(text, mt, source, target)
            except MlError:  # a pair that does not work is nothing to go by
                continue
            if shares[source] == 0 and source == USUAL:
                break
        first, *others = sorted(shares, key=lambda one: shares[one]) or [USUAL]
        if shares.get(first, 1.0) <= 0.5 and all(shares[first] < shares[other] for other in others):
            return first, f"The text is taken as {first!r}: its words are in the dictionaries of {mt.spec.name} for it."
    names = ", ".join(known[:8]) + (f" or {more_of(len(known) - 8)}" if len(known) > 8 else "")
    raise UnsupportedLanguage(
        f"Nothing tells which language the text is in, and {mt.spec.name} translates to {target!r} from several.",
        f"Say which with --from, one of: {names}.",
    )


def _unknown(text: str, mt: Mt, source: str, target: str) -> float:
    """The share of words at the beginning of a text that no dictionary for a language knows."""
    sample = " ".join(text.split())
    if len(sample) > SAMPLE:
        sample = sample[:SAMPLE].rpartition(" ")[0] or sample[:SAMPLE]
    words = {word.casefold() for word in re.findall(r"[^\W\d_]+", sample)}
    return min(1.0, len(mt.translate(sample, source, target).unknown) / max(1, len(words)))


def _primary(language: str) -> str:
    return language.lower().split("-")[0]


def _translated(engines: Engines, text: str, options: DubOptions) -> tuple[list[Translation | None], str | None]:
    """A translation for each line, where it has a word, and how the text's language was found."""
    mt = engines.mt
    assert mt is not None  # noqa: S101 - without ears it is always asked for
    wording = Wording(mt, options.glossary)
    lines = _checked(text).splitlines()
    if not any(c.isalnum() for c in text):
        return [None] * len(lines), None
    source, remark = options.source, None
    if source == "auto":
        source, remark = text_language(text, mt, options.target)
    mt.prepare(source, options.target)
    wordy = [line for line in lines if any(c.isalnum() for c in line)]
    said = [
        one
        for start in range(0, len(wordy), BATCH)
        for one in once_more(partial(wording.translate_many, wordy[start : start + BATCH], source, options.target))
    ]
    coming = iter(said)
    return [next(coming) if any(c.isalnum() for c in line) else None for line in lines], remark


def _result(text: str, lines: list[Translation | None], remark: str | None) -> TextResult:
    known = [line for line in lines if line is not None]
    if not known:
        raise BadText("There is no word in the text.", "Give text with letters in it.")
    return TextResult(
        text="\n".join(line.text if line else "" for line in lines),
        source_text=text,
        source=known[0].source,
        target=known[0].target,
        engine=", ".join(dict.fromkeys(line.engine for line in known)),
        route=max((line.route for line in known), key=len),
        confidence=round(min(line.confidence for line in known), 3),
        unknown_words=tuple(word for line in known for word in line.unknown),
        missed_terms=tuple(dict.fromkeys(term for line in known for term in line.missed)),
        remark=remark,
    )
