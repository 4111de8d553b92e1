"""Chooses and starts the engines of one job, all at the same time.

Knows the registry and the tasks, no engine by name. A missing speaker encoder costs the likeness figures, nothing else;
it is said in the result.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from typing import cast

from ml.engines.choice import USUAL, Wish
from ml.engines.protocols import Asr, Ast, Engine, Mt, SpeakerEncoder, Task, Tts
from ml.engines.registry import Pick, Registry
from ml.errors import EngineFailed, MlError, ModelDamaged, Unavailable, UnsupportedLanguage
from ml.languages import find, known
from ml.languages import languages as all_languages
from node.report import EngineLine


@dataclass(frozen=True)
class EngineNames:
    """Engines asked for by name; None lets the registry choose the best that is present."""

    asr: str | None = None
    mt: str | None = None
    tts: str | None = None
    ast: str | None = None
    """Speech straight to the other language: with it there is neither recogniser nor translator. Only by name."""


@dataclass(frozen=True)
class Engines:
    """The running engines of a job. What a job does not need is None."""

    mt: Mt | None = None
    asr: Asr | None = None
    ast: Ast | None = None
    tts: Tts | None = None
    speaker: SpeakerEncoder | None = None
    warnings: tuple[str, ...] = ()
    why: Mapping[Task, str] = field(default_factory=dict)
    """Why each of them, in words."""
    translator: Callable[[str], Mt] | None = None
    """The translator from a language that is known only when it is heard. Raises as `load_engines`."""
    said: Callable[[], tuple[str, ...]] = tuple
    """What they said of themselves since this was called before, such as that a process ended."""


@dataclass(frozen=True)
class Languages:
    """What a job is from and to; None or "auto" where that is not known before it is heard."""

    source: str | None = None
    target: str | None = None


def load_engines(
    registry: Registry, names: EngineNames, languages: Languages | None = None, *, hear: bool = True, speak: bool = True
) -> Engines:
    """Start the engines that a job needs, those that know its languages.

    Raises Unavailable with the way to get what is missing.
    """
    asked = languages or Languages()
    for code in (asked.source, asked.target):
        _check_language(registry, code)
    for task, name in cast("dict[Task, str | None]", asdict(names)).items():
        registry.check_name(task, name)  # a name that is not needed now may be wrong as well
    source = None if asked.source == "auto" else asked.source
    wanted: dict[Task, tuple[Wish, str | None]] = {}
    if hear and names.ast is not None:
        wanted["ast"] = (Wish("ast", source, asked.target), names.ast)
    else:
        wanted["mt"] = (Wish("mt", source, asked.target), names.mt)
        if hear:
            wanted["asr"] = (Wish("asr", source), names.asr)
    if speak:
        wanted["tts"] = (Wish("tts", target=asked.target), names.tts)
        wanted["speaker"] = (Wish("speaker"), None)
    for wish, name in wanted.values():
        if wish.task != "speaker":  # before an engine is imported for what another one refuses
            registry.check(wish, name)
    warnings: list[str] = []
    said = registry.listen()
    with ThreadPoolExecutor(len(wanted)) as pool:
        loading = {
            wish.task: pool.submit(registry.pick, wish, name, partial(_refusal, wish)) for wish, name in wanted.values()
        }
        picks: dict[Task, Pick] = {}
        for task, future in loading.items():
            try:
                picks[task] = future.result()
            except (Unavailable, ModelDamaged, EngineFailed) as error:
                if task != "speaker":
                    raise
                warnings.append(f"Likeness is not measured: {error.whole}")
            else:
                warnings.extend(picks[task].troubles)

    def translator(heard: str) -> Mt:
        wish = Wish("mt", heard, asked.target)
        return cast(Mt, registry.pick(wish, names.mt, partial(_refusal, wish)).engine)

    loaded: dict[Task, Engine] = {task: pick.engine for task, pick in picks.items()}
    return Engines(
        mt=cast("Mt | None", loaded.get("mt")),
        ast=cast("Ast | None", loaded.get("ast")),
        asr=cast("Asr | None", loaded.get("asr")),
        tts=cast("Tts | None", loaded.get("tts")),
        speaker=cast("SpeakerEncoder | None", loaded.get("speaker")),
        warnings=tuple(warnings),
        why={task: pick.why for task, pick in picks.items()},
        translator=translator,
        said=said,
    )


def _check_language(registry: Registry, code: str | None) -> None:
    """Raise UnsupportedLanguage for what is no language, with the one that it may have been meant for."""
    if code in (None, "auto") or known(code):
        return
    for spec in registry.specs():  # one may know a language that our table has not
        if code.lower() in {one.lower() for one in (*spec.languages, *chain.from_iterable(spec.pairs))}:
            return
    names = {one.name.lower(): one for one in all_languages()}
    near = difflib.get_close_matches(code.lower(), names, 1, 0.75)
    meant = f"Did you mean {names[near[0]].tag} ({names[near[0]].name})?" if near else ""
    raise UnsupportedLanguage(f"There is no language {code[:40]!r}.", meant or "Use codes such as en, es, pt-BR.")


def _refusal(wish: Wish, engine: Engine) -> MlError | None:
    """Why a running translator cannot serve a direction; None where it can. Others say their languages themselves."""
    if wish.task != "mt" or wish.target is None:
        return None
    source, target = (None if one is None else one.lower().split("-")[0] for one in (wish.source, wish.target))
    pairs = {tuple(one.lower().split("-")[0] for one in pair) for pair in engine.capabilities().pairs}
    if not pairs or any(source in (None, start) and target == end for start, end in pairs):
        return None
    try:  # another way of writing the languages may be known to it
        cast(Mt, engine).prepare(wish.source or USUAL, wish.target)
    except UnsupportedLanguage as error:
        return error
    return None


def source_language(asked: str, asr: Asr) -> tuple[str | None, str | None]:
    """The input's language, None where the engine tells it as it hears, and a remark when it was assumed rather than
    known. Raises UnsupportedLanguage."""
    able = asr.capabilities()
    heard = able.languages
    if asked == "auto":
        if able.detects and len(heard) != 1:
            return None, None
        if len(heard) == 1:
            return heard[0], f"The input is taken as {heard[0]!r}: {asr.spec.name} knows no other language."
        raise UnsupportedLanguage(
            f"{asr.spec.name} knows several languages and does not tell them apart.",
            f"Say which with --from, one of: {', '.join(heard)}.",
        )
    if asked in heard:
        return asked, None
    if known(asked) and find(asked).tag in heard:
        return find(asked).tag, None
    raise UnsupportedLanguage(
        f"{asr.spec.name} does not understand speech in {asked!r}.", f"It knows: {', '.join(heard)}."
    )


def spoken_language(asked: str, ast: Ast, target: str) -> tuple[str | None, str | None]:
    """The input's language for an engine that goes straight to `target`, None where the engine tells it by itself, and
    a remark when it was assumed. Raises UnsupportedLanguage."""
    able = ast.capabilities()
    known = sorted({source for source, to in able.pairs if to == find(target).tag})
    if not known:
        targets = ", ".join(sorted({to for _, to in able.pairs}))
        raise UnsupportedLanguage(f"{ast.spec.name} does not translate speech to {target!r}.", f"It knows: {targets}.")
    if asked == "auto":
        if able.detects:
            return None, None
        if len(known) == 1:
            return known[0], f"The input is taken as {known[0]!r}: {ast.spec.name} goes to {target!r} from no other."
        raise UnsupportedLanguage(
            f"{ast.spec.name} knows several languages and does not tell them apart.",
            f"Say which with --from, one of: {', '.join(known)}.",
        )
    if find(asked).tag not in known:
        raise UnsupportedLanguage(
            f"{ast.spec.name} does not translate speech from {asked!r} to {target!r}.", f"From: {', '.join(known)}."
        )
    return find(asked).tag, None


def describe(engine: Engine, task: Task, engines: Engines, route: tuple[str, ...] = ()) -> EngineLine:
    """What the report says of an engine of a job."""
    spec = engine.spec
    return EngineLine(task, spec.name, engine.capabilities().version, spec.licence, engines.why.get(task, ""), route)
