"""How attackers who know the gate stay under it: they try forgeries on their own held-out speech first.

The gate compares the error of what came with that of one's own model, on speech that no attacker has. The attackers'
own speech is their best guess of it. Knows the gate's bound as a number, and no other rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ml.federated.cohort import Stack
from ml.federated.method import Scene
from ml.voice.autoencoder import Autoencoder
from ml.weights import Tensor

PROXIES = 6
"""So many attackers' speech is tried; more would cost time and tell little."""

MOST_OF_THEM = 0.75
"""The share of them at whom a forgery must pass."""

HALVINGS, LEAST = 11, 1e5
"""Of the logarithm of the scale, from the most down to a hundred-thousandth of it: 0.6 % at the end."""


def furthest(scene: Scene, centre: Stack, direction: Stack, near: float, most: float) -> float:
    """The largest scale up to `most` at which `centre + scale * direction` passes at most of the attackers' own gates.

    `centre` and `direction` are `[A, parameters]`. A forgery of one is tried on the speech of the next, since it will
    be judged by strangers. It passes at three quarters of them. 0 when not even the least does.
    """
    judges, own = strangers(scene)
    count = len(judges)
    allowed = near * scene.ground.cohort.errors(own, judges)

    def passes(scale: float) -> bool:
        with np.errstate(all="ignore"):
            found = scene.ground.cohort.errors(centre[:count] + np.float32(scale) * direction[:count], judges)
            return float((found <= allowed).mean()) >= MOST_OF_THEM

    return largest(passes, most)


def strangers(scene: Scene) -> tuple[list[int], Stack]:
    """Attackers in the place of those who will receive, and their own honest models: for each the next one's."""
    count = min(len(scene.attackers), PROXIES)
    return [scene.attackers[(at + 1) % count] for at in range(count)], np.roll(scene.own[:count], -1, axis=0)


def largest(passes: Callable[[float], bool], most: float) -> float:
    """The largest scale up to `most` that passes, found by halving; 0 when not even `most / LEAST` does."""
    if passes(most):
        return most
    low, high = most / LEAST, most
    if not passes(low):
        return 0.0
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low


def steepest(scene: Scene, start: Tensor, steps: int = 8, rows: int = 512) -> Tensor:
    """The direction of length 1 in which errors on the attackers' speech grow most, `[parameters]`.

    Normed gradient ascent of `steps` steps, a tenth of the way from genesis (at least 0.05) each.
    """
    people, autoencoder = scene.ground.cohort.people, scene.ground.cohort.autoencoder
    chosen = [autoencoder.rows(one) for at in scene.attackers[:PROXIES] for one in people[at].speech.train if len(one)]
    speech = np.concatenate(chosen)
    speech = speech[np.linspace(0, len(speech) - 1, min(rows, len(speech))).astype(int)]
    length = max(0.05, float(np.linalg.norm(start - scene.ground.genesis)) / 10)
    model = start.copy()
    for _ in range(steps):
        gradient = slope(autoencoder, model, speech, speech)
        model += gradient * np.float32(length / max(float(np.linalg.norm(gradient)), 1e-30))
    direction: Tensor = model - start
    return direction / np.float32(max(float(np.linalg.norm(direction)), 1e-30))


def slope(
    autoencoder: Autoencoder, model: Tensor, rows: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]
) -> Tensor:
    """The derivative by `model` `[parameters]` of the mean squared difference between what it makes of `rows` and
    `wanted`."""
    import torch

    vector = torch.from_numpy(model).clone().requires_grad_()
    tensors, first = {}, 0
    for name, shape in autoencoder.layout.shapes.items():
        count = int(np.prod(shape))
        tensors[name] = vector[first : first + count].view(shape)
        first += count
    output = autoencoder.predict(tensors, torch.from_numpy(rows))
    (gradient,) = torch.autograd.grad(torch.nn.functional.mse_loss(output, torch.from_numpy(wanted)), vector)
    found: Tensor = gradient.numpy()
    return found
