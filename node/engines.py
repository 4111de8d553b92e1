"""Chooses and starts the engines of one job, all at the same time.

Knows the registry and the tasks, no engine by name. A missing speaker encoder costs the likeness figures, nothing else;
it is said in the result.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

from ml.engines.protocols import Asr, Engine, Mt, SpeakerEncoder, Task, Tts
from ml.engines.registry import Registry
from ml.errors import ModelDamaged, Unavailable, UnsupportedLanguage
from node.report import EngineLine


@dataclass(frozen=True)
class EngineNames:
    """Engines asked for by name; None lets the registry choose the best that is present."""

    asr: str | None = None
    mt: str | None = None
    tts: str | None = None


@dataclass(frozen=True)
class Engines:
    """The running engines of a job. What a job does not need is None."""

    mt: Mt
    asr: Asr | None = None
    tts: Tts | None = None
    speaker: SpeakerEncoder | None = None
    warnings: tuple[str, ...] = ()


def load_engines(registry: Registry, names: EngineNames, *, hear: bool = True, speak: bool = True) -> Engines:
    """Start the engines that a job needs. Raises Unavailable with the way to get what is missing."""
    wanted: dict[Task, str | None] = {"mt": names.mt}
    if hear:
        wanted["asr"] = names.asr
    if speak:
        wanted["tts"] = names.tts
        wanted["speaker"] = None
    warnings: list[str] = []
    with ThreadPoolExecutor(len(wanted)) as pool:
        loading = {task: pool.submit(registry.load, task, name) for task, name in wanted.items()}
        loaded: dict[Task, Engine | None] = {}
        for task, future in loading.items():
            try:
                loaded[task] = future.result()
            except (Unavailable, ModelDamaged) as error:
                if task != "speaker":
                    raise
                loaded[task] = None
                warnings.append(f"Likeness is not measured: {error.sentence} {error.remedy}".strip())
    return Engines(
        mt=cast(Mt, loaded["mt"]),
        asr=cast("Asr | None", loaded.get("asr")),
        tts=cast("Tts | None", loaded.get("tts")),
        speaker=cast("SpeakerEncoder | None", loaded.get("speaker")),
        warnings=tuple(warnings),
    )


def source_language(asked: str, asr: Asr) -> tuple[str, str | None]:
    """The input's language, and a remark when it was assumed rather than known. Raises UnsupportedLanguage."""
    known = asr.capabilities().languages
    if asked == "auto":
        if len(known) == 1:
            return known[0], f"The input is taken as {known[0]!r}: {asr.spec.name} knows no other language."
        raise UnsupportedLanguage(
            f"{asr.spec.name} knows several languages and does not tell them apart.",
            f"Say which with --from, one of: {', '.join(known)}.",
        )
    if asked not in known:
        raise UnsupportedLanguage(
            f"{asr.spec.name} does not understand speech in {asked!r}.", f"It knows: {', '.join(known)}."
        )
    return asked, None


def describe(engine: Engine, task: Task, chosen: str | None, route: tuple[str, ...] = ()) -> EngineLine:
    """What the report says of an engine."""
    spec = engine.spec
    why = "asked for by name" if chosen else "the best that is installed"
    return EngineLine(task, spec.name, engine.capabilities().version, spec.licence, why, route)
