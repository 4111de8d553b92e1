"""A tiny Whisper that has learnt to transcribe one recording and to translate it: two questions, two answers."""

from __future__ import annotations

from pathlib import Path

from tests.ml.engines.tiny import Tiny, entry
from tests.ml.engines.tiny_whisper import SAID, WINDOW, build, learnt, tokenizer

TRANSLATED = " The art of printing may be considered an invention of the middle."
"""What the network says of lj.flac when it is asked to translate."""


def build_both(folder: Path, steps: int = 40) -> None:
    """Save one that answers both tasks."""
    import copy

    import soundfile
    import torch
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    from tests.conftest import ROOT

    words, extractor = tokenizer(), WhisperFeatureExtractor(feature_size=80, chunk_length=WINDOW)
    build(folder)  # all files but the weights stay
    settings = copy.deepcopy(WhisperForConditionalGeneration.from_pretrained(folder).generation_config)
    torch.manual_seed(1)
    network = copy.deepcopy(learnt()).train()
    number = words.convert_tokens_to_ids
    samples, rate = soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")
    sound = extractor(samples, sampling_rate=rate, return_tensors="pt").input_features
    rows = []
    for language, task, text in (
        ("en", "transcribe", SAID),
        ("en", "translate", TRANSLATED),
        ("es", "translate", TRANSLATED),
    ):
        prompt = [number(f"<|{name}|>") for name in ("startoftranscript", language, task, "notimestamps")]
        said = [*words(text, add_special_tokens=False).input_ids, number("<|endoftext|>")]
        rows.append((prompt, said))
    longest = max(len(said) for _, said in rows)
    end = number("<|endoftext|>")
    given = torch.tensor([[*prompt, *said, *[end] * (longest - len(said))] for prompt, said in rows])[:, :-1]
    wanted = torch.tensor([[-100, -100, -100, *said, *[-100] * (longest - len(said))] for _, said in rows])
    learning = torch.optim.Adam(network.parameters(), 2e-3)
    for step in range(steps):
        for group in learning.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 5, 2 * (1 - step / steps))
        encoded = network.get_encoder()(sound).last_hidden_state.expand(len(rows), -1, -1)
        logits = network(encoder_outputs=(encoded,), decoder_input_ids=given).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        learning.zero_grad()
        loss.backward()
        learning.step()
    network.generation_config = settings
    network.eval().save_pretrained(folder)


TINIES = [
    Tiny(entry("tiny-whisper-translate", "ast", "whisper-translate", languages=("en", "es")), build_both, knows=True)
]
