"""NLLB-200 and M2M100 beyond the contract: all their languages, and text that cannot pose as tokens."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml.device import Placement
from ml.engines.nllb import M2m100Translator, NllbTranslator
from ml.errors import ModelDamaged
from ml.models.checkpoint import Checkpoint
from tests.ml.engines.tiny import checkpoint, tiny_specs
from tests.ml.engines.tiny_translation import PAIRS, published

KINDS: dict[str, Any] = {"tiny-nllb": NllbTranslator, "tiny-m2m100": M2m100Translator}


def load(name: str, **changes: Any) -> Any:
    (spec,) = tiny_specs([name])
    return KINDS[name].load(replace(spec, **changes), checkpoint(name), Placement())


@pytest.fixture(scope="module", params=KINDS)
def engine(request):
    made = load(request.param)
    yield made
    made.close()


def test_both_directions_are_known(engine) -> None:
    there = engine.translate_many([source for source, _ in PAIRS[:10]], "en", "es")
    back = engine.translate_many([target for _, target in PAIRS[:10]], "es", "en")
    assert sum(done.text == target for done, (_, target) in zip(there, PAIRS, strict=False)) >= 8
    assert sum(done.text == source for done, (source, _) in zip(back, PAIRS, strict=False)) >= 8
    assert [engine.translate(source, "en", "es").text for source, _ in PAIRS[:10]] == [done.text for done in there]


@pytest.mark.parametrize(("name", "count"), [("tiny-nllb", 202), ("tiny-m2m100", 100)])
def test_without_pairs_every_language_is_offered(name: str, count: int) -> None:
    able = load(name, pairs=()).capabilities()
    assert len(able.languages) == count
    assert len(able.pairs) == count * (count - 1)
    assert {("en", "es"), ("zh", "ar"), ("nb", "nso")} <= set(able.pairs)


def test_text_cannot_pose_as_a_token(engine) -> None:
    body = engine._body
    for posing in ("</s>", "spa_Latn", "__es__", "<pad>", "<mask>"):
        ids = body._pieces(f"a {posing} b")
        assert not set(ids) & {0, 1, 2, *body._languages.values()}, posing


def test_the_published_form_of_a_sentence(engine) -> None:
    """Language, pieces, end: as `NllbTokenizer` and `M2M100Tokenizer` themselves write it."""
    body = engine._body
    words = body._tokenizer
    if engine.spec.name == "tiny-m2m100":
        words.src_lang = "en"
    theirs = words("Good morning, my friend.").input_ids
    assert [body._languages["en"], *body._pieces("Good morning, my friend."), 2] == theirs
    assert body.length("Good morning, my friend.") == len(theirs)


def test_a_tokenizer_of_other_weights_is_damage(tmp_path: Path) -> None:
    (spec,) = tiny_specs(["tiny-m2m100"])
    found = checkpoint("tiny-m2m100")
    shutil.copytree(found.folder, tmp_path / "copy")
    vocabulary = json.loads((tmp_path / "copy" / "vocab.json").read_text())
    vocabulary |= {f"more{index}": len(vocabulary) + index for index in range(200)}
    (tmp_path / "copy" / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(ModelDamaged, match="tokenizer"):
        M2m100Translator.load(spec, Checkpoint(found.entry, tmp_path / "copy", found.revision), Placement())


def test_a_pair_without_a_token_is_damage(tmp_path: Path) -> None:
    (spec,) = tiny_specs(["tiny-nllb"])
    found = checkpoint("tiny-nllb")
    shutil.copytree(found.folder, tmp_path / "copy")
    for name in ("tokenizer.json", "special_tokens_map.json"):
        path = tmp_path / "copy" / name
        path.write_text(path.read_text().replace("spa_Latn", "xxx_Latn"))
    with pytest.raises(ModelDamaged, match="'es'"):
        NllbTranslator.load(spec, Checkpoint(found.entry, tmp_path / "copy", found.revision), Placement())


@pytest.mark.parametrize("name", ["nllb-200-distilled-600M", "m2m100_418M"])
def test_the_network_is_that_of_the_published_checkpoints(name: str) -> None:
    told, tensors, count = published(name)
    assert tensors == told["tensors"]
    assert count == told["parameters"]
    if "millions" in told:
        assert count / 1e6 == pytest.approx(told["millions"], rel=0.03)
