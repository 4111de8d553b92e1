"""What an engine must have is told to those who write one: the page lists every method of every Protocol as it is."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from ml.engines import protocols
from ml.engines.protocols import MORE_TASKS, TASKS, Engine

PROTOCOLS = {
    "every task": ("Engine", "Rehearsing"),
    "asr": ("Asr", "AsrSession"),
    "mt": ("Mt", "BatchMt"),
    "tts": ("Tts", "StreamingTts"),
    "speaker": ("SpeakerEncoder",),
    "ast": ("Ast",),
    "align": ("Aligner",),
    "features": ("FeatureExtractor",),
    "vocoder": ("Vocoder",),
    "conversion": ("VoiceConverter",),
}
"""The Protocols of each task; those after the first are what `listen` gives, or may be had beside."""


def listing() -> str:
    """The members of all Protocols, as they stand in docs/engines.md."""
    lines: list[str] = []
    for task, names in PROTOCOLS.items():
        for name in names:
            kind = getattr(protocols, name)
            lines += ["", f"class {name}:  # {task}: {inspect.getdoc(kind)}"]
            lines += [f"    {what}: {of}" for what, of in inspect.get_annotations(kind).items()]
            lines += [
                f"    def {what}{inspect.signature(method)}".replace("'", "")
                for what, method in vars(kind).items()
                if not what.startswith("_") and inspect.isfunction(method)
            ]
    return "\n".join(lines[1:])


def test_every_protocol_of_every_task_is_listed() -> None:
    classes = {name: kind for name, kind in vars(protocols).items() if inspect.isclass(kind)}
    there = {name for name, kind in classes.items() if getattr(kind, "_is_protocol", False)}
    assert {name for names in PROTOCOLS.values() for name in names} == there - {"Protocol"}
    assert set(PROTOCOLS) == {"every task", *TASKS, *MORE_TASKS}


def test_the_page_has_the_methods_as_they_are(repository: Path) -> None:
    page = (repository / "docs" / "engines.md").read_text(encoding="utf-8")
    assert f"```python\n{listing()}\n```" in page, f"write into docs/engines.md:\n{listing()}"


def test_a_method_that_changes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = listing()
    monkeypatch.setattr(Engine, "close", lambda self, quickly: None)
    assert listing() != before
