"""Which engine serves a wish on this machine, and why: by language, licence, memory, device and rank.

Pure: specs, a wish and the hardware go in; the engines to try, in order, come out, and for each of the others why it
was passed over. Builds nothing. Knows no engine by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ml.device import Hardware, Placement, placements
from ml.engines.protocols import EngineHome, EngineSpec, Task


@dataclass(frozen=True)
class Wish:
    """What is wanted: a task, and of which languages (BCP 47) it must be; None where that is not known yet.

    `source` is what is heard or read, `target` what is written or spoken.
    """

    task: Task
    source: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Candidate:
    """An engine that can serve, in words why, and where it would compute (empty for engines that choose themselves)."""

    spec: EngineSpec
    why: str
    places: tuple[Placement, ...] = ()


@dataclass(frozen=True)
class Passed:
    """An engine that cannot serve, why, and what would help (empty when nothing does)."""

    spec: EngineSpec
    reason: str
    remedy: str = ""
    language: bool = False
    """Whether it is only that it does not know the languages."""


@dataclass(frozen=True)
class Ranking:
    """Engines to try, best first, and those passed over."""

    candidates: tuple[Candidate, ...]
    passed: tuple[Passed, ...]


def rank(
    specs: Sequence[EngineSpec], wish: Wish, home: EngineHome, hardware: Hardware, name: str | None = None
) -> Ranking:
    """All engines of the wish's task, sorted into those to try and those passed over.

    With `name` only that one is a candidate, and its licence is the user's own business.
    """
    found: list[Candidate] = []
    passed: list[Passed] = []
    for spec in sorted((spec for spec in specs if spec.task == wish.task), key=lambda spec: _order(spec, hardware)):
        if name is not None and spec.name != name:
            passed.append(Passed(spec, "another one was asked for"))
            continue
        reason = _unfit(spec, wish, home, hardware, named=name is not None)
        if reason is not None:
            passed.append(reason)
            continue
        places = placements(spec.memory, hardware) if spec.memory else ()
        found.append(Candidate(spec, _why(spec, places, named=name is not None, first=not found), places))
    return Ranking(tuple(found), tuple(passed))


def speaks(spec: EngineSpec, wish: Wish) -> bool:
    """Whether its description leaves open that it knows the languages; a loaded engine may still know better."""
    if spec.pairs:
        return any(
            (wish.source is None or _same(source, wish.source)) and (wish.target is None or _same(target, wish.target))
            for source, target in spec.pairs
        )
    if not spec.languages:
        return True
    wanted = {"asr": (wish.source,), "align": (wish.source,), "tts": (wish.target,)}.get(
        wish.task, (wish.source, wish.target)
    )
    return all(one is None or any(_same(known, one) for known in spec.languages) for one in wanted)


def _unfit(spec: EngineSpec, wish: Wish, home: EngineHome, hardware: Hardware, named: bool) -> Passed | None:
    if not speaks(spec, wish):
        wanted = " to ".join(one for one in (wish.source, wish.target) if one)
        return Passed(spec, f"it does not know {wanted}", language=True)
    if spec.use != "any" and not named:
        return Passed(spec, f"its licence, {spec.licence}, is not for every use", f"ask for it by name: {spec.name}")
    missing = spec.missing(home)
    if missing:
        return Passed(spec, ", ".join(need.name for need in missing) + " is missing", missing[0].remedy)
    if spec.memory and not placements(spec.memory, hardware):
        least = min(spec.memory.values())
        return Passed(spec, f"it needs {_size(least)}, and {_size(hardware.memory)} are free", "Close other programs.")
    return None


def _why(spec: EngineSpec, places: Sequence[Placement], named: bool, first: bool) -> str:
    where = f" on {places[0].device} in {places[0].dtype} ({places[0].why})" if places else ""
    if named:
        return f"asked for by name{where}"
    return f"the best that is installed{where}" if first else f"next best{where}"


def _order(spec: EngineSpec, hardware: Hardware) -> tuple[int, str]:
    """Best first, by the rank on the device that it would be on."""
    places = placements(spec.memory, hardware)
    on_cpu = hardware.gpu is None or (bool(places) and places[0].device == "cpu")
    slow = on_cpu and spec.cpu_rank is not None
    return (-(spec.cpu_rank if slow and spec.cpu_rank is not None else spec.rank), spec.name)


def _same(known: str, wanted: str) -> bool:
    """Whether an engine that knows `known` serves `wanted`: a region more or less is no other language."""
    return known.lower() == wanted.lower() or known.lower().split("-")[0] == wanted.lower().split("-")[0]


def _size(amount: int) -> str:
    return f"{amount / 1e9:.1f} GB"
