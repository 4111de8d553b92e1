"""Entries of a catalogue for weights that a user brings."""

from __future__ import annotations

from ml.models.entry import FolderSource, ModelEntry, ModelFile


def entry(**more: object) -> ModelEntry:
    """An entry of Wav2Lip with which nothing is wrong, but for what is told."""
    told: dict[str, object] = {
        "name": "mine",
        "task": "lips",
        "engine": "wav2lip",
        "summary": "for tests",
        "licence": "research only",
        "use": "non-commercial",
        "terms": "Not for money.",
        "source": FolderSource("/nowhere"),
        "files": (ModelFile("wav2lip_gan.pth"),),
        **more,
    }
    return ModelEntry(**told)  # type: ignore[arg-type]
