"""Tiny wav2vec 2.0 networks: one that spells and has learnt one recording of the project by heart, and one that tells
phones and knows nothing. Both have the vocabularies of their kind, as `vocab.json` of the published ones."""

# ruff: noqa: RUF001
from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry
from tests.ml.engines.tiny_whisper import SAID

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
MORE = "n s t ə l a i k d m ɛ ɾ e ɪ p o ɐ z ð f j v b ɹ ʁ ʊ iː r w ʌ u ɡ æ aɪ ʃ h ɔ ɑː ŋ ɚ eɪ β uː y ɑ̃ oʊ ᵻ eː θ aʊ ts"
PHONES = ["<s>", "<pad>", "</s>", "<unk>", *f"{MORE} oː ɔ̃ ɣ ɜ ɑ dʒ əl x ɜː ç ʒ tʃ ɔː ɒ".split()]


def config(vocabulary: list[str], **more: Any) -> Any:
    """Its shape: a frame every 320 samples, as the published ones have."""
    from transformers import Wav2Vec2Config

    return Wav2Vec2Config(
        vocab_size=len(vocabulary),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(24, 24, 24),
        conv_kernel=(10, 8, 8),
        conv_stride=(8, 8, 5),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        pad_token_id=vocabulary.index("<pad>"),
        bos_token_id=vocabulary.index("<s>"),
        eos_token_id=vocabulary.index("</s>"),
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        mask_time_prob=0.0,
        layerdrop=0.0,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        **more,
    )


def save(folder: Path, network: Any, vocabulary: list[str], **tokenizer: Any) -> None:
    """As the published repositories have it."""
    from transformers import Wav2Vec2FeatureExtractor

    network.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=True, do_normalize=True).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(vocabulary)}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>", **tokenizer}))


@cache
def learnt(steps: int = 120) -> Any:
    """A network that has been told at each frame which letter it hears, as if all took as long."""
    import soundfile
    import torch
    from transformers import Wav2Vec2ForCTC

    from tests.conftest import ROOT

    torch.manual_seed(0)
    network = Wav2Vec2ForCTC(config(LETTERS)).train()
    samples, _ = soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")
    inputs = torch.from_numpy((samples - samples.mean()) / samples.std())[None]
    text = SAID.strip().rstrip(".").upper().replace(" ", "|")
    with torch.no_grad():
        frames = network(inputs).logits.shape[1]
    wanted = torch.zeros(frames, dtype=torch.long)
    for i, letter in enumerate(text):
        first, last = (4 + round((frames - 8) * at / len(text)) for at in (i, i + 1))
        wanted[first : last - 1] = LETTERS.index(letter)  # and a blank behind each
    learning = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(steps):
        loss = torch.nn.functional.cross_entropy(network(inputs).logits[0], wanted)
        learning.zero_grad()
        loss.backward()
        learning.step()
        for group in learning.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 10, 2 * (1 - step / steps))
    return network.eval()


def build_letters(folder: Path) -> None:
    """Save the one that has learnt to spell."""
    save(folder, learnt(), LETTERS, tokenizer_class="Wav2Vec2CTCTokenizer", do_lower_case=False)


def build_phones(folder: Path) -> None:
    """Save one with random weights."""
    import torch
    from transformers import Wav2Vec2ForCTC

    torch.manual_seed(0)
    save(folder, Wav2Vec2ForCTC(config(PHONES)), PHONES, tokenizer_class="Wav2Vec2PhonemeCTCTokenizer")


TINIES = [
    Tiny(entry("tiny-wav2vec2", "asr", "wav2vec2-ctc", languages=("en",)), build_letters, knows=True),
    Tiny(entry("tiny-letters", "align", "wav2vec2-align", languages=("en",)), build_letters, knows=True),
    Tiny(entry("tiny-phones", "align", "wav2vec2-align", languages=("en", "es")), build_phones),
]
