"""What the validator says becomes what a person says."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest

from node.complaints import WORDS, complaint
from node.config import ConfigFile


@pytest.mark.parametrize(
    ("said", "key", "what"),
    [
        ({"engines": {"compile": "maybe"}}, "engines.compile", "one of auto, off, on"),
        ({"engines": {"warm": 3}}, "engines.warm", "true or false"),
        ({"engines": {"memory": "4"}}, "engines.memory", 'a size like "4 GB"'),
        ({"engines": {"memory": "1 KB"}}, "engines.memory", '"4 GB" or "800 MB", in whole MB or GB'),
        ({"node": {"listen": [7]}}, "node.listen", "text"),
        ({"train": {"alpha": 7.0}}, "train.alpha", 'or "auto"'),
        ({"node": {"connections": 0}}, "node.connections", "of at least 1"),
    ],
)
def test_it_names_the_setting_and_says_what_it_takes(said: dict[str, object], key: str, what: str) -> None:
    with pytest.raises(msgspec.ValidationError) as told:
        msgspec.convert(said, ConfigFile)
    found = complaint(told.value)
    assert found[0] == key
    assert what in found[1]
    assert not {"`", "regex", "$."} & set(found[1].split())
    assert found[1][0].islower()


def test_no_word_of_the_validator_is_hidden_by_an_earlier_one() -> None:
    codes = list(WORDS)
    for index, code in enumerate(codes):
        assert not [earlier for earlier in codes[:index] if earlier in code], code


def test_a_pattern_that_nobody_put_into_words_is_told_as_it_is() -> None:
    class Odd(msgspec.Struct):
        one: Annotated[str, msgspec.Meta(pattern="^x$")]

    with pytest.raises(msgspec.ValidationError) as told:
        msgspec.convert({"one": "y"}, Odd)
    assert complaint(told.value)[0] == "one"
    assert "^x$" in complaint(told.value)[1]
