"""What the tiny translators share: a few sentences, sentencepiece models trained on them, and seconds of training."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

PAIRS = (
    ("Good morning, my friend.", "Buenos días, amigo mío."),
    ("Good night, my friend.", "Buenas noches, amigo mío."),
    ("Good afternoon.", "Buenas tardes."),
    ("Thank you very much.", "Muchas gracias."),
    ("Where is the station?", "¿Dónde está la estación?"),
    ("Where is the house?", "¿Dónde está la casa?"),
    ("The house is big.", "La casa es grande."),
    ("The dog is small.", "El perro es pequeño."),
    ("The cat is small.", "El gato es pequeño."),
    ("The cat drinks water.", "El gato bebe agua."),
    ("The dog drinks milk.", "El perro bebe leche."),
    ("I have a dog.", "Tengo un perro."),
    ("I have a house.", "Tengo una casa."),
    ("We live in a big city.", "Vivimos en una ciudad grande."),
    ("The children read a book.", "Los niños leen un libro."),
    ("My brother reads a book.", "Mi hermano lee un libro."),
    ("Tomorrow we go to the sea.", "Mañana vamos al mar."),
    ("Today it rains a lot.", "Hoy llueve mucho."),
    ("The train arrives at nine.", "El tren llega a las nueve."),
    ("I do not understand.", "No entiendo."),
    ("See you tomorrow.", "Hasta mañana."),
    ("The bridge is very old.", "El puente es muy viejo."),
)
"""English and Spanish."""
FRENCH = ("Bonjour, mon ami.", "Bonne nuit, mon ami.", "Bon après-midi.", "Merci beaucoup.", "Où est la gare ?")
"""The first of `PAIRS` in French."""


def pieces(lines: Sequence[str], size: int, **options: Any) -> bytes:
    """A sentencepiece model of `size` pieces."""
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=written,
        vocab_size=size,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
        **{"character_coverage": 1.0, **options},
    )
    return written.getvalue()


def train(network: Any, rows: Sequence[tuple[list[int], list[int]]], pad: int, start: int, steps: int = 160) -> None:
    """Until the sentences are known by heart: source and target tokens, teacher forced. The padding's embedding stays
    zero, as in the published checkpoints; Marian starts with it."""
    import torch

    def table(lines: Sequence[Sequence[int]], fill: int) -> Any:
        width = max(map(len, lines))
        return torch.tensor([[*line, *[fill] * (width - len(line))] for line in lines])

    sources, targets = [source for source, _ in rows], [target for _, target in rows]
    ids, labels = table(sources, pad), table(targets, -100)
    mask = (table([[1] * len(source) for source in sources], 0)).long()
    fed = table([[start, *target[:-1]] for target in targets], pad)
    optimiser = torch.optim.Adam(network.parameters(), lr=4e-3)
    network.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * min(1.0, (step + 1) / 10, (steps - step) / (steps / 2))
        optimiser.zero_grad()
        loss = network(input_ids=ids, attention_mask=mask, decoder_input_ids=fed, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            network.get_input_embeddings().weight[pad] = 0.0
    network.eval()


def save(network: Any, folder: Path) -> None:
    """As its publisher would, without a bar on the terminal."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    try:
        network.save_pretrained(folder)
    finally:
        transformers.utils.logging.enable_progress_bar()


def published(name: str) -> tuple[dict[str, Any], dict[str, list[int]], int]:
    """What is published of a checkpoint (tests/golden/checkpoints), and the tensors and parameters of the network that
    transformers makes of its configuration, without memory for them. `layers.*.` stands for all layers alike; a tensor
    that is another one by a second name is left out, and so are sinusoids."""
    import torch
    import transformers

    told: dict[str, Any] = json.loads((ROOT / "tests" / "golden" / "checkpoints" / f"{name}.json").read_text())
    kind = getattr(transformers, told["class"])
    with torch.device("meta"):
        network = kind(kind.config_class(**told["config"]))
    network.tie_weights()
    named = dict(network.named_parameters())  # each table once
    tensors: dict[str, list[int]] = {}
    for key, tensor in (named | dict(network.named_buffers())).items():
        if "embed_positions" not in key:
            tensors.setdefault(re.sub(r"layers\.\d+\.", "layers.*.", key), list(tensor.shape))
    count = sum(tensor.numel() for key, tensor in named.items() if "embed_positions" not in key)
    return told, tensors, count
