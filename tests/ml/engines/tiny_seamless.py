"""A tiny SeamlessM4T v2 that translates one recording of the project into two languages, saved with all the parts that
the published file has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry
from tests.ml.engines.tiny_translation import pieces, save

MEANT = {
    "spa": "Las letras de metal son la invención de la imprenta.",
    "deu": "Lettern aus Metall sind die Erfindung des Buchdrucks.",
}
"""What it says of lj.flac, by its own codes."""
LANGUAGES = ("en", "es", "de")
CODES = ("eng", "spa", "deu")
SIZE = 150


def config(vocabulary: int) -> Any:
    """A small configuration of the published class."""
    from transformers import SeamlessM4Tv2Config

    return SeamlessM4Tv2Config(
        vocab_size=vocabulary,
        t2u_vocab_size=20,
        char_vocab_size=20,
        hidden_size=32,
        max_position_embeddings=256,
        encoder_layers=1,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=64,
        decoder_attention_heads=2,
        speech_encoder_layers=2,
        speech_encoder_attention_heads=2,
        speech_encoder_intermediate_size=64,
        t2u_encoder_layers=1,
        t2u_encoder_ffn_dim=32,
        t2u_encoder_attention_heads=2,
        t2u_decoder_layers=1,
        t2u_decoder_ffn_dim=32,
        t2u_decoder_attention_heads=2,
        t2u_variance_predictor_embed_dim=32,
        t2u_variance_predictor_hidden_dim=16,
        upsample_initial_channel=16,
        upsample_rates=[2],
        upsample_kernel_sizes=[4],
        unit_hifi_gan_vocab_size=20,
        unit_embed_dim=16,
        lang_embed_dim=8,
        spkr_embed_dim=8,
        vocoder_num_langs=2,
        vocoder_num_spkrs=2,
    )


def build(folder: Path, steps: int = 80) -> None:
    """Save one, trained for some seconds."""
    import sentencepiece
    import soundfile
    import torch
    from transformers import SeamlessM4TFeatureExtractor, SeamlessM4Tv2ForSpeechToText, SeamlessM4Tv2Model

    from tests.conftest import ROOT

    written = pieces(list(MEANT.values()) * 3, SIZE, model_type="bpe")
    (folder / "sentencepiece.bpe.model").write_bytes(written)
    spelling = sentencepiece.SentencePieceProcessor(model_proto=written)
    first = spelling.get_piece_size() + 1
    codes = {code: first + index for index, code in enumerate(CODES)}
    torch.manual_seed(0)
    settings = config(first + len(CODES))
    network = SeamlessM4Tv2ForSpeechToText(settings).eval()
    with torch.no_grad():
        network.shared.weight.mul_(3.0)  # 0.02 is for thousands of numbers, not for 32
    extractor = SeamlessM4TFeatureExtractor()
    samples, rate = soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")
    inputs = extractor(samples, sampling_rate=rate, return_tensors="pt")
    rows = [[3, codes[code], *(number + 1 for number in spelling.encode(text)), 3] for code, text in MEANT.items()]
    learning = torch.optim.Adam(network.parameters(), 5e-3)
    for step in range(steps):
        for group in learning.param_groups:
            group["lr"] = 5e-3 * min(1.0, (step + 1) / 10, 2 * (1 - step / steps))
        loss = torch.tensor(0.0)
        encoded = network.speech_encoder(inputs["input_features"], attention_mask=inputs["attention_mask"])
        for row in rows:
            given = torch.tensor([row[:-1]])
            logits = network(
                attention_mask=inputs["attention_mask"], encoder_outputs=encoded, decoder_input_ids=given
            ).logits
            loss = loss + torch.nn.functional.cross_entropy(logits[0, 1:], torch.tensor(row[2:]))
        learning.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        learning.step()
    whole = SeamlessM4Tv2Model(settings).eval()
    whole.load_state_dict(network.state_dict(), strict=False)
    whole.generation_config.update(
        max_length=None,
        decoder_start_token_id=3,
        eos_token_id=3,
        pad_token_id=0,
        bos_token_id=2,
        max_new_tokens=256,
    )
    whole.generation_config.text_decoder_lang_to_code_id = codes
    save(whole, folder)
    whole.generation_config.save_pretrained(folder)
    extractor.save_pretrained(folder)


TINIES = [Tiny(entry("tiny-seamless", "ast", "seamless", languages=LANGUAGES), build, knows=True)]
