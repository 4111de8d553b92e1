"""A tiny Nemotron that has learnt one recording of the project by heart, in short chunks and in long ones, and says its
language behind it; in Spanish it has learnt to say nothing, so that a test sees whether it is asked in the right one.

The files are the published ones: one processor with the prompts of all locales, tags of languages among the tokens, the
blank behind them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry
from tests.ml.engines.tiny_whisper import LINES, SAID

LOOKAHEADS = [3, 0, 6, 13]
"""Frames, as published: the first is the checkpoint's own choice."""
FRAMES = 105
"""Of 80 ms, that it is trained on: the recording and a second of silence."""
SPOKEN = 98
"""Of them, with speech."""


def processor() -> Any:
    """A `Nemotron3_5AsrProcessor` with a BPE trained on a few lines."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import Nemotron3_5AsrProcessor, NemotronAsrStreamingFeatureExtractor, ParakeetTokenizer

    pieces = Tokenizer(models.BPE(unk_token="<unk>"))  # noqa: S106
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    marks = ["<unk>", "<pad>", "<en-US>", "<es-ES>", "<zh-CN>"]
    trainer = trainers.BpeTrainer(vocab_size=230, special_tokens=marks, show_progress=False)
    pieces.train_from_iterator(LINES * 2, trainer)
    pieces.add_special_tokens(["<blank>"])
    words = ParakeetTokenizer(
        tokenizer_object=pieces,
        unk_token="<unk>",  # noqa: S106
        pad_token="<pad>",  # noqa: S106
        extra_special_tokens=marks[2:],
    )
    extractor = NemotronAsrStreamingFeatureExtractor(feature_size=40)
    return Nemotron3_5AsrProcessor(extractor, words, supported_num_lookahead_tokens=LOOKAHEADS)


def network(parts: Any, kind: str = "Nemotron3_5AsrForRNNT") -> Any:
    """One with random weights; its window is two of the longest chunks, far less than the recording."""
    import torch
    import transformers

    torch.manual_seed(0)
    quiet = dict.fromkeys(("dropout", "dropout_positions", "layerdrop", "activation_dropout", "attention_dropout"), 0.0)
    encoder = {
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "subsampling_conv_channels": 8,
        "num_mel_bins": 40,
        "sliding_window": 29,
        "default_num_lookahead_tokens": LOOKAHEADS[0],
        "attention_bias": False,
        "convolution_bias": False,
        "scale_input": False,
        **quiet,
    }
    body = getattr(transformers, kind)
    prompted = {"prompt_intermediate_size": 64} if kind == "Nemotron3_5AsrForRNNT" else {}
    return body(
        body.config_class(
            vocab_size=len(parts.tokenizer),
            decoder_hidden_size=48,
            num_decoder_layers=1,
            encoder_config={"model_type": "nemotron_asr_streaming_encoder", **encoder},
            blank_token_id=parts.tokenizer.convert_tokens_to_ids("<blank>"),
            pad_token_id=parts.tokenizer.pad_token_id,
            **prompted,
        )
    )


@cache
def learnt(steps: int = 140) -> Any:
    """A network that has been told at each step what to say and when to go on, as if all letters took as long."""
    import numpy as np
    import soundfile
    import torch

    from tests.conftest import ROOT

    parts = processor()
    words, made = parts.tokenizer, network(parts)
    blank = made.config.blank_token_id
    samples, rate = soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")
    silence = np.zeros((FRAMES - 1) * 1280 + 160 - len(samples), np.float32)
    inputs = parts(np.concatenate([samples, silence]), sampling_rate=rate)
    said = words(SAID.strip(), add_special_tokens=False).input_ids
    spelt = words.convert_ids_to_tokens(said)
    letters, path, at = sum(map(len, spelt)), [], 0  # frame, tokens said so far, token
    for done, token in enumerate(said):
        begins = 1 + round(SPOKEN * sum(map(len, spelt[:done])) / letters)
        path += [(frame, done, blank) for frame in range(at, begins)]
        path.append((begins, done, token))
        at = begins
    path.append((SPOKEN + 2, len(said), words.convert_tokens_to_ids("<en-US>")))
    path += [(frame, len(said), blank) for frame in range(at, SPOKEN + 2)]
    path += [(frame, len(said) + 1, blank) for frame in range(SPOKEN + 2, FRAMES)]
    where, when, tokens = (torch.tensor(column) for column in zip(*path, strict=True))
    given = torch.tensor([[blank, *said, words.convert_tokens_to_ids("<en-US>")]])
    place = torch.nn.Linear(
        made.config.encoder_config.hidden_size, len(said) + 2
    )  # how far it is; learnt beside, and left out of the files
    learning = torch.optim.Adam([*made.parameters(), *place.parameters()], 5e-3, fused=True)
    auto, english, spanish = (parts.prompt_dictionary[code] for code in ("auto", "en", "es"))
    quiet = torch.full_like(tokens, blank)
    nn = torch.nn
    for module in made.modules():  # torch's own beginnings are the quicker ones here
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear | nn.Embedding | nn.LSTM):
            module.reset_parameters()
    stem = made.encoder.subsampling.conv_in
    with torch.no_grad():  # the spectrum is not normalised: begin in its middle
        stem.bias -= stem.weight.sum((1, 2, 3)) * inputs.input_features.mean()
    for step in range(steps):
        encoded = made.encoder(
            inputs.input_features, attention_mask=inputs.attention_mask, num_lookahead_tokens=(3, 13)[step % 2]
        ).last_hidden_state
        told = made.decoder(given)[0]
        loss = torch.nn.functional.cross_entropy(place(encoded[0, where]), when)
        for prompt, wanted in (((auto, english)[step // 2 % 2], tokens), (spanish, quiet)):
            asked = torch.nn.functional.one_hot(torch.tensor(prompt), made.config.num_prompts).float()
            mixed = made.prompt_projector(torch.cat([encoded, asked.expand(1, encoded.shape[1], -1)], -1))
            frames = made.encoder_projector(mixed)
            logits = made.joint(decoder_hidden_states=told[when][None], encoder_hidden_states=frames[0, where][None])[0]
            loss = loss + torch.nn.functional.cross_entropy(logits, wanted)
        learning.zero_grad()
        loss.backward()
        learning.step()
        for group in learning.param_groups:
            group["lr"] = 5e-3 * min(1.0, (step + 1) / 10, 2 * (1 - step / steps))
    return made.eval()


def build(folder: Path) -> None:
    """Save it."""
    learnt().save_pretrained(folder)
    processor().save_pretrained(folder)


TINIES = [Tiny(entry("tiny-nemotron", "asr", "nemotron", languages=("en", "es", "zh")), build, knows=True)]
