"""The binary trigram format, written and read, and read by the library it belongs to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.sphinx_decoder import model_folder
from ml.engines.trie_lm import NATS, TrigramModel, read_trie, write_trie
from ml.errors import ModelDamaged

WORDS = ("<s>", "</s>", "red", "green", "blue", "don't")


@st.composite
def models(draw: st.DrawFn) -> TrigramModel:
    """Any trigram model over a few words, with some bigrams and, over these, some trigrams."""
    size = draw(st.integers(1, len(WORDS)))
    pairs = sorted(draw(st.sets(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)))))
    rows = st.tuples(st.integers(0, max(0, len(pairs) - 1)), st.integers(0, size - 1))
    triples = sorted(draw(st.sets(rows))) if pairs else []
    seed = draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)

    def logs(count: int) -> np.ndarray:
        return (-12 * rng.random(count)).astype(np.float32)

    return TrigramModel(
        words=WORDS[:size],
        unigram=logs(size),
        unigram_backoff=logs(size),
        bigram_word=np.array([w for w, _ in pairs], np.int64),
        bigram_history=np.array([v for _, v in pairs], np.int64),
        bigram=logs(len(pairs)),
        bigram_backoff=logs(len(pairs)),
        trigram_bigram=np.array([b for b, _ in triples], np.int64),
        trigram_history=np.array([u for _, u in triples], np.int64),
        trigram=logs(len(triples)),
    )


@given(models())
@settings(deadline=None, max_examples=40)
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, model: TrigramModel) -> None:
    path = tmp_path_factory.mktemp("lm") / "model.lm.bin"
    write_trie(model, path)
    again = read_trie(path)
    assert again.words == model.words
    for name in ("bigram_word", "bigram_history", "trigram_bigram", "trigram_history"):
        assert np.array_equal(getattr(again, name), getattr(model, name)), name
    for name in ("unigram", "unigram_backoff", "bigram", "bigram_backoff", "trigram"):
        assert getattr(again, name) == pytest.approx(getattr(model, name), abs=2e-4), name


@pytest.mark.parametrize("keep", [0, 10, 40, 500_000, -200])
def test_a_damaged_file_is_named(tmp_path, keep: int) -> None:
    path = tmp_path / "bad.lm.bin"
    write_trie(TrigramModel(("a",), *(np.zeros(1, np.float32),) * 2, *_empty()), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelDamaged, match=r"bad\.lm\.bin"):
        read_trie(path)


def _empty() -> tuple[np.ndarray, ...]:
    ids, logs = np.zeros(0, np.int64), np.zeros(0, np.float32)
    return ids, ids, logs, logs, ids, ids, logs


def test_the_general_model_reads_as_the_library_reads_it() -> None:
    pocketsphinx = pytest.importorskip("pocketsphinx")
    folder = model_folder()
    assert folder is not None
    path = folder / "en-us.lm.bin"
    model = read_trie(path)
    library = pocketsphinx.NGramModel.readfile(str(path))
    index = {word: place for place, word in enumerate(model.words)}
    keys = model.bigram_keys()
    for history, word in (("of", "the"), ("new", "york"), ("aardvark", "of"), ("the", "zyuganov")):
        key = index[word] * len(model.words) + index[history]
        place = min(int(np.searchsorted(keys, key)), len(keys) - 1)
        if keys[place] == key:
            expected = float(model.bigram[place])
        else:
            expected = float(model.unigram_backoff[index[history]] + model.unigram[index[word]])
        assert library.prob([word, history]) * NATS == pytest.approx(expected, abs=0.01), (history, word)
    assert np.exp(model.unigram.astype(float)).sum() == pytest.approx(1.0, abs=1e-4)
