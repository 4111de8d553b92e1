"""One PocketSphinx decoder: 16-bit samples in, words with times and posteriors out.

The only room that talks to the library, whose corners it knows: `feat.params` of the model overrides what a Config says
of the front end, noise statistics outlive an utterance unless the front end is set up again, a search that needs a word
the dictionary lacks fails, and everything it has to say goes to stderr unless told otherwise. It knows nothing of
sessions, pools or notes.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.errors import EngineFailed
from ml.types import Word

FRAMES_PER_SECOND = 100
_FILLER_MARKS = ("<", "[", "+", "(")
_SEARCH = "babelmesh"


@dataclass(frozen=True)
class Search:
    """What to listen for: a language model file, a JSGF grammar, or (neither) general English.

    `pronunciations` are words that the dictionary lacks, with their ARPAbet phones. `passes` is 1 for live speech
    (lexicon tree, best path over its lattice) or 3 (a flat second pass between the two).
    """

    passes: int
    model: Path | None = None
    grammar: str | None = None
    pronunciations: Mapping[str, tuple[str, ...]] | None = None


def model_folder() -> Path | None:
    """Where the wheel keeps its US English model, or None when the package is not here; imports nothing."""
    spec = importlib.util.find_spec("pocketsphinx")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model" / "en-us"
    return folder if (folder / "en-us" / "mdef").is_file() else None


class SphinxDecoder:
    """A decoder with its search loaded; one utterance at a time, not thread-safe."""

    def __init__(self, folder: Path, search: Search) -> None:
        """Load it, 0.3 s and 70 to 130 MB. Raises EngineFailed with what the library said."""
        from pocketsphinx import Decoder

        general = search.model is None and search.grammar is None
        live = search.passes == 1
        try:
            self._decoder: Any = Decoder(
                loglevel="FATAL",
                hmm=str(folder / "en-us"),
                dict=str(folder / "cmudict-en-us.dict"),
                lm=str(folder / "en-us.lm.bin") if general else None,
                fwdflat=not live,
                maxhmmpf=3000 if live else 30000,
            )
            for word, phones in (search.pronunciations or {}).items():
                self._decoder.add_word(word, " ".join(phones), update=False)
            if search.model is not None:
                self._decoder.add_lm_file(_SEARCH, str(search.model))
            if search.grammar is not None:
                self._decoder.add_jsgf_string(_SEARCH, search.grammar)
            if not general:
                self._decoder.activate_search(_SEARCH)
        except (RuntimeError, ValueError, KeyError) as error:
            raise EngineFailed(f"PocketSphinx does not load: {error}.", "Run `node doctor`.") from error

    def start(self, cepstral_mean: tuple[float, ...] | None = None) -> None:
        """Begin an utterance, forgetting all earlier ones; live normalisation starts from `cepstral_mean` `[13]`."""
        self._decoder.reinit_feat()
        if cepstral_mean is not None:
            self._decoder.set_cmn(",".join(f"{value:.4f}" for value in cepstral_mean))
        self._decoder.start_utt()

    def feed(self, pcm: bytes, *, whole: bool = False) -> None:
        """Hear 16-bit samples; `whole` says that they are all of the utterance, which is then normalised as one."""
        if pcm:
            self._decoder.process_raw(pcm, full_utt=whole)

    def end(self) -> None:
        """End the utterance."""
        self._decoder.end_utt()

    def pause(self) -> float:
        """Seconds of silence or noise at the end of the best path so far."""
        segments = list(self._decoder.seg() or ())
        last = segments[-1] if segments else None
        if last is None or not str(last.word).startswith(_FILLER_MARKS):
            return 0.0
        return float(last.end_frame + 1 - last.start_frame) / FRAMES_PER_SECOND

    def words(self, offset: float = 0.0) -> tuple[Word, ...]:
        """The best words with their times, `offset` seconds later, and posteriors (1.0 before `end`)."""
        found = []
        for segment in self._decoder.seg() or ():
            name = str(segment.word)
            if name.startswith(_FILLER_MARKS):
                continue
            found.append(
                Word(
                    text=name.split("(")[0],
                    start=offset + segment.start_frame / FRAMES_PER_SECOND,
                    end=offset + (segment.end_frame + 1) / FRAMES_PER_SECOND,
                    confidence=min(1.0, max(0.0, float(segment.prob))),
                )
            )
        return tuple(found)
