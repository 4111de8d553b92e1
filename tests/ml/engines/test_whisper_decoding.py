"""Decoding: beams find what is likelier, doubt raises the temperature, and dice fall the same way twice."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ml.engines.whisper_decoding import Decoder, DecodingOptions, Marks, repetition

END, LOOP = 0, 5
MARKS = Marks((7,), (END,), END, 6, 0)
GREEDY = DecodingOptions(temperatures=(0.0,), longest=30)


class Chain:
    """A network whose next token depends on the last one alone: `odds[last]` are probabilities `[8]`."""

    def __init__(self, odds: dict[int, list[float]]) -> None:
        self.odds = torch.full((8, 8), 1e-6)
        for last, row in odds.items():
            self.odds[last] = torch.tensor(row)
        self.config = SimpleNamespace(max_target_positions=40)

    def __call__(self, *, decoder_input_ids: torch.Tensor, **rest: Any) -> Any:
        return SimpleNamespace(logits=self.odds.log()[decoder_input_ids])


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.EncoderDecoderCache.reorder_cache", lambda self, beams: None)


def decode(chain: Chain, options: DecodingOptions, marks: Marks = MARKS) -> Any:
    return Decoder(chain, torch.zeros(1, 3, 4)).decode([1], marks, options, lambda ids: " ".join(map(str, ids)))


def probabilities(**row: float) -> list[float]:
    made = [1e-6] * 8
    for name, value in row.items():
        made[int(name[1:])] = value
    return made


GARDEN = Chain(  # the likelier first step leads to the less likely text
    {
        1: probabilities(t2=0.6, t3=0.4),
        2: probabilities(t4=0.3, t5=0.3, t6=0.4),
        3: probabilities(t4=1.0),
        4: probabilities(t0=1.0),
        5: probabilities(t0=1.0),
        6: probabilities(t0=1.0),
    }
)


def test_beams_find_what_greed_misses() -> None:
    assert decode(GARDEN, GREEDY).tokens == (2, 6)
    found = decode(GARDEN, replace(GREEDY, beams=3))
    assert found.tokens == (3, 4)
    assert found.mean == pytest.approx(float(torch.log(torch.tensor(0.4))) / 3, abs=1e-3)


def test_what_is_never_said_or_not_first_is_not() -> None:
    chain = Chain({1: probabilities(t7=0.7, t0=0.2, t2=0.1), 2: probabilities(t7=0.6, t0=0.4)})
    assert decode(chain, GREEDY).tokens == (2,)
    assert decode(chain, GREEDY, replace(MARKS, not_first=())).tokens == ()


def test_how_likely_silence_is_comes_from_the_start_mark() -> None:
    chain = Chain({1: probabilities(t6=0.8, t2=0.2), 2: probabilities(t0=1.0)})
    assert decode(chain, GREEDY, replace(MARKS, never=(6, 7))).no_speech == pytest.approx(0.8, abs=1e-3)
    assert decode(chain, GREEDY, replace(MARKS, no_speech=None)).no_speech == 0.0


def test_a_loop_raises_the_temperature_and_a_text_without_end_is_bounded() -> None:
    loop = Chain({1: probabilities(t5=1.0), LOOP: probabilities(t5=0.97, t0=0.03)})
    stuck = decode(loop, replace(GREEDY, longest=36))
    assert len(stuck.tokens) == 36
    free = decode(loop, DecodingOptions(longest=36))
    assert free.temperature > 0
    assert len(decode(loop, replace(GREEDY, longest=500)).tokens) == 39, "the room of the network"


def test_doubt_tries_all_temperatures_but_silence_does_not() -> None:
    doubt = Chain({1: [0.125] * 8, 2: [0.125] * 8, 3: [0.125] * 8, 4: [0.125] * 8, 5: [0.125] * 8, 6: [0.125] * 8})
    assert decode(doubt, DecodingOptions(longest=5)).temperature == 1.0
    assert decode(doubt, DecodingOptions(longest=5, silent=0.1)).temperature == 0.0


def test_dice_fall_the_same_way_for_the_same_seed() -> None:
    warm = replace(GREEDY, temperatures=(1.0,))
    assert decode(GARDEN, warm) == decode(GARDEN, warm)
    assert len({decode(GARDEN, replace(warm, seed=seed)).tokens for seed in range(30)}) > 1


def test_repetition_is_seen() -> None:
    assert repetition("") == 0.0
    assert repetition("The invention of movable metal letters") < 1.5
    assert repetition("thank you " * 30) > 2.4
