"""The child's side, without a process: recipes, calls, utterances and pieces, and what it says of a defect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ml.device import Placement
from ml.engines.isolated_calls import CALLS, pack, unpack
from ml.engines.isolated_worker import Recipe, Room, recipe_of, spec_of
from ml.engines.protocols import AsrOptions, EngineHome
from ml.engines.wavlm import WavLmEncoder
from ml.errors import EngineFailed
from ml.models.checkpoint import Checkpoint
from ml.types import Audio, Delivery
from tests.fakes import CountingAsr, UpperMt, fake_spec
from tests.ml.engines.tiny import checkpoint


class Streaming:
    """Speaks in three pieces; counts those that were given up."""

    spec = fake_spec("pieces", "tts")
    closed = 0

    def stream(self, text: str, language: str, delivery: Delivery) -> Iterator[Audio]:
        try:
            for number in range(3):
                yield Audio(np.full(number + 1, 0.5, np.float32))
        finally:
            self.closed += 1

    def close(self) -> None:
        pass


def test_a_recipe_survives_the_way_to_the_child() -> None:
    made = checkpoint("tiny-wavlm")
    recipe = Recipe(
        models="m",
        entry=made.entry,
        folder=str(made.folder),
        revision=made.revision,
        placement=Placement("cpu", "bfloat16"),
    )
    arrived = msgspec.convert(msgspec.msgpack.decode(msgspec.msgpack.encode(msgspec.to_builtins(recipe))), Recipe)
    assert arrived == recipe
    assert spec_of(arrived).name == "tiny-wavlm"
    assert spec_of(Recipe(models="", spec="ml.engines.resemblyzer:SPEC")).name == "resemblyzer"


def test_utterances_are_held_by_number() -> None:
    room = Room(CountingAsr())  # type: ignore[arg-type]
    calls = CALLS["asr"]
    number = unpack(room.do("listen", pack((AsrOptions(),))), calls["listen"].gives)
    room.do("session.accept", pack((number, np.zeros(1600, np.float32))))
    assert unpack(room.do("session.finish", pack((number,))), calls["session.finish"].gives).final
    with pytest.raises(EngineFailed, match="ended"):
        room.do("session.accept", pack((99, np.zeros(16, np.float32))))
    assert unpack(room.do("session.abandon", pack((99,))), None) is None


def test_pieces_come_one_by_one_and_giving_up_ends_the_work() -> None:
    engine = Streaming()
    room = Room(engine)  # type: ignore[arg-type]
    calls = CALLS["tts"]

    def open_one() -> int:
        return int(unpack(room.do("stream", pack(("a", "en", Delivery()))), calls["stream"].gives))

    number, lengths = open_one(), []
    while (piece := unpack(room.do("stream.next", pack((number,))), calls["stream.next"].gives)) is not None:
        lengths.append(len(piece.samples))
    assert lengths == [1, 2, 3]
    number = open_one()
    room.do("stream.next", pack((number,)))
    room.do("stream.close", pack((number,)))
    assert engine.closed == 2


def test_calls_are_typed() -> None:
    room = Room(UpperMt())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="str"):
        room.do("translate", pack((1, 2, 3)))
    with pytest.raises(KeyError):
        room.do("close", pack(()))


def test_the_recipe_of_a_checkpoint_leads_back_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    here = replace(checkpoint("tiny-wavlm"), beside={"vocoder": Path("/models/vocoder")})
    told = msgspec.msgpack.decode(msgspec.msgpack.encode(recipe_of(here, Path("/models"))), type=Recipe)
    assert told.models == "/models"
    found: list[Checkpoint] = []
    monkeypatch.setattr(WavLmEncoder, "load", lambda spec, checkpoint, placement: found.append(checkpoint))
    spec_of(told).factory(EngineHome(Path("/models")))
    assert found == [here]
