"""A tiny Whisper that has learnt one recording of the project by heart, and its beginnings.

The tokenizer is a byte-level BPE with Whisper's marks in their published order; the window is 12 s and not 30, which
the checkpoint's own files say.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry

SAID = (
    " The invention of movable metal letters in the middle of the fifteenth century may justly be considered as the"
    " invention of the art of printing."
)
LINES = [SAID, " He was not an ill-disposed young man. 0 1 2 3 4 5 6 7 8 9, ¿cómo? naïve £ 日本語 -- (so)!"]
SECONDS = 8.0
"""Of lj.flac."""
WINDOW = 12
"""Seconds."""


def marks() -> list[str]:
    """Whisper's special tokens in their order, without the times."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    languages = [f"<|{code}|>" for code in list(LANGUAGES)[:99]]  # the hundredth, Cantonese, came with large-v3
    tasks = ["translate", "transcribe", "startoflm", "startofprev", "nocaptions", "notimestamps"]
    return ["<|endoftext|>", "<|startoftranscript|>", *languages, *(f"<|{name}|>" for name in tasks)]


def tokenizer() -> Any:
    """A `WhisperTokenizer` trained on a few lines."""
    import json

    from tokenizers import AddedToken, ByteLevelBPETokenizer
    from transformers import WhisperTokenizer

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(LINES * 2, vocab_size=380, min_frequency=2, show_progress=False)
    model = json.loads(trained.to_str())["model"]
    made = WhisperTokenizer(
        vocab={**model["vocab"], "<|endoftext|>": len(model["vocab"])},
        merges=[tuple(pair) for pair in model["merges"]],
        pad_token="<|endoftext|>",  # noqa: S106
        additional_special_tokens=marks()[1:],
    )
    times = [AddedToken(f"<|{step * 0.02:.2f}|>", special=False, normalized=False) for step in range(50 * WINDOW + 1)]
    made.add_tokens(times)
    return made


def build(folder: Path) -> None:
    """Save one, trained for some seconds."""
    from transformers import WhisperFeatureExtractor

    save(folder, learnt(), WhisperFeatureExtractor(feature_size=80, chunk_length=WINDOW))


def save(folder: Path, network: Any, extractor: Any) -> None:
    """As the published repositories have it."""
    from transformers import GenerationConfig

    words = tokenizer()
    number = words.convert_tokens_to_ids
    end = number("<|endoftext|>")
    network.generation_config = GenerationConfig(
        alignment_heads=[[0, 0], [1, 1]],
        begin_suppress_tokens=[number("Ġ"), end],
        suppress_tokens=[number("("), number("<|translate|>")],
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=number("<|startoftranscript|>"),
        is_multilingual=True,
        lang_to_id={mark: number(mark) for mark in marks()[2:-6]},
        task_to_id={task: number(f"<|{task}|>") for task in ("transcribe", "translate")},
        no_timestamps_token_id=number("<|notimestamps|>"),
        max_initial_timestamp_index=50,
        max_length=224,
    )
    network.save_pretrained(folder)
    extractor.save_pretrained(folder)
    words.save_pretrained(folder)
    words.save_vocabulary(str(folder))


@cache
def learnt(steps: int = 112) -> Any:
    """A network that says what lj.flac says, and of its beginnings the words that they hold."""
    import soundfile
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    from tests.conftest import ROOT

    words, extractor = tokenizer(), WhisperFeatureExtractor(feature_size=80, chunk_length=WINDOW)
    torch.manual_seed(0)
    number = words.convert_tokens_to_ids
    end_mark = number("<|endoftext|>")
    config = WhisperConfig(
        vocab_size=len(words),
        num_mel_bins=80,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=96,
        decoder_ffn_dim=96,
        max_source_positions=50 * WINDOW,
        max_target_positions=224,
        pad_token_id=end_mark,
        bos_token_id=end_mark,
        eos_token_id=end_mark,
        decoder_start_token_id=number("<|startoftranscript|>"),
        begin_suppress_tokens=None,
        suppress_tokens=None,
    )
    network = WhisperForConditionalGeneration(config)
    samples, rate = soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")
    parts = SAID.split(" ")[1:]
    prompts = [  # as multilingual models are asked, and as English ones are
        [number(f"<|{name}|>") for name in ("startoftranscript", "en", "transcribe", "notimestamps")],
        [number(f"<|{name}|>") for name in ("startoftranscript", "notimestamps")],
    ]
    sounds, texts = [], []
    for second in (1, 2, 3, 4, 5, 6, 7, 9):  # the words that were said by then, as if all letters took as long
        said = [word for i, word in enumerate(parts) if len(" ".join(parts[: i + 1])) / len(SAID) < second / SECONDS]
        sounds.append(extractor(samples[: second * rate], sampling_rate=rate, return_tensors="pt").input_features)
        numbers = words("".join(" " + word for word in said), add_special_tokens=False).input_ids
        texts.append([*numbers, end_mark])
    features, longest = torch.cat(sounds), max(map(len, texts))
    forms = []
    for prompt in prompts:
        full = [[*prompt, *text, *[end_mark] * (longest - len(text))] for text in texts]
        skip = [-100 if len(prompt) == 2 else prompt[1], *[-100] * (len(prompt) - 2)]  # the language is told, too
        wanted = [[*skip, *text, *[-100] * (longest - len(text))] for text in texts]
        forms.append((torch.tensor(full)[:, :-1], torch.tensor(wanted)))
    learning = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(steps):
        given, wanted = forms[step % 2]
        which = torch.tensor([step % 7, 7])
        logits = network(features[which], decoder_input_ids=given[which]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted[which].flatten())
        learning.zero_grad()
        loss.backward()
        learning.step()
        for group in learning.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 15, 2 * (1 - step / steps))
    return network.eval()


TINIES = [
    Tiny(entry("tiny-whisper", "asr", "whisper", languages=("en", "es")), build, knows=True),
]
