"""Presets are three, and dearer in this order."""

from __future__ import annotations

from ml.lips.presets import PRESETS


def test_presets_do_more_and_more() -> None:
    fast, balanced, quality = (PRESETS[name] for name in ("fast", "balanced", "quality"))
    assert fast.levels < balanced.levels < quality.levels
    assert fast.bank < balanced.bank < quality.bank
    assert fast.crossfade <= balanced.crossfade <= quality.crossfade
    assert fast.kernel == "linear"
    for options in PRESETS.values():
        assert 0 < options.easy_yaw < options.most_yaw <= 40
        assert 0 < options.near < options.far
