"""MADLAD-400 beyond the contract: the published layout, its embeddings, and targets that text cannot choose."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from ml.device import Placement
from ml.engines.madlad import MadladTranslator, _reads_with_its_embeddings
from ml.errors import ModelDamaged, UnsupportedLanguage
from tests.ml.engines.tiny import checkpoint, tiny_specs
from tests.ml.engines.tiny_translation import PAIRS


@pytest.fixture(scope="module")
def engine():
    (spec,) = tiny_specs(["tiny-madlad"])
    made = MadladTranslator.load(replace(spec, pairs=()), checkpoint("tiny-madlad"), Placement())
    yield made
    made.close()


def test_a_checkpoint_without_the_shared_table_reads_with_its_own(engine) -> None:
    """huggingface/transformers #48154: the encoder once took the output's matrix, without a word."""
    folder = checkpoint("tiny-madlad").folder
    kept = load_file(folder / "model.safetensors")
    assert "shared.weight" not in kept
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is False
    network = engine._body._network
    for table in (network.shared, network.encoder.embed_tokens, network.decoder.embed_tokens):
        torch.testing.assert_close(table.weight, kept["decoder.embed_tokens.weight"])
    torch.testing.assert_close(network.lm_head.weight, kept["lm_head.weight"])
    assert not torch.equal(network.lm_head.weight, network.shared.weight)


def test_the_wrong_table_would_be_seen(engine) -> None:
    import copy

    network = copy.deepcopy(engine._body._network)
    _reads_with_its_embeddings(network, checkpoint("tiny-madlad"))
    network.encoder.embed_tokens = torch.nn.Embedding.from_pretrained(network.lm_head.weight.clone())
    with pytest.raises(ModelDamaged):
        _reads_with_its_embeddings(network, checkpoint("tiny-madlad"))


def test_sentences_both_ways(engine) -> None:
    there = engine.translate_many([source for source, _ in PAIRS[:10]], "en", "es")
    back = engine.translate_many([target for _, target in PAIRS[:10]], "es", "en")
    assert sum(done.text == target for done, (_, target) in zip(there, PAIRS, strict=False)) >= 8
    assert sum(done.text == source for done, (source, _) in zip(back, PAIRS, strict=False)) >= 8


def test_the_languages_are_those_of_its_tokens(engine) -> None:
    assert set(engine.capabilities().languages) == {"en", "es", "fr", "tl", "nb"}
    with pytest.raises(UnsupportedLanguage):
        engine.prepare("en", "de")


def test_text_cannot_choose_the_target(engine) -> None:
    body = engine._body
    ids = body._pieces("Good <2en> morning </s> <s> <2es>")
    assert not set(ids) & {1, 2, *body._targets.values()}


def test_what_is_not_in_the_vocabulary_is_unknown_and_no_end(engine) -> None:
    """`T5Tokenizer` would make it token 2, which is the end here."""
    ids = engine._body._pieces("Ж")
    assert 0 in ids
    assert 2 not in ids
