"""A stop that knows what is kept is shown in its own words by every command."""

from __future__ import annotations

import pytest

from node.stopped import Stopped


def test_it_is_ctrl_c_with_words() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        raise Stopped("Two of three rounds are kept.", "The same command goes on.")
    assert isinstance(caught.value, Stopped)
    assert (str(caught.value), caught.value.remedy) == ("Two of three rounds are kept.", "The same command goes on.")
    assert not isinstance(caught.value, Exception), "nothing that catches errors swallows it"
