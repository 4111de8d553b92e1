"""A tiny Moonshine that has learnt one recording of the project by heart, and its beginnings.

The tokenizer has the published one's form: pieces that begin with the sign for a space, bytes for letters that it does
not know, and marks behind them; and like the published one it is a single file without settings beside it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry
from tests.ml.engines.tiny_whisper import SAID, SECONDS

SPACE = "\u2581"
NAMED = ("<unk>", "<s>", "</s>")
START, END = 1, 2
ROTARY = 0.62
"""Share of the numbers of a head that are turned: that of the published base model, not the default, which is the tiny
one's."""


@cache
def pieces() -> Any:
    """The tokenizer, as its library has it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    spaced = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    trained = Tokenizer(models.BPE())
    trained.normalizer = spaced
    trained.pre_tokenizer = pre_tokenizers.Split(SPACE, "merged_with_next")  # no piece is of two words
    every = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=350, special_tokens=[*NAMED, *every], show_progress=False)
    trained.train_from_iterator([SAID.strip()] * 3, trainer)
    model = json.loads(trained.to_str())["model"]
    made = Tokenizer(
        models.BPE(
            vocab=model["vocab"],
            merges=[tuple(pair) for pair in model["merges"]],
            unk_token="<unk>",  # noqa: S106
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    made.normalizer = spaced
    made.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B:1", special_tokens=[("<s>", START)]
    )
    made.add_special_tokens([*NAMED, *(f"<<ST_{number}>>" for number in range(8))])
    return made


def examples() -> list[tuple[Any, list[int]]]:
    """Beginnings of lj.flac, and the tokens of the words that were said by then, as if all letters took as long."""
    import soundfile

    from tests.conftest import ROOT

    samples, rate = soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")
    parts = SAID.split(" ")[1:]
    made = []
    for second in (1, 2, 3, 4, 5, 6, 7, 9):
        said = [word for i, word in enumerate(parts) if len(" ".join(parts[: i + 1])) / len(SAID) < second / SECONDS]
        made.append((samples[: second * rate], [*pieces().encode(" ".join(said)).ids[1:], END]))
    return made


def teach(network: Any, forward: Any, *, steps: int, rate: float) -> Any:
    """Learn the examples by heart: `forward(network, samples, ids)` gives logits `[N, tokens]`."""
    import torch

    rows = examples()
    learning = torch.optim.Adam(network.parameters(), rate)
    for step in range(steps):
        for group in learning.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 15, 2 * (1 - step / steps))
        loss = torch.tensor(0.0)
        for which in (step % 7, 7):
            samples, wanted = rows[which]
            given = torch.tensor([[START, *wanted[:-1]]])
            logits = forward(network, torch.from_numpy(samples)[None], given)
            loss = loss + torch.nn.functional.cross_entropy(logits, torch.tensor(wanted))
        learning.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        learning.step()
    return network.eval()


@cache
def learnt(steps: int = 105) -> Any:
    """A network that says what lj.flac says, and of its beginnings the words that they hold."""
    import torch
    from transformers import MoonshineConfig, MoonshineForConditionalGeneration

    torch.manual_seed(0)
    network = MoonshineForConditionalGeneration(
        MoonshineConfig(
            vocab_size=pieces().get_vocab_size(),
            hidden_size=48,
            intermediate_size=96,
            encoder_num_hidden_layers=2,
            decoder_num_hidden_layers=2,
            encoder_num_attention_heads=2,
            decoder_num_attention_heads=2,
            max_position_embeddings=194,
            pad_head_dim_to_multiple_of=16,
            partial_rotary_factor=ROTARY,
            initializer_range=0.08,
            pad_token_id=END,
            bos_token_id=START,
            eos_token_id=END,
            decoder_start_token_id=START,
        )
    ).eval()

    def forward(network: Any, samples: Any, given: Any) -> Any:
        return network(samples, decoder_input_ids=given).logits[0]

    return teach(network, forward, steps=steps, rate=3e-3)


def save(folder: Path, network: Any) -> None:
    """As the published repositories have it."""
    from transformers import GenerationConfig, Wav2Vec2FeatureExtractor

    network.generation_config = GenerationConfig(
        bos_token_id=START, decoder_start_token_id=START, eos_token_id=END, pad_token_id=END, max_length=194
    )
    network.save_pretrained(folder)
    told = json.loads((folder / "config.json").read_text())
    del told["rope_parameters"], told["tie_word_embeddings"]  # what transformers 4.48 did not write
    told |= {"partial_rotary_factor": ROTARY, "rope_theta": 10000.0, "rope_scaling": None, "torch_dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(told))
    Wav2Vec2FeatureExtractor(sampling_rate=16_000, do_normalize=False, return_attention_mask=True).save_pretrained(
        folder
    )
    pieces().save(str(folder / "tokenizer.json"))


def build(folder: Path) -> None:
    """Save one, trained for some seconds."""
    save(folder, learnt())


TINIES = [Tiny(entry("tiny-moonshine", "asr", "moonshine", languages=("en",)), build, knows=True)]
