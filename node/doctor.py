"""Looks at a node and its machine and says what works, what does not, and the command that mends it.

Facts go in (`node.machine`, the registry's specs, the data packs), findings come out; nothing is changed. `deep` also
runs every engine once (`node.trial`). How findings are shown is the door's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ml.engines.checkpoints import unfetched
from ml.engines.choice import AUTO, Wish, refusal
from ml.engines.protocols import EngineSpec, Task
from ml.engines.registry import Registry
from ml.errors import MlError, Unavailable, UnsupportedLanguage
from node.config import Config
from node.machine import Folder, Machine, look_around
from node.packs import Pack, find_packs
from node.trial import Trial, try_device, try_engines

State = Literal["ok", "missing", "broken", "info"]
"""`missing` and `broken` stop something from working; `info` is worth knowing and stops nothing."""

Area = Literal["jobs", "choice", "engines", "data", "programs", "sound", "accelerator", "machine", "storage", "network"]

JOBS: tuple[tuple[str, tuple[Task, ...]], ...] = (
    ("translate a recording", ("asr", "mt", "tts")),
    ("translate text", ("mt",)),
    ("speak a translation", ("mt", "tts")),
    ("measure the likeness of voices", ("speaker",)),
)
"""What a user does, and the tasks that it takes."""
MORE_JOBS: tuple[tuple[str, Task], ...] = (
    ("translate speech without a transcript (node translate --ast)", "ast"),
    ("hear the voice model through a vocoder (node voice reconstruct)", "vocoder"),
    ("say a recording in another voice (node voice convert)", "conversion"),
    ("lay a text along its sound", "align"),
    ("learnt features of speech", "features"),
)
"""What only fetched models do: told where one is here, and nothing is missing where none is."""

OLDEST, NEWEST = (3, 11), (3, 13)
MEMORY_NEEDED = 1 << 30
"""Bytes. A ten-minute file stays below this, engines included."""
DISK_NEEDED = 500 << 20
"""Bytes. Room for the small models and an unfinished job."""


@dataclass(frozen=True)
class Chosen:
    """An engine that a job would take now, why it is this one, and where it would compute; "" where the engine itself
    chooses that."""

    task: Task
    engine: str
    why: str
    device: str = ""
    dtype: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `remedy` is the command or sentence that mends it, empty when nothing is wrong."""

    area: Area
    name: str
    state: State
    detail: str
    remedy: str = ""
    chosen: tuple[Chosen, ...] = ()
    """The engines of a job, in their order."""

    def as_dict(self) -> dict[str, Any]:
        """The finding for JSON, all fields always present."""
        return {
            "area": self.area,
            "name": self.name,
            "state": self.state,
            "detail": self.detail,
            "remedy": self.remedy,
            "chosen": [asdict(one) for one in self.chosen],
        }


def examine(
    config: Config,
    registry: Registry,
    *,
    deep: bool = False,
    broken: Iterable[MlError] = (),
    machine: Machine | None = None,
) -> list[Finding]:
    """Everything worth knowing about this node, jobs first. `machine` is looked at now unless given.

    `deep` loads every engine and gives it a small real job, which takes some seconds. `broken` says which engine
    packages did not import.
    """
    machine = machine or look_around(config.home, config.voices, config.models)
    packs = find_packs()
    findings = [*_jobs(registry, config), *_engines(registry.specs(), registry), *_packs(packs)]
    findings += [Finding("engines", "package", "broken", error.sentence, error.remedy) for error in broken]
    if deep:
        findings += [_trial(trial) for trial in try_engines(registry)]
    return [
        *findings,
        *_programs(machine),
        *_sound(machine),
        *_accelerator(machine),
        *([_trial(try_device())] if deep else []),
        *_machine(machine),
        *_storage(machine),
        *_network(machine),
    ]


def is_well(findings: Iterable[Finding]) -> bool:
    """Whether nothing that was looked at is missing or broken."""
    return all(finding.state in {"ok", "info"} for finding in findings)


def _chosen(registry: Registry, config: Config, task: Task) -> Chosen:
    """The engine that `node translate` would try first, the settings' names and target in mind. Raises as the registry
    does."""
    name = getattr(config.engines, task)
    registry.choose(task, name)  # raises with the way to get what is missing
    wish = Wish(task, target=config.translate.target if task in {"mt", "tts"} else None)
    ranking = registry.rank(wish, name)
    if not ranking.candidates:
        raise refusal(wish, ranking.passed, None if name == AUTO else name)
    best = ranking.candidates[0]
    spec, places = best.spec, best.places
    return Chosen(task, spec.name, best.why, places[0].device if places else "", places[0].dtype if places else "")


def _jobs(registry: Registry, config: Config) -> Iterator[Finding]:
    told: dict[Task, Chosen] = {}
    for job, tasks in JOBS:
        chain: list[Chosen] = []
        try:
            chain.extend(_chosen(registry, config, task) for task in tasks)
        except (Unavailable, UnsupportedLanguage) as error:
            yield Finding("jobs", job, "missing", error.sentence, error.remedy)
        else:
            told |= {one.task: one for one in chain}
            yield Finding("jobs", job, "ok", " -> ".join(one.engine for one in chain), chosen=tuple(chain))
    for one in told.values():
        yield Finding("choice", f"{one.task} {one.engine}", "ok", one.why, chosen=(one,))
    for job, task in MORE_JOBS:
        here = [spec.name for spec in registry.specs(task) if not spec.missing(registry.home)]
        if here:
            yield Finding("jobs", job, "ok", ", ".join(here))


def _engines(specs: Iterable[EngineSpec], registry: Registry) -> Iterator[Finding]:
    served = {spec.task for spec in registry.specs() if not spec.missing(registry.home)}
    passed = {
        one.spec.name: (one.reason, one.remedy)
        for task in {spec.task: None for spec in registry.specs()}
        for one in registry.rank(Wish(task)).passed
    }
    waiting = [spec for spec in specs if unfetched(spec, registry.home)]
    if waiting:
        detail = f"{len(waiting)} models can be fetched: node models list"
        yield Finding("engines", "models", "info", detail, "node models pull recommended")
    for spec in specs:
        if spec in waiting:
            continue
        apart = " (in a process of its own)" if spec.isolation == "process" else ""
        what = f"{spec.task}, {spec.licence}: {spec.summary}{apart}"
        missing = spec.missing(registry.home)
        if missing:
            names = ", ".join(need.name for need in missing)
            remedy = "; ".join(dict.fromkeys(need.remedy.rstrip(".") for need in missing))
            state: State = "info" if spec.task in served else "missing"
            if faults := [need for need in missing if need.fault]:
                detail = f"{what}. It cannot be used: {'; '.join(need.gap or need.name for need in faults)}."
                yield Finding("engines", spec.name, "broken", detail, remedy)
                continue
            yield Finding("engines", spec.name, state, f"{what}. Needs {names}.", remedy)
        elif spec.name in passed:
            why, remedy = passed[spec.name]
            yield Finding("engines", spec.name, "info", f"{what}. Not chosen by itself: {why}.", remedy)
        else:
            yield Finding("engines", spec.name, "ok", what)


def _packs(packs: Iterable[Pack]) -> Iterator[Finding]:
    for pack in packs:
        yield Finding("data", pack.name, "ok" if pack.present else "missing", pack.detail, pack.remedy)


def _trial(trial: Trial) -> Finding:
    area: Area = "accelerator" if trial.task == "device" else "engines"
    return Finding(area, f"{trial.name} (tried)", "ok" if trial.works else "broken", trial.detail, trial.remedy)


def _programs(machine: Machine) -> Iterator[Finding]:
    optional = {
        "ffmpeg": "not installed, and not needed: PyAV brings the codecs.",
        "espeak-ng": "not installed, and not needed: the library comes with the Python packages.",
    }
    for name, remark in optional.items():
        path = machine.programs.get(name)
        yield Finding("programs", name, "ok" if path else "info", str(path) if path else remark)
    apertium = machine.programs.get("apertium")
    if apertium:
        yield Finding("programs", "apertium", "ok", str(apertium))
    else:
        remedy = "sudo apt-get install apertium apertium-eng-cat apertium-spa-cat"
        yield Finding("programs", "apertium", "missing", "not installed: the default translation needs it.", remedy)


def _sound(machine: Machine) -> Iterator[Finding]:
    sound = machine.sound
    if sound.trouble:
        remedy = ""
        if "PortAudio" in sound.trouble:
            remedy = "For a live microphone: sudo apt-get install libportaudio2"
        elif "sounddevice" in sound.trouble:
            remedy = "For a live microphone: pip install 'babelmesh[microphone]'"
        yield Finding("sound", "devices", "info", f"not asked: {sound.trouble}. Files need no sound device.", remedy)
        return
    for way, names in (("microphone", sound.inputs), ("loudspeaker", sound.outputs)):
        detail = ", ".join(names) if names else "none on this machine; files need none."
        yield Finding("sound", way, "ok" if names else "info", detail)


def _accelerator(machine: Machine) -> Iterator[Finding]:
    for gpu in machine.gpus:
        yield Finding("accelerator", "GPU", "ok", gpu)
    if machine.gpu_trouble:
        remedy = "Mend the NVIDIA driver until nvidia-smi lists the GPU; the default engines do without."
        yield Finding("accelerator", "GPU", "info", f"nvidia-smi fails: {machine.gpu_trouble}", remedy)
    elif not machine.gpus:
        yield Finding("accelerator", "GPU", "info", "no NVIDIA GPU seen; the default engines run on the CPU.")


def _machine(machine: Machine) -> Iterator[Finding]:
    version = ".".join(map(str, machine.python))
    if OLDEST <= machine.python[:2] <= NEWEST:
        yield Finding("machine", "Python", "ok", version)
    else:
        remedy = "Make a new environment with a supported Python: make distclean, then make PYTHON=python3.11 install"
        yield Finding("machine", "Python", "broken", f"{version}; supported are 3.11 to 3.13.", remedy)
    yield Finding("machine", "system", "info", f"{machine.system}, {machine.architecture}, {_cores(machine.cores)}")
    memory = f"{_size(machine.memory_free)} of {_size(machine.memory)} free"
    if machine.memory_free >= MEMORY_NEEDED:
        yield Finding("machine", "memory", "ok", memory)
    else:
        remedy = "Close other programs; a long recording takes up to 1 GB."
        yield Finding("machine", "memory", "info", f"{memory}: little for a long recording.", remedy)
    if machine.encoding.lower().replace("-", "") == "utf8":
        yield Finding("machine", "terminal", "ok", "UTF-8")
    else:
        shown = machine.encoding or "unknown"
        remedy = "export PYTHONUTF8=1 LANG=C.UTF-8"
        yield Finding(
            "machine", "terminal", "info", f"the encoding is {shown}: letters of other languages may be lost.", remedy
        )


def _storage(machine: Machine) -> Iterator[Finding]:
    for name, folder in (("home", machine.home), ("models", machine.models)):
        yield _folder(name, folder)
    voices = machine.voices
    if voices.mode is not None and voices.mode & 0o077:
        detail = f"{voices.path} has mode {voices.mode:03o}: other users of this machine can see into it."
        yield Finding("storage", "voices", "info", detail, f"chmod 700 '{voices.path}'")


def _folder(name: str, folder: Folder) -> Finding:
    place = f"{folder.path}" if folder.mode is not None else f"{folder.path} (made when first needed)"
    if not folder.writable:
        option = "--home FOLDER" if name == "home" else "BABELMESH_MODELS=FOLDER"
        remedy = f"Make it writable (ls -ld '{folder.path}'), or choose another: {option}"
        return Finding("storage", name, "broken", f"{place} cannot be written.", remedy)
    if folder.free < DISK_NEEDED:
        remedy = f"Free some space: a job and the small models take up to {_size(DISK_NEEDED)}."
        return Finding("storage", name, "info", f"{place}: only {_size(folder.free)} free.", remedy)
    return Finding("storage", name, "ok", f"{place}: {_size(folder.free)} free")


def _network(machine: Machine) -> Iterator[Finding]:
    if machine.loopback_trouble:
        remedy = "Bring the loopback interface up: sudo ip link set lo up. Translating files needs no network."
        yield Finding(
            "network", "loopback", "info", f"no local socket can be opened: {machine.loopback_trouble}", remedy
        )
    else:
        yield Finding(
            "network", "loopback", "ok", "local sockets open; nothing listens yet, and files need no network."
        )


def _cores(count: int) -> str:
    return f"{count} core" if count == 1 else f"{count} cores"


def _size(amount: int) -> str:
    return f"{amount / 2**30:.1f} GiB" if amount >= 1 << 30 else f"{amount / 2**20:.0f} MiB"
