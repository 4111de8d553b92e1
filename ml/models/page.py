"""The table of models on the page docs/models.md, made from the catalogue, so that the two never differ.

`python -m ml.models.page docs/models.md` writes it anew. Knows nothing of what is on a machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ml.models.catalogue import Catalogue
from ml.models.entry import HubSource, ModelEntry

BEGIN, END = "<!-- models: begin -->", "<!-- models: end -->"
TASKS = {
    "asr": "Hear",
    "ast": "Hear in one language, write in another",
    "align": "Tell when each word was said",
    "features": "Learnt features",
    "mt": "Translate",
    "tts": "Speak",
    "conversion": "Say the same in another voice",
    "vocoder": "Sound from log-mel",
    "speaker": "Tell voices apart",
    "lips": "Find faces and their lips",
}


def rewritten(page: str, catalogue: Catalogue) -> str:
    """The page with the tables that the catalogue gives. Raises ValueError for one without the marks for them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables(catalogue)}\n{END}{after}"


def tables(catalogue: Catalogue) -> str:
    """A table for each task, as Markdown."""
    parts = []
    for task, title in TASKS.items():
        entries = [entry for entry in catalogue.model if entry.task == task]
        if entries:
            parts.append(
                f"### {title} (`{task}`)\n\n| model | languages | memory | licence | sets |\n|---|---|---|---|---|\n"
            )
            parts += [_row(entry) for entry in entries]
            parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


def _row(entry: ModelEntry) -> str:
    name = f"`{entry.name}`"
    if isinstance(entry.source, HubSource):
        name = f"[`{entry.name}`](https://huggingface.co/{entry.source.repo})"
    licence = entry.licence if entry.use == "any" else f"**{entry.licence}** ({entry.use})"
    cells = (name, _languages(entry), _memory(entry), licence, ", ".join(entry.sets))
    return "| " + " | ".join(cells) + " |\n"


def _languages(entry: ModelEntry) -> str:
    codes = entry.pairs or entry.languages
    if not codes:
        return "any"
    return ", ".join(codes) if len(codes) <= 6 else f"{len(codes)}"


def _memory(entry: ModelEntry) -> str:
    if not entry.memory:
        return "little"
    sizes = {"float32": "float32", "float16": "16 bits", "bfloat16": "16 bits", "int8": "int8"}
    told = {sizes[dtype]: f"{size / 1e9:.2f} GB {sizes[dtype]}" for dtype, size in entry.memory.items()}
    return ", ".join(told.values())


def main(arguments: list[str]) -> int:
    """Write the tables of the named page anew."""
    path = Path(arguments[0])
    path.write_text(rewritten(path.read_text(encoding="utf-8"), Catalogue.load()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
