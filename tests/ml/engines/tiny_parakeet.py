"""A tiny Parakeet-TDT that has learnt one recording of the project by heart."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry
from tests.ml.engines.tiny_whisper import LINES, SAID


def processor() -> Any:
    """A `ParakeetProcessor` with a BPE trained on a few lines, the blank behind all its tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import ParakeetFeatureExtractor, ParakeetProcessor, ParakeetTokenizer

    pieces = Tokenizer(models.BPE(unk_token="<unk>"))  # noqa: S106
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=160, special_tokens=["<unk>", "<pad>"], show_progress=False)
    pieces.train_from_iterator(LINES * 2, trainer)
    pieces.add_special_tokens(["<blank>"])
    words = ParakeetTokenizer(tokenizer_object=pieces, unk_token="<unk>", pad_token="<pad>")  # noqa: S106
    extractor = ParakeetFeatureExtractor(feature_size=80)
    return ParakeetProcessor(extractor, words, decoder_type="tdt")


@cache
def learnt(steps: int = 130) -> Any:
    """A network that has been told at each step what to say and how far to go on, as if all letters took as long."""
    import soundfile
    import torch
    from transformers import ParakeetForTDT, ParakeetTDTConfig

    from tests.conftest import ROOT

    torch.manual_seed(0)
    parts = processor()
    words = parts.tokenizer
    blank = words.convert_tokens_to_ids("<blank>")
    quiet = dict.fromkeys(("dropout", "dropout_positions", "layerdrop", "activation_dropout", "attention_dropout"), 0.0)
    encoder = {
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "subsampling_conv_channels": 16,
        "num_mel_bins": 80,
        "max_position_embeddings": 500,
        **quiet,
    }
    network = ParakeetForTDT(
        ParakeetTDTConfig(
            vocab_size=len(words),
            decoder_hidden_size=48,
            num_decoder_layers=1,
            encoder_config=encoder,
            blank_token_id=blank,
            pad_token_id=words.pad_token_id,
        )
    )
    samples, rate = soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")
    inputs = parts.feature_extractor(samples, sampling_rate=rate, return_tensors="pt")
    said = words(SAID.strip(), add_special_tokens=False).input_ids
    spelt = words.convert_ids_to_tokens(said)
    frames, letters, path, at = 98, sum(map(len, spelt)), [], 0  # frame, tokens said so far, token, duration
    for done, token in enumerate(said):
        begins = 1 + round(frames * sum(map(len, spelt[:done])) / letters)
        while at < begins:
            path.append((at, done, blank, min(4, begins - at)))
            at += min(4, begins - at)
        ends = 1 + round(frames * sum(map(len, spelt[: done + 1])) / letters)
        path.append((at, done, token, min(4, ends - at)))
        at += min(4, ends - at)
    path += [(at + i, len(said), blank, 1) for i in range(101 - at)]
    where, when, tokens, ahead = (torch.tensor(column) for column in zip(*path, strict=True))
    given, learning = torch.tensor([[blank, *said]]), torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(steps):
        encoded = network.get_audio_features(inputs.input_features, attention_mask=inputs.attention_mask)
        told = network.decoder(given)[0]
        logits = network.joint(
            decoder_hidden_states=told[when][None, None], encoder_hidden_states=encoded.pooler_output[:, where][None]
        )[0, 0]
        size = network.config.vocab_size
        loss = torch.nn.functional.cross_entropy(logits[:, :size], tokens)
        loss = loss + torch.nn.functional.cross_entropy(logits[:, size:], ahead)
        learning.zero_grad()
        loss.backward()
        learning.step()
        for group in learning.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 10, 2 * (1 - step / steps))
    return network.eval()


def build(folder: Path) -> None:
    """Save it."""
    learnt().save_pretrained(folder)
    processor().save_pretrained(folder)


TINIES = [Tiny(entry("tiny-parakeet", "asr", "parakeet-tdt", languages=("en",)), build, knows=True)]
