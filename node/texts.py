"""Text in: translates it, and speaks it when asked.

The same engines as for recordings, without the ears. Knows nothing of how results are shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.audio.write import AudioWriter
from ml.errors import BadText
from ml.speech.tint import AsSpoken, Matcher
from ml.speech.translate import Wording
from ml.types import Translation
from node.dubbing import DubOptions, voice_matcher
from node.engines import Engines, load_engines

if TYPE_CHECKING:
    from node.app import Node

LONGEST = 200_000
"""Characters of text that are taken at once."""
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
    return _result(text, _translated(engines, text, options))


def say_text(node: Node, text: str, options: DubOptions, output: Path) -> TextResult:
    """Translate a text and speak it into a file, tinted with a voice profile when one is named."""
    engines = load_engines(node.registry, options.engines, options.languages, hear=False, speak=True)
    assert engines.tts is not None  # noqa: S101 - asked for above
    matcher: Matcher = AsSpoken()
    if options.voice is not None:
        matcher = voice_matcher(node.voices.get(options.voice), engines, options)
    result = _result(text, _translated(engines, text, options))
    with AudioWriter(output) as writer:
        for line in result.text.splitlines():
            if any(c.isalnum() for c in line):
                speech = engines.tts.speak(line, options.target, matcher.delivery())
                writer.write(matcher.apply(speech).audio.samples)
    return replace(result, output=str(output), seconds=round(writer.seconds, 3))


def _translated(engines: Engines, text: str, options: DubOptions) -> list[Translation | None]:
    """A translation for each line; lines without a word have none."""
    mt = engines.mt
    assert mt is not None  # noqa: S101 - without ears it is always asked for
    source = "en" if options.source == "auto" else options.source
    wording = Wording(mt, options.glossary)
    mt.prepare(source, options.target)
    lines = _checked(text).splitlines()
    wordy = [line for line in lines if any(c.isalnum() for c in line)]
    said = [
        one
        for start in range(0, len(wordy), BATCH)
        for one in wording.translate_many(wordy[start : start + BATCH], source, options.target)
    ]
    coming = iter(said)
    return [next(coming) if any(c.isalnum() for c in line) else None for line in lines]


def _result(text: str, lines: list[Translation | None]) -> TextResult:
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
    )
