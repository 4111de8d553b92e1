"""The loop gives what transformers' own `generate` and scores give, for each row by itself."""

from __future__ import annotations

import math

import pytest
import torch

from ml.device import Placement
from ml.engines.generation import Frame, Search, generate
from ml.engines.loading import load_network
from ml.engines.marian import MarianText
from tests.ml.engines.tiny import checkpoint

TEXTS = ("Good morning, my friend.", "The cat drinks water.", "Today", "Where is the house my dog has a lot?")


@pytest.fixture(scope="module")
def network():
    return load_network("MarianMTModel", checkpoint("tiny-marian"), Placement())


@pytest.fixture(scope="module")
def rows() -> list[list[int]]:
    text = MarianText(checkpoint("tiny-marian"), ["es"])
    return [text.encode(one, "es") for one in TEXTS]


def frame_of(network) -> Frame:
    pad = network.config.pad_token_id
    return Frame(pad, 0, pad, never=(pad,))


@pytest.mark.parametrize("beams", [1, 4])
def test_tokens_and_confidence_are_those_of_transformers(network, rows, beams: int) -> None:
    for row in rows:
        ((draft,),) = generate(network, [row], [60], frame_of(network), Search(beams=beams))
        theirs = network.generate(
            input_ids=torch.tensor([row]),
            attention_mask=torch.ones(1, len(row), dtype=torch.long),
            num_beams=beams,
            do_sample=False,
            max_length=63,
            early_stopping=beams > 1,
            return_dict_in_generate=True,
            output_scores=True,
        )
        assert [*draft.tokens, 0] == theirs.sequences[0, 1:].tolist()
        beam = theirs.beam_indices if beams > 1 else None
        steps = network.compute_transition_scores(theirs.sequences, theirs.scores, beam, normalize_logits=beams == 1)
        assert draft.confidence == pytest.approx(math.exp(steps[0, : len(draft.tokens) + 1].mean()), abs=0.01)
        assert draft.ended


@pytest.mark.parametrize("beams", [1, 3])
def test_a_batch_gives_what_each_row_gives(network, rows, beams: int) -> None:
    limits = [40, 30, 3, 25]
    together = generate(network, rows, limits, frame_of(network), Search(beams=beams))
    for row, limit, drafts in zip(rows, limits, together, strict=True):
        ((alone,),) = generate(network, [row], [limit], frame_of(network), Search(beams=beams))
        assert drafts[0].confidence == pytest.approx(alone.confidence, abs=1e-4)
        assert (drafts[0].tokens, drafts[0].ended) == (alone.tokens, alone.ended)


def test_a_row_without_an_end_is_known(network, rows) -> None:
    ((draft,),) = generate(network, rows[:1], [2], frame_of(network), Search())
    assert len(draft.tokens) == 2
    assert not draft.ended
    assert 0 < draft.confidence <= 1


def test_the_best_come_in_order_and_differ(network, rows) -> None:
    (drafts,) = generate(network, rows[:1], [40], frame_of(network), Search(beams=4, best=4))
    assert len({draft.tokens for draft in drafts}) == 4
    assert drafts[0].confidence == max(draft.confidence for draft in drafts)


def test_a_run_may_be_forbidden_to_repeat(network, rows) -> None:
    for row in rows:
        ((draft,),) = generate(network, [row], [40], frame_of(network), Search(no_repeat=2))
        runs = list(zip(draft.tokens, draft.tokens[1:], strict=False))
        assert len(runs) == len(set(runs))


def test_scoring_in_parts_changes_nothing(network, rows, monkeypatch) -> None:
    whole = generate(network, rows, [40] * 4, frame_of(network), Search(beams=2, best=2))
    monkeypatch.setattr("ml.engines.generation.SCORED", 1)
    parts = generate(network, rows, [40] * 4, frame_of(network), Search(beams=2, best=2))
    for one, other in zip(whole, parts, strict=True):
        assert [draft.tokens for draft in one] == [draft.tokens for draft in other]
        for a, b in zip(one, other, strict=True):
            assert a.confidence == pytest.approx(b.confidence, abs=1e-5)


def test_constrained_search_is_still_not_in_transformers(network, rows) -> None:
    """Why glossaries go by placeholders: if this fails, look at `force_words_ids` again."""
    with pytest.raises(ValueError, match="trust_remote_code"):
        network.generate(input_ids=torch.tensor(rows[:1]), force_words_ids=[[5]], num_beams=4)
