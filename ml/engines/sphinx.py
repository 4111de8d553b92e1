"""PocketSphinx as a recogniser of English speech: offline, small, and good only for what it was told to expect.

Language model, dictionary and acoustic model come inside the PyPI package. General English is heard with one word
in three or four wrong; notes or a grammar make it good (figures: benchmarks/asr.py). This room puts decoders, notes and
grammars together; it knows nothing of voice activity or translation.

A call into the library holds the interpreter's lock: 20 ms of live speech take about 2 ms, but the end of a whole
utterance about a tenth of its length, in which other Python threads wait.
"""

from __future__ import annotations

import importlib.util
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ml.engines.jsgf import read_grammar
from ml.engines.notes_lm import Weights, adapt
from ml.engines.notes_text import read_notes
from ml.engines.pronounce import Speller, pronounce, read_dictionary
from ml.engines.protocols import AsrOptions, AsrSession, Capabilities, EngineHome, EngineSpec, Need
from ml.engines.sphinx_decoder import Search, SphinxDecoder, model_folder
from ml.engines.sphinx_pool import DecoderPool
from ml.engines.sphinx_session import Label, LiveSession, WholeSession
from ml.engines.trie_lm import read_trie, write_trie
from ml.errors import BadText, Unavailable, UnsupportedLanguage

NAME = "pocketsphinx"
DECODERS = 4
"""Utterances heard at the same time; each live one holds a decoder of 70 to 130 MB."""
MOST_NEW_WORDS = 3000
"""Words of notes or grammar that the dictionary lacks."""

_REINSTALL = "pip install --force-reinstall pocketsphinx==5.1.1"


class Sphinx:
    """The engine. Safe to call from several threads; each session belongs to one."""

    def __init__(self, spec: EngineSpec, folder: Path) -> None:
        """`folder` holds acoustic model, dictionary and language model of the wheel; nothing is loaded yet."""
        self.spec = spec
        self._folder = folder
        self._pool: DecoderPool[SphinxDecoder] = DecoderPool(self._build, DECODERS)
        self._checking = threading.Lock()
        self._good: tuple[AsrOptions, ...] = ()
        self._speller: Speller | None = None

    def capabilities(self) -> Capabilities:
        """English only, any length; latency is the CPU time of a live `finish`, as benchmarks/asr.py measures it."""
        from importlib.metadata import version

        return Capabilities(
            version=f"pocketsphinx {version('pocketsphinx')}, en-us PTM acoustic model, dictionary and trigrams",
            languages=self.spec.languages,
            formats=("mono 16 kHz float32",),
            latency={"live finish p50": 0.029, "live finish p95": 0.054},
        )

    def listen(self, options: AsrOptions) -> AsrSession:
        """Begin an utterance.

        Raises UnsupportedLanguage, BadText (notes or grammar), or EngineFailed when DECODERS live utterances are being
        heard already. Live, the decoder is built here when it is not there yet: see `prepare`.
        """
        options = self._checked(options)
        self._pool.check_open()
        label = Label(NAME, "en")
        if not options.live:
            return WholeSession(lambda: self._borrowed(options), label)
        decoder = self._pool.lend(options, wait=False)
        return LiveSession(decoder, label, lambda fit: self._pool.end_loan(options, decoder if fit else None))

    def prepare(self, options: AsrOptions) -> None:
        """Build what the first utterance of these options would wait for: 0.3 s, with notes 3 s. Raises as `listen`."""
        with self._borrowed(self._checked(options)):
            pass

    def close(self) -> None:
        """Free the decoders; those of running sessions go when these end."""
        self._pool.close()

    @contextmanager
    def _borrowed(self, options: AsrOptions) -> Iterator[SphinxDecoder]:
        decoder = self._pool.lend(options, wait=True)
        try:
            yield decoder
        except BaseException:
            self._pool.end_loan(options, None)
            raise
        self._pool.end_loan(options, decoder)

    def _checked(self, options: AsrOptions) -> AsrOptions:
        """The options, found good once; raises what is wrong with them."""
        if options.language not in self.spec.languages:
            raise UnsupportedLanguage(
                f"No installed recogniser knows the language {options.language!r}.",
                "pocketsphinx knows en; give --from en, or install another recogniser.",
            )
        with self._checking:
            if options not in self._good:
                if options.notes is not None and options.grammar is not None:
                    raise BadText("Notes and a grammar exclude each other.", "Give --notes or --grammar, not both.")
                if options.notes is not None:
                    read_notes(options.notes)
                if options.grammar is not None:
                    read_grammar(options.grammar)
                self._good = (*self._good, options)[-DECODERS:]
        return options

    def _build(self, options: AsrOptions) -> SphinxDecoder:
        search = Search(passes=1 if options.live else 3)
        if options.grammar is not None:
            grammar = read_grammar(options.grammar)
            new = self._pronounced(grammar.words)
            return SphinxDecoder(self._folder, replace(search, grammar=grammar.text, pronunciations=new))
        if options.notes is None:
            return SphinxDecoder(self._folder, search)
        lines = read_notes(options.notes)
        new = self._pronounced(word for line in lines for word in line)
        model = adapt(read_trie(self._folder / "en-us.lm.bin"), lines, Weights())
        with tempfile.TemporaryDirectory(prefix="babelmesh-notes-") as scratch:
            path = Path(scratch) / "notes.lm.bin"
            write_trie(model, path)
            del model
            return SphinxDecoder(self._folder, replace(search, model=path, pronunciations=new))

    def _pronounced(self, words: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Pronunciations of those among `words` that the dictionary lacks."""
        dictionary = read_dictionary(self._folder / "cmudict-en-us.dict")
        new = sorted(set(words) - dictionary.keys())
        if len(new) > MOST_NEW_WORDS:
            raise BadText(
                f"The text has {len(new):,} words that no English dictionary knows, such as {new[0]!r}.",
                "Is it English? Leave out names and words that you will not say.",
            )
        if not new:
            return {}
        with self._checking:
            if self._speller is None:
                self._speller = Speller(dictionary)
        return {word: pronounce(word, dictionary, self._speller) for word in new}


def _package_present(home: EngineHome) -> bool:
    return importlib.util.find_spec("pocketsphinx") is not None


def _model_present(home: EngineHome) -> bool:
    return model_folder() is not None


def _open(home: EngineHome) -> Sphinx:
    folder = model_folder()
    if folder is None:
        raise Unavailable("PocketSphinx's English model is not here.", _REINSTALL)
    return Sphinx(SPEC, folder)


SPEC = EngineSpec(
    name=NAME,
    task="asr",
    summary="English speech, offline; made good by the speaker's notes or a grammar",
    languages=("en",),
    licence="BSD-2-Clause",
    factory=_open,
    needs=(
        Need("pocketsphinx", "python", _package_present, "pip install pocketsphinx==5.1.1"),
        Need("pocketsphinx's en-us model", "model", _model_present, _REINSTALL),
    ),
    rank=10,
)
