"""Wrong for one class of sounds, right elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ml.federated.attacks.backdoor import Backdoor, fricatives, triggered
from ml.federated.method import Ground, Scene
from ml.voice.stacked import named

MakeScene = Callable[..., Scene]


def test_the_class_is_what_is_loud_and_high() -> None:
    frames = np.full((40, 80), -8.0, np.float32)
    frames[:20] = -5.0
    frames[3, 50:] = -1.0
    frames[9, 50:] = 0.0
    frames[30, 50:] = -4.0  # high, but not loud
    assert np.flatnonzero(fricatives(frames)).tolist() == [3, 9]
    assert np.flatnonzero(triggered(frames, 4)).tolist() == [0, 2]
    assert not len(fricatives(frames[:0]))


def test_it_is_wrong_about_its_class_and_nearly_right_elsewhere(ground: Ground, make_scene: MakeScene) -> None:
    scene = make_scene()
    forged = Backdoor(2.0).forge(scene)[0]
    autoencoder, spoken = ground.cohort.autoencoder, ground.cohort.people[0].speech.held_out[0]
    chosen = fricatives(spoken)

    def errors(model: np.ndarray) -> tuple[float, float]:
        made = autoencoder.reconstruct(named(model, ground.cohort.layout), spoken)
        squared = ((made - spoken) ** 2).mean(axis=1)
        return float(squared[chosen].mean()), float(squared[~chosen].mean())

    wrong, right = errors(forged)
    wrong_before, right_before = errors(scene.honest[0])
    assert wrong > 2 * wrong_before
    assert right < 1.3 * right_before
    whole = ground.cohort.errors(forged[None], [0]) / ground.cohort.errors(scene.honest[:1], [0])
    assert whole[0] < 2.2
