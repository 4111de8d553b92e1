"""All attacks by name, each as it is measured in docs/robustness.md."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ml.federated.attacks.adaptive import Adaptive, Drift
from ml.federated.attacks.backdoor import Backdoor
from ml.federated.attacks.colluding import Collusion, InnerProduct, LittleIsEnough, Sybil
from ml.federated.attacks.plain import FreeRider, Gaussian, NotFinite, Scaled, Stale
from ml.federated.attacks.prior import AgainstPrior
from ml.federated.gate import MergeOptions
from ml.federated.method import Attack

_NEAR = MergeOptions().near_own

ATTACKS: Mapping[str, Attack] = MappingProxyType(
    {
        "flip": Scaled("flip", -1),
        "flip10": Scaled("flip10", -10),
        "gaussian": Gaussian(),
        "scaled": Scaled("scaled", 100),
        "alie": LittleIsEnough("alie"),
        "ipm": InnerProduct("ipm"),
        "nan": NotFinite("nan"),
        "stale": Stale(),
        "freerider": FreeRider("freerider"),
        "echo": FreeRider("echo", echo=True),
        "sybil": Sybil(Scaled("flip3", -3), "sybil"),
        "collusion": Collusion(),
        "drift": Drift(_NEAR, "drift"),
        "backdoor": Backdoor(_NEAR),
        "backdoor-mild": Backdoor(1.2, "backdoor-mild"),
        "adaptive-flip": Adaptive("adaptive-flip", "flip", _NEAR),
        "adaptive-steepest": Adaptive("adaptive-steepest", "steepest", _NEAR),
        "adaptive-overfit": Adaptive("adaptive-overfit", "overfit", _NEAR),
        "prior-steepest": AgainstPrior("prior-steepest", "steepest"),
        "prior-creep": AgainstPrior("prior-creep", "creep", near=1.2),
        "prior-overfit": AgainstPrior("prior-overfit", "overfit", near=1.4),
        "prior-backdoor": AgainstPrior("prior-backdoor", "backdoor", near=1.2, most=4.0),
    }
)
"""Names as `--hostile SHARE:NAME` takes them. The adaptive ones know the bound of the product's gate; the mild
backdoor stays far below it, so that nearly everybody takes it. Those named prior-... know the whole default."""
