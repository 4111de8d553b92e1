"""Notes bend the general model, and what comes out is a distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.notes_lm import Weights, adapt
from ml.engines.trie_lm import TrigramModel

WORDS = ("</s>", "<s>", "a", "b", "c", "d")
ARRAYS = ("unigram", "unigram_backoff", "bigram", "bigram_backoff", "trigram")


def general() -> TrigramModel:
    """A normalised trigram model over WORDS with a few bigrams and trigrams."""
    size = len(WORDS)
    one = np.array([0.2, 0.0001, 0.3, 0.2, 0.2, 0.0999])
    pairs = sorted([(2, 1), (3, 2), (4, 3), (0, 4), (3, 4)])
    word, history = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    two = np.array([0.3, 0.5, 0.6, 0.4, 0.3])
    back = [(1 - two[history == v].sum()) / (1 - one[word[history == v]].sum()) for v in range(size)]
    rows = [pairs.index((3, 2)), pairs.index((4, 3))]
    three = np.array([0.7, 0.2])
    pair_back = np.ones(len(pairs))
    pair_back[pairs.index((2, 1))] = 0.3 / (1 - two[rows[0]])
    pair_back[pairs.index((3, 2))] = 0.8 / (1 - two[rows[1]])
    order = np.argsort(rows)
    logs = [np.log(part).astype(np.float32) for part in (one, np.array(back), two, pair_back, three[order])]
    return TrigramModel(
        WORDS, logs[0], logs[1], word, history, logs[2], logs[3],
        np.array(rows, np.int64)[order], np.array([1, 2], np.int64)[order], logs[4],
    )  # fmt: skip


def given_context(model: TrigramModel, first: str, second: str) -> dict[str, float]:
    """P(word | first second) by the textbook's back-off rule, one word at a time: slow, and independent."""
    index = {word: place for place, word in enumerate(model.words)}
    pairs = {(int(w), int(v)): i for i, (w, v) in enumerate(zip(model.bigram_word, model.bigram_history, strict=True))}
    triples = {
        (int(b), int(u)): i for i, (b, u) in enumerate(zip(model.trigram_bigram, model.trigram_history, strict=True))
    }
    u, v = index[first], index[second]
    found = {}
    for word, w in index.items():
        pair = pairs.get((w, v))
        two = float(model.bigram[pair]) if pair is not None else float(model.unigram_backoff[v] + model.unigram[w])
        triple = triples.get((pair, u)) if pair is not None else None
        if triple is not None:
            found[word] = float(np.exp(model.trigram[triple]))
        else:
            held = pairs.get((v, u))
            found[word] = float(np.exp(two + (float(model.bigram_backoff[held]) if held is not None else 0.0)))
    return found


sentences = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "new", "name"]), min_size=1, max_size=6), max_size=6)
shares = st.floats(0.0, 0.95)


def test_the_model_of_this_test_is_a_distribution() -> None:
    for first in WORDS:
        for second in WORDS:
            assert sum(given_context(general(), first, second).values()) == pytest.approx(1.0, abs=1e-3)


@given(sentences, st.builds(Weights, shares, shares, shares))
@settings(deadline=None, max_examples=60)
def test_every_context_sums_to_one_whatever_the_notes(notes: list[list[str]], weights: Weights) -> None:
    model = adapt(general(), notes, weights)
    for first in model.words:
        for second in model.words:
            assert sum(given_context(model, first, second).values()) == pytest.approx(1.0, abs=2e-3), (first, second)
    for name in ("bigram_word", "trigram_bigram"):
        assert (np.diff(getattr(model, name)) >= 0).all()
    assert (np.diff(model.bigram_keys()) > 0).all()


def test_without_notes_or_weight_nothing_changes() -> None:
    same = adapt(general(), [], Weights())
    for name in ARRAYS:
        assert np.array_equal(getattr(same, name), getattr(general(), name))
    weightless = adapt(general(), [["a", "b", "c"]], Weights(0.0, 0.0, 0.0))
    for first, second in (("<s>", "a"), ("a", "b"), ("d", "d")):
        assert given_context(weightless, first, second) == pytest.approx(
            given_context(general(), first, second), rel=1e-3
        )


def test_what_the_notes_say_becomes_likely_and_the_rest_stays_possible() -> None:
    before, after = general(), adapt(general(), [["d", "a", "new", "c"]], Weights())
    assert given_context(after, "d", "a")["new"] > 0.4
    assert given_context(after, "<s>", "d")["a"] > 5 * given_context(before, "<s>", "d")["a"] / 4
    assert given_context(after, "d", "a")["b"] > 0.1 * given_context(before, "d", "a")["b"]
    # A context that is not in the notes keeps its shape.
    assert given_context(after, "c", "b")["a"] == pytest.approx(given_context(before, "c", "b")["a"], rel=0.05)


def test_a_word_said_often_after_a_context_gets_more_than_one_said_once() -> None:
    model = adapt(general(), [["a", "d"], ["a", "d"], ["a", "d"], ["a", "c"]], Weights())
    row = given_context(model, "<s>", "a")
    assert row["d"] > 1.8 * row["c"] > 0
