"""Tiny NLLB-200 and M2M100 translators, English and Spanish, with all their languages' tokens; trained for seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry
from tests.ml.engines.tiny_translation import PAIRS, pieces, save, train

LINES = [line for pair in PAIRS for line in pair]
FAIRSEQ = ("<s>", "<pad>", "</s>", "<unk>")
"""The first tokens of both, in fairseq's order; the decoder starts with "</s>"."""

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def _configure(folder: Path, **more: object) -> None:
    """tokenizer_config.json with what the files of 2021 and 2022 have besides."""
    told = {"src_lang": None, "tgt_lang": None, "sp_model_kwargs": {}, "special_tokens_map_file": None}
    (folder / "tokenizer_config.json").write_text(json.dumps({**SPECIAL, **told, "tokenizer_file": None, **more}))


def _network(size: int) -> Any:
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=size,
        d_model=48,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=96,
        decoder_ffn_dim=96,
        max_position_embeddings=128,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
        scale_embedding=True,
    )
    return M2M100ForConditionalGeneration(config)


def _finish(folder: Path, tokenizer: Any, english: int, spanish: int, size: int) -> None:
    """Train in both directions and save."""

    def ids(text: str) -> list[int]:
        if hasattr(tokenizer, "sp_model"):
            found: list[int] = tokenizer.convert_tokens_to_ids(tokenizer.sp_model.encode(text, out_type=str))
            return found
        told: list[int] = tokenizer(text, add_special_tokens=False).input_ids
        return told

    network = _network(size)
    rows = []
    for source, target in PAIRS[:12]:
        rows.append(([english, *ids(source), 2], [spanish, *ids(target), 2]))
        rows.append(([spanish, *ids(target), 2], [english, *ids(source), 2]))
    train(network, rows, 1, 2, steps=200)
    network.generation_config.update(max_length=200)
    save(network, folder)


def build_nllb(folder: Path) -> None:
    """`tokenizer.json` as facebook/nllb-200-distilled-600M has it: sentencepiece's BPE, the languages, "<mask>"."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    folder.joinpath("sentencepiece.bpe.model").write_bytes(
        pieces(LINES, 220, model_type="bpe", unk_id=0, bos_id=1, eos_id=2)
    )
    vocabulary, merges = _bpe(folder / "sentencepiece.bpe.model")
    inner = Tokenizer(BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=False))  # noqa: S106
    inner.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r" {2,}"), " ")])
    inner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    inner.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    inner.add_special_tokens([*FAIRSEQ, *FAIRSEQ_LANGUAGE_CODES, AddedToken("<mask>", lstrip=True, special=True)])
    first = inner.token_to_id("eng_Latn")
    inner.post_processor = processors.TemplateProcessing(
        single=["eng_Latn", "$A", "</s>"], special_tokens=[("eng_Latn", first), ("</s>", 2)]
    )
    inner.save(str(folder / "tokenizer.json"))
    (folder / "special_tokens_map.json").write_text(
        json.dumps({**SPECIAL, "mask_token": "<mask>", "additional_special_tokens": FAIRSEQ_LANGUAGE_CODES})
    )
    mask = {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "normalized": True, "rstrip": False}
    _configure(folder, tokenizer_class="NllbTokenizer", mask_token={**mask, "single_word": False}, cls_token="<s>")  # noqa: S106
    words = PreTrainedTokenizerFast.from_pretrained(folder)
    size = inner.get_vocab_size()
    _finish(folder, words, first, inner.token_to_id("spa_Latn"), size + 1)  # the published have one more, too


def _bpe(path: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a sentencepiece BPE: a merge for each piece that two others make, best score first."""
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    names = [model.id_to_piece(index) for index in range(3, len(model))]
    vocabulary = {piece: index for index, piece in enumerate([*FAIRSEQ, *names])}
    merges = [
        (model.get_score(index), (piece[:cut], piece[cut:]))
        for index, piece in enumerate(names, 3)
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    return vocabulary, [pair for _, pair in sorted(merges, key=lambda one: -one[0])]


def build_m2m100(folder: Path) -> None:
    """`vocab.json` and `sentencepiece.bpe.model` as facebook/m2m100_418M has them; languages and 8 spare tokens follow
    the vocabulary."""
    import sentencepiece
    from transformers import M2M100Tokenizer
    from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

    folder.joinpath("sentencepiece.bpe.model").write_bytes(pieces(LINES, 220, model_type="unigram"))
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.bpe.model"))
    names = [*FAIRSEQ, *(model.id_to_piece(index) for index in range(3, len(model)))]
    (folder / "vocab.json").write_text(json.dumps({name: index for index, name in enumerate(names)}))
    tokens = [f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]]
    (folder / "special_tokens_map.json").write_text(json.dumps({**SPECIAL, "additional_special_tokens": tokens}))
    _configure(folder, tokenizer_class="M2M100Tokenizer", language_codes="m2m100", num_madeup_words=8)
    words = M2M100Tokenizer.from_pretrained(folder)
    _finish(folder, words, words.get_lang_id("en"), words.get_lang_id("es"), len(names) + 100 + 8)


BOTH = ("en-es", "es-en")
TINIES = [
    Tiny(entry("tiny-nllb", "mt", "nllb", pairs=BOTH), build_nllb, knows=True),
    Tiny(entry("tiny-m2m100", "mt", "m2m100", pairs=BOTH), build_m2m100, knows=True),
]
