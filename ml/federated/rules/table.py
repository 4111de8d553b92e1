"""All rules by name, each as it is measured in docs/robustness.md."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ml.federated.gated import Gated
from ml.federated.method import Rule
from ml.federated.rules.averages import Mean, Median, TrimmedMean
from ml.federated.rules.clipping import CenteredClipping, ClippedGossip, ClippedToOwn
from ml.federated.rules.krum import Bulyan, MultiKrum
from ml.federated.rules.reputation import Reputation
from ml.federated.rules.trial import Trial

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "mean": Mean(),
        "median": Median(),
        "trimmed": TrimmedMean(),
        "krum": MultiKrum(),
        "bulyan": Bulyan(),
        "centered": CenteredClipping(),
        "clippedgossip": ClippedGossip(),
        "ownclip": ClippedToOwn(),
        "trial": Trial(),
        "gated": Gated(),
        "reputation": Reputation(Gated()),
    }
)
"""Names as a command or a benchmark takes them; `gated` is the product's own. A simulation keeps the memory of
`reputation` for every method that has a field `rule` (`ml/federated/methods/remembered.py`)."""
