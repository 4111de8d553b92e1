"""The grid of the watermark: for ever the same, fair to every bit, and without a bias."""

import hashlib

import numpy as np

from ml.audio.markcode import CODED
from ml.audio.markgrid import BANDS, EDGES, PILOT, SLOTS, TELEPHONE_BANDS, grid


def test_the_published_grid_never_changes():
    """Marks of today must be found by programs of tomorrow: this print is part of the format."""
    plan = grid()
    printed = hashlib.sha256(plan.signs.astype("i1").tobytes() + plan.carries.astype("<i2").tobytes()).hexdigest()
    assert printed == "b7982bf59adcf84b86b14593d052fd623221603c50896d29fd9a152b030ba68e"


def test_bands_are_one_row_and_a_telephone_carries_the_lower():
    assert (np.diff(EDGES) > 0).all()
    assert len(EDGES) == BANDS + 1
    assert EDGES[0] >= 290
    assert EDGES[TELEPHONE_BANDS] <= 3400
    assert EDGES[-1] < 7000


def test_every_bit_has_its_share_of_the_telephone_band_and_of_the_rest():
    carries = grid().carries
    for part in (carries[:, :TELEPHONE_BANDS], carries[:, TELEPHONE_BANDS:]):
        counts = np.bincount(part[part != PILOT], minlength=CODED)
        assert len(counts) == CODED
        assert counts.max() - counts.min() <= 1
        assert abs((part == PILOT).mean() - 1 / 3) < 0.01


def test_signs_are_even_and_another_key_is_another_grid():
    mine, other = grid(), grid(b"another")
    cells = SLOTS * BANDS
    assert abs(mine.signs.sum()) < 4 * np.sqrt(cells)
    assert abs((mine.signs * other.signs).sum()) < 4 * np.sqrt(cells)
    assert not np.array_equal(mine.carries, other.carries)
