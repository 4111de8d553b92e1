"""The weight of one's own model in a mixture, learnt slowly from one's own held-out speech.

On the line from one's own weights through the mixture, the error on held-out speech is nearly a parabola: three points
of it, one's own weights, the mixture and a point beyond it, say where it is least. Alpha goes a small part of the way
there, and never out of its bounds. Taken whole, every round's best would be one's own model, which has just learnt from
the same speech: the good of a mixture comes later. The node (`node/methods/mix.py`) and the simulator
(`ml/federated/methods/node_mix.py`, `mixing.py`) both decide here. Pure numpy; knows nothing of speech or peers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.weights import Weights

Numbers = npt.NDArray[np.float64]

ALPHA = "alpha"
"""The array of a method's state that has everybody's, as far as it was learnt."""


@dataclass(frozen=True)
class AlphaOptions:
    """How alpha is learnt. It stays within `least` and `most`."""

    begins: float = 0.7
    least: float = 0.5
    most: float = 0.9
    slow: float = 0.25
    """The part of the way to a round's best that alpha goes: 0.05 at most from 0.7. With 0.1 the gain was
    0.1 points less, with 0.5 as much (docs/personalisation.md)."""
    probe: float = 0.4
    """One's own weight in the third point; below `least`, so that it is never the mixture itself."""


def within(alpha: npt.ArrayLike, options: AlphaOptions) -> Numbers:
    """What was learnt before, whatever a memory says: the beginning where it is no number, else within the bounds."""
    said = np.asarray(alpha, np.float64)
    return np.clip(np.where(np.isfinite(said), said, options.begins), options.least, options.most)


def best(alpha: npt.ArrayLike, own: Numbers, mixed: Numbers, probed: Numbers, options: AlphaOptions) -> Numbers:
    """Where the errors of one's own weights, of the mixture at `alpha` and of that at `options.probe` are least by
    their parabola, within the bounds; not a number where one of the errors is none."""
    near, far = 1 - np.asarray(alpha, np.float64), 1 - options.probe
    with np.errstate(all="ignore"):
        slope, steep = (np.asarray(mixed) - own) / near, (np.asarray(probed) - own) / far
        bent = (steep - slope) / (far - near)
        straight = slope - bent * near
        lowest = np.where(bent > 0, -straight / (2 * bent), np.where(straight + bent < 0, np.inf, -np.inf))
    found = 1 - np.clip(lowest, 1 - options.most, 1 - options.least)
    return np.where(np.isfinite(own) & np.isfinite(mixed) & np.isfinite(probed), found, np.nan)


def after_round(alpha: npt.ArrayLike, own: Numbers, mixed: Numbers, probed: Numbers, options: AlphaOptions) -> Numbers:
    """Alpha after a round with these errors: a small part of the way to their best, or as it was without one."""
    now = np.asarray(alpha, np.float64)
    wanted = best(now, own, mixed, probed, options)
    return within(np.where(np.isfinite(wanted), now + options.slow * (wanted - now), now), options)


def beyond(own: Weights, mixed: Weights, alpha: float, options: AlphaOptions) -> Weights:
    """The third point of one model: as far from `own` as `options.probe` says, through the mixture at `alpha`."""
    factor = np.float32((1 - options.probe) / (1 - alpha))
    return {name: tensor + factor * (mixed[name] - tensor) for name, tensor in own.items()}
