"""Which engine serves a wish on this machine, and why: by language, licence, memory, device and rank.

Pure: specs, a wish and the hardware go in; the engines to try, in order, come out, and for each of the others why it
was passed over; and what to tell a person where none is left. Builds nothing. Knows no engine by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ml.device import Hardware, Placement, least, placements
from ml.engines.protocols import EngineHome, EngineSpec, Need, Task
from ml.errors import MlError, Unavailable, UnsupportedLanguage

AUTO = "auto"
"""As the name of an engine: whichever is best, as if none were named."""
ALLOW = "Allow more by `memory` in [engines], or choose a smaller one: node models list"
FREE = "Close other programs, or choose a smaller one: node models list"
ANOTHER = "Choose another one: node models list"
LIST = "For engines of more languages: node models list"
USUAL = "en"
"""The language that is most often translated from, where it is not known."""


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
    fault: bool = False
    """Whether it would be tried, were nothing wrong with its files or its entry."""
    better: bool = False
    """Whether it would be tried before all candidates."""
    fetch: bool = False
    """Whether it could serve if its model were fetched."""
    said: MlError | None = None
    """What the engine itself said, where it was built and knows better than its description."""


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
            passed.append(replace(reason, better=not found))
            continue
        places = placements(spec.memory, hardware) if spec.memory else ()
        found.append(Candidate(spec, _why(spec, places, named=name is not None, first=not found), places))
    return Ranking(tuple(found), tuple(passed))


def catalogued(need: Need) -> bool:
    """Whether it is a model of the catalogue, which could be fetched; what is of Babelmesh's own comes before it."""
    return bool(need.model)


def more_of(count: int) -> str:
    """So many more, in words."""
    return "1 other" if count == 1 else f"{count} others"


def told(missing: Sequence[Need], more: int = 0) -> str:
    """What is not met, in words; and that `more` needs are not met either."""
    plain, others = ", ".join(need.name for need in missing if not need.gap), f" (or {more_of(more)})" if more else ""
    gaps = [need.gap for need in missing if need.gap]
    return "; ".join([f"{plain}{others} is missing", *gaps] if plain else gaps) + ("" if plain else others)


def mending(missing: Sequence[Need]) -> str:
    """What helps where needs are not met: first what was right before and is wrong now."""
    return next((need.remedy for need in missing if need.fault), missing[0].remedy)


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
    missing = spec.missing(home)
    if missing:
        return Passed(
            spec,
            told(missing),
            mending(missing),
            fetch=all(need.kind == "model" for need in missing),
            fault=any(need.fault for need in missing) and (named or spec.use == "any"),
        )
    if spec.use != "any" and not named:
        return Passed(spec, f"its licence, {spec.licence}, is not for every use", f"ask for it by name: {spec.name}")
    if spec.memory and not placements(spec.memory, hardware):
        return _too_large(spec, hardware)
    return None


def _too_large(spec: EngineSpec, hardware: Hardware) -> Passed:
    """With the size in the numbers that could be computed in here, and what bounds it."""
    smallest = least(spec.memory, hardware)
    if smallest is None:
        return Passed(spec, f"it computes only in {', '.join(spec.memory)}, and this machine does not", ANOTHER)
    dtype, needed = smallest
    need, most = f"it needs {_size(needed)} in {dtype}", _size(hardware.most)
    if hardware.bound:
        return Passed(spec, f"{need}, and `memory` in [engines] allows {most}", ALLOW)
    return Passed(spec, f"{need}, and {most} are free for engines", FREE)


def refusal(wish: Wish, passed: Sequence[Passed], name: str | None = None, others: Sequence[str] = ()) -> MlError:
    """What to say when nobody can serve: of the one that was asked for why it does not, else what would help most.

    `others` are the names of engines that could serve in the place of `name`.
    """
    languages = " to ".join(one for one in (wish.source, wish.target) if one)
    if name is not None:
        one = next(one for one in passed if one.spec.name == name)
        return _named(one, languages, others, _fetchable(wish, passed))
    what = f"No {wish.task} engine can serve" + (f" {languages}" if languages else "")
    pull = _fetchable(wish, passed)
    said = next((one.said for one in passed if one.said is not None), None)
    mended = next((one for one in passed if not (one.fetch or one.language) and one.remedy), None)
    if mended is not None:
        return Unavailable(f"{what}: {mended.spec.name}: {mended.reason}.", mended.remedy)
    if said is not None:
        packages = said.remedy if said.remedy.startswith("sudo ") else ""
        return type(said)(said.sentence, "  or: ".join(one for one in (packages, pull) if one) or said.remedy)
    if passed and all(one.language for one in passed):
        at_hand = sorted(passed, key=lambda one: any(need.kind == "model" for need in one.spec.needs))[:3]
        names = ", ".join(f"{one.spec.name} knows {_languages(one.spec)}" for one in at_hand)
        more = f" and {more_of(len(passed) - 3)}" if len(passed) > 3 else ""
        return UnsupportedLanguage(f"{what}: {names}{more}.", LIST)
    if pull:
        kind = UnsupportedLanguage if any(one.language for one in passed) else Unavailable
        return kind(f"{what} with what is here.", pull)
    first = next((one for one in passed if not one.language), passed[0])
    return Unavailable(f"{what}: {first.spec.name}: {first.reason}.", first.remedy or "node models list")


def _named(one: Passed, languages: str, others: Sequence[str], pull: str) -> MlError:
    name = one.spec.name
    if one.said is not None and not (others or pull):
        return one.said
    if one.language or one.said is not None:
        sentence = (
            one.said.sentence if one.said else f"{name} does not know {languages}: it knows {_languages(one.spec)}."
        )
        instead = f"Leave it out, or name one that does: {', '.join(others[:5])}." if others else pull or LIST
        return UnsupportedLanguage(sentence, instead)
    return Unavailable(f"{name} cannot be used: {one.reason}.", one.remedy or "node models list")


def _fetchable(wish: Wish, passed: Sequence[Passed]) -> str:
    """The command that fetches a model for the wish, the most fitting one first; empty where none is known."""
    wanted = [one for one in passed if one.fetch and one.spec.use == "any" and speaks(one.spec, wish)]
    if wish.source and wish.target and _same(wish.source, wish.target):
        return ""
    usual = {source.split("-")[0] for source in (wish.source, USUAL) if source}
    wanted.sort(
        key=lambda one: (
            any(catalogued(need) for need in one.spec.needs),
            not one.spec.pairs,
            not any(source.split("-")[0] in usual for source, _ in one.spec.pairs),
        )
    )
    return wanted[0].remedy if wanted else ""


def _languages(spec: EngineSpec) -> str:
    known = spec.languages or tuple(f"{source} to {target}" for source, target in spec.pairs)
    return ", ".join(known) or "others" if len(known) <= 6 else f"{len(known)} others"


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


def _size(amount: float) -> str:
    return f"{amount / 1e9:.2f} GB"
