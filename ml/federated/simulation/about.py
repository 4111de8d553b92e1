"""What a simulation's state belongs to, in words that can be compared. Knows nothing of files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import numpy as np

from ml.federated.method import Attack, Compression, Ground, Method
from ml.federated.simulation.settings import SimulationSettings

FREE = ("rounds", "chunk", "threads", "measure_every", "disk")
"""Settings that change nothing of what was done so far, and may be other ones when a simulation goes on."""


def about(
    ground: Ground,
    method: Method,
    settings: SimulationSettings,
    compression: Compression | None,
    attack: Attack | None,
) -> Mapping[str, str]:
    """Everything that a state depends on. Methods and the like that are dataclasses are told apart by their fields;
    people by how much they have said."""
    speech = np.concatenate([ground.cohort.frames(part) for part in ("train", "held_out")])
    return {
        "people": f"{len(ground.cohort)} of {hashlib.sha256(speech.tobytes()).hexdigest()[:16]}",
        "start": hashlib.sha256(ground.genesis.tobytes()).hexdigest()[:16],
        "training": repr(ground.training),
        "ground's seed": str(ground.seed),
        "method": _said(method),
        "compression": compression.name if compression else "exact",
        "attack": _said(attack) if attack else "none",
        **{one.name: repr(getattr(settings, one.name)) for one in fields(settings) if one.name not in FREE},
    }


def _said(part: Method | Attack) -> str:
    fields_of = re.sub(r" at 0x[0-9a-f]+", "", repr(part)) if is_dataclass(part) else ""
    return f"{part.name} {fields_of}".rstrip()
