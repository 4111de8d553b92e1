"""What this machine is and has, as plain facts: Python, cores, memory, disks, programs, sound, accelerators, sockets.

Looking takes well under a second and changes nothing. What the facts mean for Babelmesh is the business of
`node.doctor`; this module knows no engine.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PROGRAMS = ("apertium", "espeak-ng", "ffmpeg", "nvidia-smi")
"""Programs that Babelmesh uses, or that people expect it to use."""

PATIENCE = 10.0
"""Seconds that a child process may take to answer."""

ASK_SOUND = """
import json, sounddevice
devices = sounddevice.query_devices()
print(json.dumps({way: [d["name"] for d in devices if d[f"max_{way}_channels"] > 0] for way in ("input", "output")}))
"""


@dataclass(frozen=True)
class SoundDevices:
    """Names of the devices that can record and play; `trouble` says why they could not be asked for."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True)
class Folder:
    """A folder that Babelmesh writes to. `free` is bytes; `mode` None while the folder does not exist yet."""

    path: Path
    free: int
    writable: bool
    mode: int | None


@dataclass(frozen=True)
class Machine:
    """The facts. Memory is in bytes; `programs` maps a name to its path, or None where there is none."""

    python: tuple[int, int, int]
    system: str
    architecture: str
    cores: int
    memory: int
    memory_free: int
    home: Folder
    voices: Folder
    models: Folder
    encoding: str
    programs: Mapping[str, Path | None] = field(default_factory=dict)
    sound: SoundDevices = SoundDevices()
    gpus: tuple[str, ...] = ()
    gpu_trouble: str = ""
    loopback_trouble: str = ""


def look_around(home: Path, voices: Path, models: Path) -> Machine:
    """The facts of this machine now. Raises nothing: what cannot be asked is told in the `trouble` fields."""
    memory = psutil.virtual_memory()
    programs = {name: Path(found) if (found := shutil.which(name)) else None for name in PROGRAMS}
    gpus, gpu_trouble = _ask_gpus(programs["nvidia-smi"])
    return Machine(
        python=sys.version_info[:3],
        system=_system(),
        architecture=platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=memory.total,
        memory_free=memory.available,
        home=look_at(home),
        voices=look_at(voices),
        models=look_at(models),
        encoding=sys.stdout.encoding or "",
        programs=programs,
        sound=_ask_sound(),
        gpus=gpus,
        gpu_trouble=gpu_trouble,
        loopback_trouble=_try_loopback(),
    )


def look_at(path: Path) -> Folder:
    """A folder, or what would become of it: the nearest folder above that exists decides."""
    nearest = next(above for above in (path, *path.parents) if above.exists())
    writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    mode = path.stat().st_mode & 0o777 if path.is_dir() else None
    return Folder(path, shutil.disk_usage(nearest).free, writable, mode)


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"


def _ask(command: list[str]) -> tuple[str, str]:
    """What a program prints, and why it did not (its last line of complaint)."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"it ended with {done.returncode}").splitlines()
        return "", said[-1]
    return done.stdout.strip(), ""


def _ask_gpus(program: Path | None) -> tuple[tuple[str, ...], str]:
    if program is None:
        return (), ""
    said, trouble = _ask([str(program), "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"])
    return tuple(line.strip() for line in said.splitlines() if line.strip()), trouble


def _ask_sound() -> SoundDevices:
    """Ask in a child process: the sound libraries write to the terminal, and may take the process with them."""
    said, trouble = _ask([sys.executable, "-c", ASK_SOUND])
    if trouble:
        return SoundDevices(trouble=trouble)
    found = json.loads(said.splitlines()[-1])
    return SoundDevices(tuple(found["input"]), tuple(found["output"]))


def _try_loopback() -> str:
    """Open, reach and close a socket on the loopback address; why that failed, or nothing."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(PATIENCE)
            with socket.create_connection(server.getsockname(), PATIENCE):
                return ""
    except OSError as error:
        return str(error)
