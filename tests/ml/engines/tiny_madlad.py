"""A tiny MADLAD-400 translator: T5 with `<2xx>` tokens, in the layout that google/madlad400-3b-mt has: unknown 0,
pad 1, end 2, start 0, no `shared.weight`; trained for seconds."""

from __future__ import annotations

import json
from pathlib import Path

from tests.ml.engines.tiny import Tiny, entry
from tests.ml.engines.tiny_translation import PAIRS, pieces, train

TARGETS = ("<2en>", "<2es>", "<2fr>", "<2fil>", "<2no>")


def build(folder: Path) -> None:
    """English and Spanish."""
    import sentencepiece
    import torch
    from safetensors.torch import save_file
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
    from tokenizers.models import Unigram
    from transformers import GenerationConfig, T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    lines = [line for pair in PAIRS for line in pair]
    folder.joinpath("spiece.model").write_bytes(
        pieces(lines, 220, model_type="unigram", unk_id=0, bos_id=1, eos_id=2, user_defined_symbols=list(TARGETS))
    )
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    scored = [(model.id_to_piece(index), model.get_score(index)) for index in range(len(model))]
    inner = Tokenizer(Unigram(scored, unk_id=0, byte_fallback=False))
    inner.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r" {2,}"), " ")])
    inner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    inner.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    inner.add_special_tokens(["<unk>", "<s>", "</s>"])
    inner.add_tokens([AddedToken(token, normalized=False) for token in TARGETS])
    inner.save(str(folder / "tokenizer.json"))
    special = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**special, "tokenizer_class": "T5Tokenizer"}))
    config = T5Config(
        vocab_size=len(model) + 3,
        d_model=48,
        d_kv=12,
        num_heads=4,
        d_ff=96,
        num_layers=1,
        num_decoder_layers=1,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        tie_word_embeddings=False,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=0,
    )
    network = T5ForConditionalGeneration(config)
    network.lm_head.weight = torch.nn.Parameter(torch.randn_like(network.lm_head.weight) * 0.1)
    rows = []
    for source, target in PAIRS[:12]:
        english, spanish = (inner.encode(text).ids for text in (source, target))
        rows.append(([model.piece_to_id("<2es>"), *english, 2], [*spanish, 2]))
        rows.append(([model.piece_to_id("<2en>"), *spanish, 2], [*english, 2]))
    train(network, rows, 1, 0)
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for name in ("shared.weight", "encoder.embed_tokens.weight"):
        del kept[name]
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    config.architectures = ["T5ForConditionalGeneration"]
    told = {**config.to_dict(), "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(told))
    GenerationConfig(decoder_start_token_id=0, eos_token_id=2, pad_token_id=1).save_pretrained(folder)


TINIES = [Tiny(entry("tiny-madlad", "mt", "madlad", pairs=("en-es", "es-en")), build, knows=True)]
