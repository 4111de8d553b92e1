"""How far a personal model steps back to the prior that peers share, and half way to what one is without them.

MAP adaptation as Gauvain and Lee (1994) have it for means: n frames of one's own against as many as the prior is worth.
Half way to the control averages out what ten seconds of held-out speech are too short to judge. The node does both for
one person, the simulator for a stack of them. Pure numpy; knows nothing of who made the prior.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ml.weights import Weights

FRAMES = 1000.0
"""What the prior is worth: 16 s. Of fixed shares of 34 people with 38 s on average, 0.2 and 0.3 were as good in the
mean of held-out speech, and 0.3 was better in the worst tenth: 1,000 frames (docs/personalisation.md)."""

LEAST = 0.3
"""People with a minute or more, too, are better off with a step back of this length; it is what counts from 37 s of
speech on."""

CLEAR = 0.005
"""The whole way is gone when its error on held-out speech is less than that of half way by more than this share: ten
seconds cannot tell less. Models that mislead there were nearly never ahead by more; where peers matter, as from a weak
start, honest ones are, in half of the people (docs/personalisation.md)."""

Stack = npt.NDArray[np.float32]


def prior_share(frames: npt.ArrayLike, worth: float = FRAMES, least: float = LEAST) -> npt.NDArray[np.float32]:
    """The part of the way back to the prior after learning from `frames` frames."""
    share = np.maximum(least, worth / (np.asarray(frames, np.float64) + worth))
    return np.asarray(share, np.float32)


def drawn_back(own: Stack, prior: Stack, shares: npt.NDArray[np.float32]) -> Stack:
    """`own` `[people, parameters]`, each drawn back to its `prior` by its share `[people]`."""
    return own + shares[:, None] * (prior - own)


def draw_back(own: Weights, prior: Weights, frames: int) -> Weights:
    """One model drawn back: bit for bit what `drawn_back` makes of it."""
    share = prior_share(frames)
    return {name: tensor + share * (prior[name] - tensor) for name, tensor in own.items()}


def half_way(own: Stack, control: Stack) -> Stack:
    """The mean of two models or stacks of any shape."""
    return np.float32(0.5) * (own + control)


def halve(own: Weights, control: Weights) -> Weights:
    """The mean of two models: bit for bit what `half_way` makes of them."""
    return {name: half_way(tensor, control[name]) for name, tensor in own.items()}


def whole_way(own: npt.ArrayLike, half: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether the error of one's own model is clearly less than that of half way; never where it is no number."""
    return np.asarray(np.asarray(own, np.float64) < (1 - CLEAR) * np.asarray(half, np.float64))
