"""A batch too large for memory is done in halves, and nothing is lost or done out of order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.halving import in_halves


@settings(deadline=None, max_examples=50)
@given(items=st.lists(st.integers(), max_size=20), room=st.integers(1, 20))
def test_all_are_done_in_order_in_batches_that_fit(items: list[int], room: int) -> None:
    sizes: list[int] = []

    def work(batch: Sequence[int]) -> list[int]:
        if len(batch) > room:
            raise RuntimeError("CUDA out of memory.")
        sizes.append(len(batch))
        return [-item for item in batch]

    assert in_halves(work, items) == [-item for item in items]
    assert all(size <= room for size in sizes)
    if len(items) <= room:
        assert len(sizes) == 1


@pytest.mark.parametrize("error", [MemoryError("alone"), ValueError("a defect")])
def test_one_that_does_not_fit_alone_and_other_errors_are_raised(error: Exception) -> None:
    calls: list[int] = []

    def work(batch: Sequence[int]) -> list[int]:
        calls.append(len(batch))
        raise error

    with pytest.raises(type(error)):
        in_halves(work, [1, 2])
    assert calls == ([2, 1] if isinstance(error, MemoryError) else [2])
