"""Tiny Marian translators: English to Spanish, and to Spanish or French by a `>>xxx<<` token; trained for seconds."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

from tests.ml.engines.tiny import Tiny, entry
from tests.ml.engines.tiny_translation import FRENCH, PAIRS, pieces, save, train


def files(folder: Path, targets: list[str], codes: tuple[str, ...] = ()) -> dict[str, int]:
    """The tokenizer as opus-mt has it: "</s>" first, "<unk>", the pieces of both sides, "<pad>" last."""
    import sentencepiece

    names: dict[str, None] = {"</s>": None, "<unk>": None, **dict.fromkeys(codes)}
    for name, lines in (("source.spm", [source for source, _ in PAIRS]), ("target.spm", targets)):
        (folder / name).write_bytes(pieces(lines, 120, model_type="unigram"))
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
        names |= dict.fromkeys(model.id_to_piece(index) for index in range(3, len(model)))
    vocabulary = {piece: index for index, piece in enumerate([*names, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    configured = {
        "source_lang": "en",
        "target_lang": "es" if not codes else "roa",
        "tokenizer_class": "MarianTokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(configured))
    return vocabulary


def _build(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    import sentencepiece
    import torch
    from transformers import MarianConfig, MarianMTModel

    codes = tuple(sorted({code for code, _, _ in rows if code}))
    vocabulary = files(folder, [target for _, _, target in rows], codes)
    torch.manual_seed(0)
    pad = vocabulary["<pad>"]
    config = MarianConfig(
        vocab_size=len(vocabulary),
        decoder_vocab_size=len(vocabulary),
        d_model=48,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=96,
        decoder_ffn_dim=96,
        max_position_embeddings=128,
        dropout=0.0,
        activation_function="swish",
        scale_embedding=True,
        pad_token_id=pad,
        eos_token_id=0,
        bos_token_id=0,
        decoder_start_token_id=pad,
        forced_eos_token_id=0,
    )
    network = MarianMTModel(config)
    network.final_logits_bias[0, 2:] = 0.05 * torch.randn(
        len(vocabulary) - 2
    )  # the published have one, not trained here
    network.final_logits_bias[0, pad] = 0.0
    left, right = (
        sentencepiece.SentencePieceProcessor(model_file=str(folder / name)) for name in ("source.spm", "target.spm")
    )

    def ids(model: sentencepiece.SentencePieceProcessor, text: str, code: str = "") -> list[int]:
        found = [vocabulary.get(piece, 1) for piece in model.encode(text, out_type=str)]
        return [*([vocabulary[code]] if code else []), *found, 0]

    train(network, [(ids(left, source, code), ids(right, target)) for code, source, target in rows], pad, pad)
    network.generation_config.update(num_beams=4, max_length=512, bad_words_ids=[[pad]])
    save(network, folder)


@cache
def _spanish() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        _build(Path(folder), [("", source, target) for source, target in PAIRS])
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def build(folder: Path) -> None:
    """English to Spanish; trained once however many engines run it."""
    for name, content in _spanish().items():
        (folder / name).write_bytes(content)


def build_many(folder: Path) -> None:
    """English to Spanish and French."""
    spanish = [(">>spa<<", source, target) for source, target in PAIRS[:8]]
    _build(folder, spanish + [(">>fra<<", PAIRS[index][0], line) for index, line in enumerate(FRENCH)])


TINIES = [
    Tiny(entry("tiny-marian", "mt", "marian", pairs=("en-es",)), build, knows=True),
    Tiny(entry("tiny-marian-many", "mt", "marian", pairs=("en-es", "en-fr")), build_many, knows=True),
]
