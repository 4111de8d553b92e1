"""A tiny Canary that transcribes one recording of the project and translates it into two languages.

The tokenizer has Canary's control symbols in their published places (padding 2, end 3, transcript 4, context 7), and
words begin with the sign that the published one begins them with.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry

SAID = (
    "The invention of movable metal letters in the middle of the fifteenth century may justly be considered as the"
    " invention of the art of printing."
)
MEANT = {
    "es": "Las letras móviles de metal son la invención de la imprenta.",
    "de": "Bewegliche Lettern sind die Erfindung des Buchdrucks.",
}
"""What it says in other languages."""
LANGUAGES = ("en", "es", "de", "fr")
CONTROLS = (
    *("<|nospeech|>", "<pad>", "<|endoftext|>", "<|startoftranscript|>", "<|pnc|>", "<|nopnc|>", "<|startofcontext|>"),
    *("<|itn|>", "<|noitn|>", "<|timestamp|>", "<|notimestamp|>", "<|diarize|>", "<|nodiarize|>", "<|emo:undefined|>"),
    *(f"<|{code}|>" for code in LANGUAGES),
)
TEMPLATE = (
    "{%- for message in messages %}{%- for part in message['content'] %}{%- if part['type'] == 'text' %}"
    "{{- '<|startofcontext|><|startoftranscript|><|emo:undefined|><|' + part['source_language'] + '|><|'"
    " + part['target_language'] + '|>' + ('<|pnc|>' if part['punctuation'] else '<|nopnc|>')"
    " + '<|noitn|><|notimestamp|><|nodiarize|>' }}{%- endif %}{%- endfor %}{%- endfor %}"
)
"""Writes the prompt in the form that transformers' documentation of the model gives."""


@cache
def processor() -> Any:
    """A `CanaryProcessor`."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import CanaryProcessor, ParakeetFeatureExtractor, TokenizersBackend

    trained = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))  # noqa: S106
    trained.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    trained.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", *CONTROLS], show_progress=False)
    trained.train_from_iterator([SAID, *MEANT.values()] * 3, trainer)
    trained.add_special_tokens([AddedToken(mark, normalized=False, special=True) for mark in CONTROLS])
    tokenizer = TokenizersBackend(
        tokenizer_object=trained,
        clean_up_tokenization_spaces=False,
        bos_token="<|startoftranscript|>",  # noqa: S106
        eos_token="<|endoftext|>",  # noqa: S106
        pad_token="<pad>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
    )
    extractor = ParakeetFeatureExtractor(feature_size=80, n_fft=512, win_length=400, hop_length=160)
    return CanaryProcessor(feature_extractor=extractor, tokenizer=tokenizer, chat_template=TEMPLATE)


@cache
def learnt(steps: int = 150) -> Any:
    """A network that says what lj.flac says and means, and of its beginnings the words that they hold."""
    import soundfile
    import torch
    from transformers import CanaryConfig, CanaryForConditionalGeneration

    from tests.conftest import ROOT

    made = processor()
    size = len(made.tokenizer)
    torch.manual_seed(0)
    encoder = {
        "model_type": "parakeet_encoder",
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "subsampling_conv_channels": 16,
        "num_mel_bins": 80,
        "scale_input": False,
        "layerdrop": 0.0,
        "max_position_embeddings": 500,
    }
    decoder = {
        "vocab_size": size,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 24,
        "max_position_embeddings": 256,
    }
    network = CanaryForConditionalGeneration(
        CanaryConfig(encoder_config=encoder, decoder_config=decoder, vocab_size=size)
    ).eval()
    with torch.no_grad():
        network.model.decoder.embed_tokens.weight.mul_(5.0)  # 0.02 is for thousands of numbers, not for 48
    samples, rate = soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")
    parts = SAID.split(" ")
    rows = []
    for second in (1, 2, 3, 4, 5, 6, 7, 9):  # the words that were said by then, as if all letters took as long
        said = [word for i, word in enumerate(parts) if len(" ".join(parts[: i + 1])) / len(SAID) < second / 8.0]
        rows.append((samples[: second * rate], "en", " ".join(said)))
    rows += [(samples, target, text) for target, text in MEANT.items()]
    forms = []
    for sound, target, text in rows:
        inputs = made.apply_transcription_request(sound, "en", target)
        prompt = inputs["decoder_input_ids"][0].tolist()
        said = [*made.tokenizer(text, add_special_tokens=False).input_ids, 3]
        forms.append((inputs, torch.tensor([[*prompt, *said[:-1]]]), torch.tensor([said]), len(prompt)))
    optimiser = torch.optim.Adam(network.parameters(), lr=4e-3)
    last = len(forms) - 1
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * min(1.0, (step + 1) / 10, 2 * (1 - step / steps))
        loss = torch.tensor(0.0)
        for which in (step % 7, 7, last - step % 2):
            inputs, given, wanted, first = forms[which]
            logits = network(
                inputs["input_features"], attention_mask=inputs["attention_mask"], decoder_input_ids=given
            ).logits
            loss = loss + torch.nn.functional.cross_entropy(logits[0, first - 1 :], wanted[0])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    return network


def build(folder: Path) -> None:
    """Save one, in the layout that `CanaryProcessor` and the network save."""
    network = learnt()
    config = network.config
    network.generation_config.update(
        decoder_start_token_id=config.decoder_start_token_id,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )
    network.save_pretrained(folder)
    processor().save_pretrained(folder)


TINIES = [
    Tiny(entry("tiny-canary", "ast", "canary", languages=LANGUAGES), build, knows=True),
    Tiny(entry("tiny-canary-asr", "asr", "canary-asr", languages=LANGUAGES), build, knows=True),
]
