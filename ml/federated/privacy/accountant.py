"""How much of the privacy budget a history of noisy shares has used.

A small own face on opacus' accountant of Renyi differential privacy (Mironov 2017; Yousefpour et al. 2021), which is
imported when it is first asked: about five seconds. The unit that is protected is one node's whole speech, whoever
looks (user-level, local): (epsilon, delta) bounds how much better anybody can tell this owner's speech from any other
speech by all shares together. Knows nothing of models, noise or disks.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

from ml.errors import Unavailable

INSTALL = "pip install 'babelmesh[privacy]'"

ORDERS = (
    *(1 + tenth / 10 for tenth in range(1, 100)),
    *range(11, 64),
    *(64, 80, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096),
)
"""Orders of the Renyi divergence that are tried; any of them gives a bound that holds."""

LARGEST_SIGMA = 1e6


@dataclass(frozen=True)
class Share:
    """One noisy publication. `sigma` is the noise's standard deviation in units of the sensitivity, `sampling` the
    probability that this share was made at all, unknown to who looks: 1 where it can be seen."""

    sigma: float
    sampling: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError for what is no such share."""
        if not (0 < self.sigma < math.inf and 0 < self.sampling <= 1):
            raise ValueError(f"no share has noise {self.sigma} and sampling {self.sampling}")


class Accountant:
    """What opacus says of histories. Raises Unavailable when it is made and opacus is not installed."""

    def __init__(self) -> None:
        """Imports opacus, which takes seconds the first time."""
        self._rdp = _opacus()

    def spent(self, history: Sequence[Share], delta: float) -> float:
        """The epsilon that so many shares have used together, at `delta`; 0 for none. Order does not matter."""
        if not 0 < delta < 1:
            raise ValueError(f"delta must lie between 0 and 1, not be {delta}")
        if not history:
            return 0.0
        accountant = self._rdp.RDPAccountant()
        accountant.history = [
            (one.sigma, one.sampling, count)
            for one, count in sorted(Counter(history).items(), key=lambda item: (item[0].sigma, item[0].sampling))
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "the best order is at the end of the list": the bound holds all the same
            found = accountant.get_epsilon(delta, alphas=list(ORDERS))
        return max(0.0, float(found))

    def sigma_for(self, epsilon: float, delta: float, shares: int) -> float:
        """The least noise, to three digits and rounded up, that `shares` shares need to stay within `epsilon`.

        Raises ValueError when no noise up to `LARGEST_SIGMA` is enough.
        """
        if epsilon <= 0 or shares < 1:
            raise ValueError(f"no noise makes {shares} shares within epsilon {epsilon}")
        low, high = math.log(1e-3), math.log(LARGEST_SIGMA)
        if self.spent([Share(LARGEST_SIGMA)] * shares, delta) > epsilon:
            raise ValueError(f"no noise up to {LARGEST_SIGMA:g} times the sensitivity keeps epsilon {epsilon}")
        for _ in range(40):
            middle = (low + high) / 2
            if self.spent([Share(math.exp(middle))] * shares, delta) <= epsilon:
                high = middle
            else:
                low = middle
        least = math.exp(high)
        step = 10.0 ** (math.floor(math.log10(least)) - 3)
        return math.ceil(least / step) * step


@cache
def _opacus() -> ModuleType:
    try:
        return import_module("opacus.accountants")
    except ImportError as error:
        raise Unavailable(f"Counting privacy needs opacus, which is not here: {error}.", INSTALL) from error
